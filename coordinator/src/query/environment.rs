//! What a query runs with besides its plan.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use datafusion::execution::SessionState;
use kestrel_planner::{
    catalog::Catalog,
    functions::{FunctionRegistry, SessionFormats},
    join_order::JoinOrderSettings,
    memory::QueryMemory,
    rule_switches::RuleSwitches,
};
use kestrel_proto::{
    Datanode, DatanodeId, ENGINE_VERSION, ErrorReport, QueryId, Result, SnapshotScope,
    TransactionId,
    message::{Fragment, Peer},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{ClusterSettings, Member, MemberState},
    shards::{BlockSnapshot, Shards},
};

/// The processes a query runs on.
#[derive(Clone)]
pub struct Cluster {
    /// In the order of their ids.
    pub datanodes: Vec<Arc<dyn Datanode>>,
    /// Known on both sides.
    pub functions: Arc<FunctionRegistry>,
    /// Runs slice 0: one partition, the coordinator's memory pool.
    pub state: Arc<SessionState>,
    /// That pool, and what each query has of it.
    pub memory: QueryMemory,
    /// The runtime that queries run on; not the one that answers clients.
    pub runtime: Handle,
    /// This start of the coordinator.
    pub epoch: u64,
    /// Those of `datanodes` that are in other processes, in the same order: all or none.
    pub members: Vec<Arc<Member>>,
    /// How those are watched.
    pub settings: ClusterSettings,
    /// Commits on the databases beside the datanodes.
    pub shards: Arc<Shards>,
}

impl Cluster {
    /// The datanode of this id.
    pub fn datanode(&self, id: DatanodeId) -> Result<&Arc<dyn Datanode>> {
        self.datanodes
            .get(id.0 as usize)
            .ok_or_else(|| ErrorReport::internal(format!("datanode {id} is not in the cluster")))
    }

    /// Whether fragments run in this process.
    pub(super) fn is_one_process(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether all these datanodes may be called.
    ///
    /// # Errors
    /// 58K01 for the first that may not.
    pub(crate) fn check_usable(&self, datanodes: &[DatanodeId]) -> Result<()> {
        let mut members = datanodes.iter().filter_map(|id| self.members.get(id.0 as usize));
        members.try_for_each(|member| member.check_usable())
    }

    /// What is known of each datanode. Those of this process are up.
    pub fn datanode_states(&self) -> Vec<(DatanodeId, MemberState)> {
        let state = |id: DatanodeId| {
            self.members.get(id.0 as usize).map_or(MemberState::Up, |member| member.state())
        };
        self.datanodes.iter().map(|d| d.id()).map(|id| (id, state(id))).collect()
    }

    /// Where the datanodes of other processes are.
    fn peers(&self) -> Vec<Peer> {
        let peer = |member: &Arc<Member>| {
            Some(Peer { datanode: member.id().0, address: member.address()? })
        };
        self.members.iter().filter_map(peer).collect()
    }
}

/// One statement's execution.
#[derive(Clone, Debug)]
pub struct QueryEnvironment {
    /// Its id.
    pub id: QueryId,
    /// The catalog version it reads.
    pub catalog_version: u64,
    /// What was committed when it was planned: where it looks for rows that others may take elsewhere.
    pub base: Arc<Catalog>,
    /// The bucket map it moves rows by.
    pub bucket_map_version: u64,
    /// The transaction it belongs to.
    pub transaction: TransactionId,
    /// When it must have ended.
    pub deadline: Option<Instant>,
    /// Cancelled by the client or an operator.
    pub cancel: CancellationToken,
    /// Report rows and time per operator.
    pub collect_metrics: bool,
    /// Bytes that it may hold in each process; 0: whatever there is.
    pub memory_limit_bytes: u64,
    /// What scans of databases read; settled when the query runs. `None`: no two scans read.
    pub snapshot: Option<SnapshotScope>,
    /// In a block: what they read in all of its statements.
    pub block: Option<BlockSnapshot>,
    /// Datanodes whose databases have uncommitted rows of the transaction, which it is to see.
    pub wrote_on: BTreeSet<DatanodeId>,
    /// The session's settings that functions follow, and its switches of rules, where they are not
    /// the defaults.
    pub options: HashMap<String, String>,
}

impl QueryEnvironment {
    /// The fragment of one slice for one datanode.
    pub(super) fn fragment(
        &self,
        cluster: &Cluster,
        slice: u32,
        datanode: DatanodeId,
        plan: bytes::Bytes,
    ) -> Fragment {
        Fragment {
            query_id: self.id.to_bytes().to_vec().into(),
            slice,
            datanode: datanode.0,
            coordinator_epoch: cluster.epoch,
            catalog_version: self.catalog_version,
            transaction_id: self.transaction.0,
            bucket_map_version: self.bucket_map_version,
            engine_version: ENGINE_VERSION.into(),
            function_fingerprint: cluster.functions.fingerprint(),
            milliseconds_left: self.milliseconds_left(),
            plan,
            collect_metrics: self.collect_metrics,
            peers: cluster.peers(),
            memory_quota_bytes: self.memory_limit_bytes,
            options: self.options.clone(),
            reads_own_writes: self.wrote_on.contains(&datanode),
            snapshot: self.snapshot.map(SnapshotScope::to_message),
            in_block: self.block.is_some(),
        }
    }

    /// How the session reads and writes values.
    pub(crate) fn formats(&self) -> Result<SessionFormats> {
        SessionFormats::from_settings(&self.options)
    }

    /// Which rules the session has switched off.
    pub(crate) fn rules(&self) -> Result<RuleSwitches> {
        RuleSwitches::from_settings(&self.options)
    }

    /// What orders of joins the session lets be tried.
    pub(crate) fn join_order(&self) -> Result<JoinOrderSettings> {
        JoinOrderSettings::from_settings(&self.options)
    }

    fn milliseconds_left(&self) -> u64 {
        let Some(deadline) = self.deadline else { return 0 };
        let left = deadline.saturating_duration_since(Instant::now());
        // 0 is any time.
        (left.as_millis() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;

    use super::*;

    #[tokio::test]
    async fn only_datanodes_of_other_processes_can_be_down() {
        let cluster = Cluster {
            datanodes: Vec::new(),
            functions: FunctionRegistry::new(),
            state: Arc::new(SessionStateBuilder::new().build()),
            memory: QueryMemory::new(1 << 20),
            runtime: Handle::current(),
            epoch: 1,
            members: vec![Arc::new(Member::unregistered(0))],
            settings: ClusterSettings::default(),
            shards: Arc::default(),
        };
        let here = Cluster { members: Vec::new(), ..cluster.clone() };
        let datanode = DatanodeId(0);
        assert_eq!(here.check_usable(&[datanode]), Ok(()));
        assert_eq!(cluster.check_usable(&[]), Ok(()));
        let lost = cluster.check_usable(&[datanode]).unwrap_err();
        assert_eq!(lost.datanode, Some(datanode.name()));
    }
}
