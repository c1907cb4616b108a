//! Ships the fragments of all slices at once.

use std::sync::Arc;

use kestrel_planner::{codec, error::report, plan::Plan};
use kestrel_proto::{DatanodeId, Result, message::FragmentReport};
use prost::Message;
use tokio::task::JoinSet;

use super::{Cluster, QueryEnvironment};

/// The fragments of a query, running.
pub(super) struct Fragments {
    /// Each ends with its report or its error.
    pub(super) running: JoinSet<Result<(u32, DatanodeId, FragmentReport)>>,
    /// Where there are or were fragments.
    pub(super) datanodes: Vec<DatanodeId>,
}

/// Encodes every slice for every datanode that runs it, then starts them all.
///
/// # Errors
/// 58K01, and nothing was sent, when one of these datanodes is down.
pub(super) fn dispatch(
    cluster: &Cluster,
    plan: &Plan,
    environment: &QueryEnvironment,
) -> Result<Fragments> {
    let slices = || plan.slices.iter().filter(|slice| slice.id.0 != 0);
    let executors = slices().flat_map(|slice| slice.executors.iter().copied());
    let mut datanodes: Vec<DatanodeId> = executors.collect();
    datanodes.sort();
    datanodes.dedup();
    // While a datanode is down, queries that cannot reach it leave it no ends to hear of.
    cluster.check_usable(&datanodes)?;
    let mut encoded = Vec::new();
    for slice in slices() {
        for datanode in &slice.executors {
            let bytes =
                codec::encode_plan(&slice.plan, *datanode, &cluster.functions).map_err(report)?;
            let fragment = environment.fragment(cluster, slice.id.0, *datanode, bytes);
            encoded.push((slice.id.0, *datanode, bytes::Bytes::from(fragment.encode_to_vec())));
        }
    }
    let mut running = JoinSet::new();
    for (slice, id, fragment) in encoded {
        let datanode = Arc::clone(cluster.datanode(id)?);
        running.spawn_on(
            async move {
                let done = datanode.run(fragment).await;
                done.map(|report| (slice, id, report)).map_err(|e| e.on_datanode(id.name()))
            },
            &cluster.runtime,
        );
    }
    Ok(Fragments { running, datanodes })
}
