//! Datanodes in the coordinator's process.

use std::{path::Path, sync::Arc};

use chrono::Utc;
use kestrel_coordinator::catalog::CatalogHandle;
use kestrel_datanode::{
    DatanodeSettings, LocalDatanode, PlanDecoder, Turns, check_directory, exchange::Peers,
};
use kestrel_planner::{
    catalog::{CatalogChange, DatanodeDef},
    functions::FunctionRegistry,
    memory::QueryMemory,
};
use kestrel_proto::{DatanodeId, Result};
use tokio::runtime::Handle;

use super::{ClusterOptions, Shards};

/// The address of a datanode in the coordinator's process.
const HERE: &str = "local";

/// Opens the datanodes of the directory; a new one gets as many as were asked for.
pub(super) async fn open_datanodes(
    (options, shards, catalog): (&ClusterOptions, &Shards, &CatalogHandle),
    functions: &Arc<FunctionRegistry>,
    runtime: &Handle,
) -> Result<Vec<Arc<LocalDatanode>>> {
    let known = catalog.snapshot().datanodes.clone();
    check_directories(&options.data, &known)?;
    let count = shards.count;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = QueryMemory::new(shards.memory.datanodes);
    let turns = Turns::new(cores);
    let peers = Arc::new(Peers::default());
    let decoder = Arc::new(PlanDecoder::new(Arc::clone(functions)));
    let mut datanodes = Vec::new();
    let mut definitions = Vec::new();
    for id in (0..count).map(DatanodeId) {
        let directory = options.data.join(id.name());
        let mut settings =
            DatanodeSettings::new(id, catalog.cluster_id(), &directory, memory.clone());
        settings.target_partitions = (cores / count as usize).max(1);
        settings.exchange = options.exchange.clone();
        settings.turns = turns.clone();
        settings.shard = shards.settings(id)?;
        settings.columnar.cache_bytes = shards.memory.cache / count as usize;
        let decoder = Arc::clone(&decoder) as _;
        let handle = runtime.clone();
        let datanode = LocalDatanode::open(settings, Arc::clone(&peers), decoder, handle)?;
        definitions.push(DatanodeDef {
            id: id.0,
            name: id.name(),
            uuid: datanode.uuid().to_string(),
            address: HERE.into(),
            shard_kind: shards.kind.to_string(),
        });
        datanodes.push(datanode);
    }
    let changes = changes(&known, definitions);
    catalog.commit(None, changes, Utc::now()).await?;
    Ok(datanodes)
}

/// A new cluster gets its datanodes; those that were elsewhere before are here now.
fn changes(known: &[DatanodeDef], opened: Vec<DatanodeDef>) -> Vec<CatalogChange> {
    if known.is_empty() {
        return vec![CatalogChange::SetDatanodes { datanodes: opened, bucket_map_version: 1 }];
    }
    let moved = opened.into_iter().filter(|datanode| !known.contains(datanode));
    moved
        .map(|DatanodeDef { id, uuid, address, shard_kind, .. }| CatalogChange::RegisterDatanode {
            id,
            uuid,
            address,
            shard_kind,
        })
        .collect()
}

/// Datanodes that the cluster knows have their directories here: a lost one is refused before a new,
/// empty one takes its place.
///
/// # Errors
/// 55000.
pub(super) fn check_directories(data: &Path, known: &[DatanodeDef]) -> Result<()> {
    for datanode in known.iter().filter(|datanode| !datanode.uuid.is_empty()) {
        let id = DatanodeId(datanode.id);
        check_directory(&data.join(id.name()), id, &datanode.uuid)?;
    }
    Ok(())
}
