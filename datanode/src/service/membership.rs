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
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_WAIT) => {}
        }
        if !datanode.end_if_coordinator_is_gone() {
            continue;
        }
        tracing::warn!("the coordinator has gone; its queries end");
        let joined = tokio::select! {
            () = shutdown.cancelled() => return,
            joined = join(&membership) => joined,
        };
        match joined {
            Ok(_) => datanode.note_heartbeat(),
            Err(error) => tracing::error!(%error, "the coordinator refuses this datanode"),
        }
    }
}
