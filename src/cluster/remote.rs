//! The coordinator's side of datanodes in other processes: who they are, registration, heartbeats.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use kestrel_coordinator::{
    catalog::CatalogHandle,
    cluster::{Member, RegistrationService, monitor, serve_registration},
    engine::Engine,
};
use kestrel_planner::catalog::{CatalogChange, DatanodeDef};
use kestrel_proto::{
    Datanode, DatanodeId, ErrorReport, Result, SqlState,
    rpc::{Caller, Credentials, Secret, Tls},
};
use tokio::{net::TcpListener, runtime::Handle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{ClusterOptions, DatanodePlacement, Shards, local::check_directories};
use crate::shards::ShardKind;

/// Between two looks whether all datanodes have come.
const ARRIVAL_POLL: Duration = Duration::from_millis(20);
/// How long a start waits for the datanodes that it has started.
const ARRIVAL_WAIT_MAX: Duration = Duration::from_secs(30);

/// The datanodes of a cluster whose processes are others.
pub(super) struct Remote {
    /// In the order of their ids.
    pub(super) members: Vec<Arc<Member>>,
    caller: Caller,
    catalog: CatalogHandle,
}

impl Remote {
    /// The members that the catalog knows; a new catalog gets as many as were asked for.
    pub(super) async fn open(
        options: &ClusterOptions,
        shards: &Shards,
        catalog: &CatalogHandle,
    ) -> Result<Self> {
        let known = catalog.snapshot().datanodes.clone();
        let count = shards.count;
        if let DatanodePlacement::Processes { .. } = options.placement {
            check_directories(&options.data, &known)?;
        }
        if known.is_empty() {
            let datanodes = (0..count).map(|id| expected(id, shards.kind)).collect();
            let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
            catalog.commit(None, vec![change], Utc::now()).await?;
        }
        let secret = match &options.network.secret_file {
            Some(file) => Secret::read(file)?,
            None => Secret::read_or_create(&options.data.join("secret"))?,
        };
        let cluster = Some(catalog.cluster_id());
        let caller = Caller {
            settings: options.network.rpc.clone(),
            credentials: Credentials { secret, cluster, target: String::new() },
            tls: options.network.tls.as_ref().map(Tls::read).transpose()?,
            runtime: Handle::current(),
        };
        let epoch = catalog.epoch();
        let member = |id| Arc::new(Member::new(DatanodeId(id), caller.clone(), epoch));
        let members: Vec<_> = (0..count).map(member).collect();
        for datanode in &known {
            // Those that were in this process, or never came, have no address.
            if datanode.address.contains(':')
                && let Some(member) = members.get(datanode.id as usize)
                && let Err(error) = member.set_address(&datanode.address)
            {
                tracing::warn!(datanode = %member.id(), %error, "not called until it registers");
            }
        }
        Ok(Self { members, caller, catalog: catalog.clone() })
    }

    /// Lets datanodes register and watches them, until `shutdown`, in `tasks`.
    pub(super) fn start(
        &self,
        tasks: &mut JoinSet<()>,
        listener: TcpListener,
        options: &ClusterOptions,
        engine: &Arc<Engine>,
        shutdown: &CancellationToken,
    ) {
        let fingerprint = engine.cluster.functions.fingerprint();
        let service =
            RegistrationService::new(self.catalog.clone(), self.members.clone(), fingerprint);
        // A datanode that registers for the first time does not know the cluster yet.
        let credentials = Credentials {
            cluster: None,
            target: "coordinator".into(),
            ..self.caller.credentials.clone()
        };
        let with = (self.caller.settings.clone(), self.caller.tls.clone());
        let served = serve_registration(service, listener, credentials, with, shutdown.clone());
        tasks.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "datanodes cannot register");
            }
        });
        for member in &self.members {
            let engine = Arc::clone(engine);
            let welcome = Arc::new(move |member: &Member| engine.known_files(member.id()));
            let settings = options.network.cluster.clone();
            tasks.spawn(monitor(Arc::clone(member), settings, welcome, shutdown.clone()));
        }
    }

    /// Waits until every datanode can be used.
    ///
    /// # Errors
    /// 58K01 with those that did not come in time.
    pub(super) async fn arrival(&self) -> Result<()> {
        let missing = || {
            let missing = self.members.iter().filter(|member| !member.state().is_usable());
            missing.map(|member| member.id().name()).collect::<Vec<_>>()
        };
        let arrived = async {
            while !missing().is_empty() {
                tokio::time::sleep(ARRIVAL_POLL).await;
            }
        };
        tokio::time::timeout(ARRIVAL_WAIT_MAX, arrived).await.map_err(|_| {
            let (missing, seconds) = (missing().join(", "), ARRIVAL_WAIT_MAX.as_secs());
            let message = format!("{missing} did not start within {seconds} seconds");
            ErrorReport::new(SqlState::DATANODE_LOST, message).hint(
                "The log lines of the datanodes say why. If another process has one of their \
                 ports, stop it, or choose another --listen: then they take free ports.",
            )
        })
    }
}

/// A datanode that has not registered yet.
fn expected(id: u32, shard_kind: ShardKind) -> DatanodeDef {
    DatanodeDef {
        id,
        name: DatanodeId(id).name(),
        uuid: String::new(),
        address: String::new(),
        shard_kind: shard_kind.to_string(),
    }
}
