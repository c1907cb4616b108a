//! A datanode's place in its cluster: it registers when it starts, and again when it has not heard
//! from the coordinator for a while. Then the coordinator may be another, or may have lost it.

use std::{sync::Arc, time::Duration};

use kestrel_proto::{
    DatanodeId, ErrorReport, Result, SqlState, message::RegisterRequest, rpc::Caller,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::LocalDatanode;

/// Between two tries to register.
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// After a refusal: somebody has to do something first.
const REFUSED_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at the clock.
const LOOK_WAIT: Duration = Duration::from_millis(250);

/// How a datanode finds its cluster.
#[derive(Clone, Debug)]
pub struct Membership {
    /// How to call.
    pub caller: Caller,
    /// Where the coordinator is: host:port.
    pub coordinator: String,
    /// What it is told.
    pub request: RegisterRequest,
}

/// What the coordinator has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The cluster.
    pub cluster_id: Uuid,
    /// This datanode's id.
    pub datanode: DatanodeId,
}

/// Registers, and tries again for as long as the coordinator cannot be reached.
///
/// # Errors
/// What the coordinator refuses.
pub async fn join(membership: &Membership) -> Result<Joined> {
    let mut told = false;
    loop {
        let request = membership.request.clone();
        let reply = membership.caller.register(&membership.coordinator, request).await;
        match reply {
            Ok(reply) => {
                let cluster_id = Uuid::parse_str(&reply.cluster_id);
                let cluster_id = cluster_id.map_err(|error| {
                    ErrorReport::internal(format!("the cluster's id is none: {error}"))
                })?;
                return Ok(Joined { cluster_id, datanode: DatanodeId(reply.datanode) });
            }
            Err(error) if error.sqlstate != SqlState::SYSTEM_ERROR => return Err(error),
            Err(error) if !std::mem::replace(&mut told, true) => {
                let coordinator = &membership.coordinator;
                tracing::warn!(coordinator, detail = error.detail, "waiting for the coordinator");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_WAIT).await;
    }
}

/// Keeps the datanode in its cluster until `shutdown`.
pub async fn stay(
    datanode: Arc<LocalDatanode>,
    membership: Membership,
    shutdown: CancellationToken,
) {
    // What was logged of a silence that goes on, so that no line comes again with every try.
    let (mut is_gone, mut refusal): (bool, Option<ErrorReport>) = (false, None);
    let mut wait = LOOK_WAIT;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = LOOK_WAIT;
        if !datanode.end_if_coordinator_is_gone() {
            (is_gone, refusal) = (false, None);
            continue;
        }
        if !std::mem::replace(&mut is_gone, true) {
            tracing::warn!("the coordinator has gone; its queries end");
        }
        let joined = tokio::select! {
            () = shutdown.cancelled() => return,
            joined = join(&membership) => joined,
        };
        match joined {
            Ok(_) => datanode.note_heartbeat(),
            Err(error) => {
                wait = REFUSED_WAIT;
                if refusal.as_ref() != Some(&error) {
                    tracing::error!(%error, "the coordinator refuses this datanode");
                    refusal = Some(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Instant,
    };

    use kestrel_planner::{functions::FunctionRegistry, memory::QueryMemory};
    use kestrel_proto::{
        message::{
            RegisterReply,
            coordinator_server::{Coordinator, CoordinatorServer},
        },
        rpc::{Credentials, RpcSettings, Secret, to_status},
    };
    use tempfile::TempDir;
    use tokio::{net::TcpListener, runtime::Handle, time::sleep};
    use tonic::{
        Request, Response, Status,
        transport::{Server, server::TcpIncoming},
    };

    use super::*;
    use crate::{DatanodeSettings, PlanDecoder, exchange::Peers};

    /// Refuses every datanode, and counts.
    struct Refusing(Arc<AtomicUsize>);

    #[tonic::async_trait]
    impl Coordinator for Refusing {
        async fn register(
            &self,
            _: Request<RegisterRequest>,
        ) -> Result<Response<RegisterReply>, Status> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let report = ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "refused");
            Err(to_status(&report))
        }
    }

    /// A coordinator that refuses all; how to find it.
    async fn refusing(tries: &Arc<AtomicUsize>) -> Membership {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let coordinator = listener.local_addr().unwrap().to_string();
        let service = CoordinatorServer::new(Refusing(Arc::clone(tries)));
        let router = Server::builder().add_service(service);
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        let credentials =
            Credentials { secret: Secret::random(), cluster: None, target: String::new() };
        let settings = RpcSettings::default();
        let caller = Caller { settings, credentials, tls: None, runtime: Handle::current() };
        Membership { caller, coordinator, request: RegisterRequest::default() }
    }

    #[tokio::test]
    async fn a_refused_datanode_does_not_insist() {
        let tries = Arc::new(AtomicUsize::new(0));
        let membership = refusing(&tries).await;
        let directory = TempDir::new().unwrap();
        let memory = QueryMemory::new(1 << 20);
        let mut settings =
            DatanodeSettings::new(DatanodeId(0), Uuid::new_v4(), directory.path(), memory);
        settings.coordinator_timeout = Duration::from_millis(1);
        let decoder = Arc::new(PlanDecoder::new(FunctionRegistry::new()));
        let peers = Arc::new(Peers::default());
        let datanode = LocalDatanode::open(settings, peers, decoder, Handle::current()).unwrap();
        let shutdown = CancellationToken::new();
        let stays = tokio::spawn(stay(datanode, membership, shutdown.clone()));
        let started = Instant::now();
        while tries.load(Ordering::Relaxed) == 0 {
            assert!(started.elapsed() < Duration::from_secs(60), "it does not register");
            sleep(LOOK_WAIT / 10).await;
        }
        sleep(LOOK_WAIT * 4).await;
        assert_eq!(tries.load(Ordering::Relaxed), 1);
        shutdown.cancel();
        stays.await.unwrap();
    }
}
