//! Datanodes come and say who they are.

use std::{net::SocketAddr, sync::Arc};

use chrono::Utc;
use futures::future::BoxFuture;
use kestrel_planner::catalog::{Catalog, CatalogChange, DatanodeDef};
use kestrel_proto::{
    ENGINE_VERSION, ErrorReport, Result, SqlState,
    message::{
        RegisterReply, RegisterRequest,
        coordinator_server::{Coordinator, CoordinatorServer},
    },
    rpc::{Check, Credentials, RpcSettings, Tls, serve, server, to_status},
};
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};
use uuid::Uuid;

use super::Member;
use crate::catalog::CatalogHandle;

/// Lets datanodes in.
#[derive(Clone)]
pub struct RegistrationService {
    catalog: CatalogHandle,
    members: Vec<Arc<Member>>,
    function_fingerprint: u64,
    /// Held from the look at who is known to the end: of two that claim one name, the second finds
    /// the first.
    admission: Arc<Mutex<()>>,
}

impl RegistrationService {
    /// `catalog` remembers where datanodes are; `members` are in the order of their ids; the
    /// fingerprint is that of this coordinator's functions.
    pub fn new(
        catalog: CatalogHandle,
        members: Vec<Arc<Member>>,
        function_fingerprint: u64,
    ) -> Self {
        Self { catalog, members, function_fingerprint, admission: Arc::default() }
    }
}

/// Answers datanodes until `shutdown`. Boxed: whoever awaits it does not compile the server over
/// again.
///
/// # Errors
/// 22023 for TLS files that cannot be used; 58000.
pub fn serve_registration(
    service: RegistrationService,
    listener: TcpListener,
    credentials: Credentials,
    (settings, tls): (RpcSettings, Option<Tls>),
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let service = CoordinatorServer::new(service)
            .max_decoding_message_size(settings.message_bytes_max)
            .max_encoding_message_size(settings.message_bytes_max);
        let service = server(&settings, tls.as_ref())?
            .add_service(InterceptedService::new(service, Check(credentials)));
        serve(service, listener, &settings, shutdown).await
    })
}

#[tonic::async_trait]
impl Coordinator for RegistrationService {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterReply>, Status> {
        let (service, request) = (self.clone(), reachable(request));
        // A task of its own: it goes on, and lets nobody in before its end, when the caller is gone.
        let admitted = tokio::spawn(async move { service.admit(request).await }).await;
        let lost = |error| Err(ErrorReport::internal(format!("a registration was lost: {error}")));
        let reply = admitted.unwrap_or_else(lost).inspect_err(|error| {
            tracing::error!(%error, "a datanode was refused");
        });
        reply.map(Response::new).map_err(|report| to_status(&report))
    }
}

impl RegistrationService {
    async fn admit(&self, request: RegisterRequest) -> Result<RegisterReply> {
        let _one_at_a_time = self.admission.lock().await;
        let catalog = self.catalog.snapshot();
        let cluster = self.catalog.cluster_id();
        let known = admitted(&request, &catalog, cluster, self.function_fingerprint)?;
        let id = known.id;
        let member = self.members.get(id as usize);
        let member = member.ok_or_else(|| ErrorReport::internal(format!("no member {id}")))?;
        // Not to be remembered if it cannot be used.
        member.check_address(&request.address)?;
        if known.uuid != request.uuid || known.address != request.address {
            let change = CatalogChange::RegisterDatanode {
                id,
                uuid: request.uuid.clone(),
                address: request.address.clone(),
                shard_kind: request.shard_kind.clone(),
            };
            self.catalog.commit(None, vec![change], Utc::now()).await?;
        }
        member.set_address(&request.address)?;
        let (name, address) = (&request.name, &request.address);
        tracing::info!(datanode = name, address, uuid = request.uuid, "registered");
        Ok(RegisterReply {
            cluster_id: cluster.to_string(),
            datanode: id,
            coordinator_epoch: self.catalog.epoch(),
        })
    }
}

/// A datanode that listens on all addresses is where its call came from.
fn reachable(request: Request<RegisterRequest>) -> RegisterRequest {
    let peer = request.remote_addr();
    let mut request = request.into_inner();
    let unspecified =
        request.address.parse::<SocketAddr>().ok().filter(|a| a.ip().is_unspecified());
    if let (Some(address), Some(peer)) = (unspecified, peer) {
        request.address = SocketAddr::new(peer.ip(), address.port()).to_string();
    }
    request
}

/// The datanode that asks, if it may come in. Pure.
///
/// # Errors
/// 42704 for a name that the cluster does not have; 55000 for another engine, another kind of
/// shards than the cluster has, another cluster's directory, or another directory than this
/// datanode's.
fn admitted<'a>(
    request: &RegisterRequest,
    catalog: &'a Catalog,
    cluster: Uuid,
    function_fingerprint: u64,
) -> Result<&'a DatanodeDef> {
    let refused =
        |message: String| ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
    let name = &request.name;
    let known = catalog.datanodes.iter().find(|datanode| datanode.name == *name);
    let known = known.ok_or_else(|| {
        let names: Vec<_> = catalog.datanodes.iter().map(|d| d.name.as_str()).collect();
        let message = format!("there is no datanode \"{name}\" in the cluster");
        ErrorReport::new(SqlState::UNDEFINED_OBJECT, message)
            .hint(format!("Its datanodes are {}.", names.join(", ")))
    })?;
    if request.engine_version != ENGINE_VERSION {
        let theirs = &request.engine_version;
        return Err(refused(format!(
            "datanode \"{name}\" is \"{theirs}\" and the coordinator \"{ENGINE_VERSION}\""
        ))
        .hint("Install one version of Kestrel everywhere."));
    }
    if request.function_fingerprint != function_fingerprint {
        return Err(refused(format!(
            "datanode \"{name}\" and the coordinator have different functions"
        ))
        .hint("Install one version of Kestrel everywhere."));
    }
    if request.shard_kind != known.shard_kind {
        let (theirs, ours) = (&request.shard_kind, &known.shard_kind);
        return Err(refused(format!(
            "the shard of datanode \"{name}\" is of kind \"{theirs}\", and the cluster's are of \
             kind \"{ours}\""
        ))
        .hint(format!("Start the datanode with --shard-kind {ours}: a cluster has one kind.")));
    }
    let hint = "Give the directory that this datanode was started with before, or an empty one.";
    if !request.cluster_id.is_empty() && request.cluster_id != cluster.to_string() {
        return Err(refused(format!(
            "the directory of datanode \"{name}\" belongs to another cluster"
        ))
        .hint(hint));
    }
    if !known.uuid.is_empty() && known.uuid != request.uuid {
        // A directory that belongs to no cluster was made by this start.
        let is_new = request.cluster_id.is_empty();
        let what = if is_new { "this one is new" } else { "this is another one's" };
        return Err(refused(format!(
            "the directory of datanode \"{name}\" is not the one with its data"
        ))
        .detail(format!("The cluster knows it as {}; {what}: {}.", known.uuid, request.uuid))
        .hint(format!(
            "Start it with the directory that it had before. If that has been lost or wiped, \
             restore it from a backup: kestrel restore BACKUP --datanode {name} --directory DIRECTORY."
        )));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::MemberState;

    /// Two datanodes; the first has come already.
    fn datanodes() -> CatalogChange {
        let datanode = |id: u32| DatanodeDef {
            id,
            name: format!("dn{}", id + 1),
            uuid: if id == 0 { "known".into() } else { String::new() },
            address: String::new(),
            shard_kind: "columnar".into(),
        };
        let datanodes = (0..2).map(datanode).collect();
        CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 }
    }

    /// The first of them comes again.
    fn request() -> RegisterRequest {
        RegisterRequest {
            name: "dn1".into(),
            uuid: "known".into(),
            cluster_id: String::new(),
            address: "db1:5440".into(),
            engine_version: ENGINE_VERSION.into(),
            function_fingerprint: 7,
            shard_kind: "columnar".into(),
        }
    }

    async fn service(directory: &Path) -> RegistrationService {
        let catalog = CatalogHandle::open(directory.to_path_buf()).await.unwrap();
        catalog.commit(None, vec![datanodes()], Utc::now()).await.unwrap();
        let members = (0..2).map(|id| Arc::new(Member::unregistered(id))).collect();
        RegistrationService::new(catalog, members, 7)
    }

    #[test]
    fn only_the_clusters_own_datanodes_are_let_in() {
        let cluster = Uuid::new_v4();
        let catalog = Catalog::empty().apply(&[datanodes()]).unwrap();
        let good = RegisterRequest { cluster_id: cluster.to_string(), ..request() };
        let new = RegisterRequest {
            name: "dn2".into(),
            uuid: "new".into(),
            cluster_id: String::new(),
            ..good.clone()
        };
        let state = Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        for (request, expected) in [
            (good.clone(), Ok(0)),
            (new.clone(), Ok(1)),
            (RegisterRequest { name: "dn3".into(), ..new }, Err(SqlState::UNDEFINED_OBJECT)),
            (RegisterRequest { uuid: "other".into(), ..good.clone() }, state),
            (RegisterRequest { engine_version: "old".into(), ..good.clone() }, state),
            (RegisterRequest { function_fingerprint: 8, ..good.clone() }, state),
            (RegisterRequest { shard_kind: "kes".into(), ..good.clone() }, state),
            (RegisterRequest { cluster_id: Uuid::new_v4().to_string(), ..good }, state),
        ] {
            let found = admitted(&request, &catalog, cluster, 7);
            assert_eq!(found.map(|d| d.id).map_err(|e| e.sqlstate), expected, "{request:?}");
        }
    }

    #[tokio::test]
    async fn of_two_that_claim_one_name_one_is_let_in() {
        let directory = tempfile::tempdir().unwrap();
        let service = service(directory.path()).await;
        let claim = |uuid: &str| {
            service.admit(RegisterRequest { name: "dn2".into(), uuid: uuid.into(), ..request() })
        };
        let (one, two) = tokio::join!(claim("one"), claim("two"));
        let (winner, refused) = if one.is_ok() { ("one", two) } else { ("two", one) };
        let refused = refused.unwrap_err();
        assert_eq!(refused.sqlstate, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{refused}");
        assert_eq!(service.catalog.snapshot().datanodes[1].uuid, winner);
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_called_is_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let service = service(directory.path()).await;
        let version = service.catalog.snapshot().version;
        let bad = RegisterRequest { address: "db 1:5440".into(), ..request() };
        let error = service.admit(bad).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::INVALID_PARAMETER_VALUE, "{error}");
        assert_eq!(service.catalog.snapshot().version, version);
        assert_eq!(service.members[0].state(), MemberState::Unregistered);
        service.admit(request()).await.unwrap();
        assert_eq!(service.catalog.snapshot().datanodes[0].address, "db1:5440");
        assert_eq!(service.members[0].state(), MemberState::Starting);
    }
}
