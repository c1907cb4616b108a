//! Datanodes come and say who they are.

use std::{net::SocketAddr, sync::Arc};

use chrono::Utc;
use kestrel_planner::catalog::{Catalog, CatalogChange, DatanodeDef};
use kestrel_proto::{
    ENGINE_VERSION, ErrorReport, Result, SqlState,
    message::{
        RegisterReply, RegisterRequest,
        coordinator_server::{Coordinator, CoordinatorServer},
    },
    rpc::{Check, Credentials, RpcSettings, Tls, server, to_status},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, service::interceptor::InterceptedService,
    transport::server::TcpIncoming,
};
use uuid::Uuid;

use super::Member;
use crate::catalog::CatalogHandle;

/// Lets datanodes in.
pub struct RegistrationService {
    /// Remembers where they are.
    pub catalog: CatalogHandle,
    /// In the order of their ids.
    pub members: Vec<Arc<Member>>,
    /// Of this coordinator's functions.
    pub function_fingerprint: u64,
}

/// Answers datanodes until `shutdown`.
///
/// # Errors
/// 22023 for TLS files that cannot be used; 58000.
pub async fn serve_registration(
    service: RegistrationService,
    listener: TcpListener,
    credentials: Credentials,
    (settings, tls): (RpcSettings, Option<Tls>),
    shutdown: CancellationToken,
) -> Result<()> {
    let service = CoordinatorServer::new(service)
        .max_decoding_message_size(settings.message_bytes_max)
        .max_encoding_message_size(settings.message_bytes_max);
    server(&settings, tls.as_ref())?
        .add_service(InterceptedService::new(service, Check(credentials)))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            shutdown.cancelled_owned(),
        )
        .await
        .map_err(|error| {
            ErrorReport::new(SqlState::SYSTEM_ERROR, format!("the service has failed: {error}"))
        })
}

#[tonic::async_trait]
impl Coordinator for RegistrationService {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterReply>, Status> {
        let request = reachable(request);
        let reply = self.admit(request).await.inspect_err(|error| {
            tracing::error!(%error, "a datanode was refused");
        });
        reply.map(Response::new).map_err(|report| to_status(&report))
    }
}

impl RegistrationService {
    async fn admit(&self, request: RegisterRequest) -> Result<RegisterReply> {
        let catalog = self.catalog.snapshot();
        let cluster = self.catalog.cluster_id();
        let known = admitted(&request, &catalog, cluster, self.function_fingerprint)?;
        let id = known.id;
        let member = self.members.get(id as usize);
        let member = member.ok_or_else(|| ErrorReport::internal(format!("no member {id}")))?;
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
/// 42704 for a name that the cluster does not have; 55000 for another engine, another cluster's
/// directory, or another directory than this datanode's.
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
    let hint = "Give the directory that this datanode was started with before, or an empty one.";
    if !request.cluster_id.is_empty() && request.cluster_id != cluster.to_string() {
        return Err(refused(format!(
            "the directory of datanode \"{name}\" belongs to another cluster"
        ))
        .hint(hint));
    }
    if !known.uuid.is_empty() && known.uuid != request.uuid {
        return Err(refused(format!(
            "the directory of datanode \"{name}\" is not the one with its data"
        ))
        .detail(format!("The cluster knows it as {}; this is {}.", known.uuid, request.uuid))
        .hint("Start it with the directory that it had before."));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let datanode = |id: u32| DatanodeDef {
            id,
            name: format!("dn{}", id + 1),
            uuid: if id == 0 { "known".into() } else { String::new() },
            address: String::new(),
            shard_kind: "columnar".into(),
        };
        let datanodes = (0..2).map(datanode).collect();
        let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
        Catalog::empty().apply(&[change]).unwrap()
    }

    #[test]
    fn only_the_clusters_own_datanodes_are_let_in() {
        let cluster = Uuid::new_v4();
        let catalog = catalog();
        let good = RegisterRequest {
            name: "dn1".into(),
            uuid: "known".into(),
            cluster_id: cluster.to_string(),
            address: "db1:5440".into(),
            engine_version: ENGINE_VERSION.into(),
            function_fingerprint: 7,
            shard_kind: "columnar".into(),
        };
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
            (RegisterRequest { cluster_id: Uuid::new_v4().to_string(), ..good }, state),
        ] {
            let found = admitted(&request, &catalog, cluster, 7);
            assert_eq!(found.map(|d| d.id).map_err(|e| e.sqlstate), expected, "{request:?}");
        }
    }
}
