//! What the datanodes of a cluster keep their shards in, and what is started for that.

use kestrel_datanode::shard::ShardSettings;
use kestrel_planner::catalog::DatanodeDef;
use kestrel_proto::{DatanodeId, ErrorReport, Result, SqlState};

use super::{ClusterOptions, DatanodePlacement, servers::Servers};
use crate::{
    memory::MemoryParts,
    shards::{ServerLayout, ShardDatabase, ShardKind},
};

/// Datanodes of a new cluster, unless it is told otherwise.
const DEFAULT_DATANODES: u32 = 3;

/// The shards of a cluster.
pub(super) struct Shards {
    /// Of all of them.
    pub(super) kind: ShardKind,
    /// How many there are.
    pub(super) count: u32,
    /// The parts of the memory limit.
    pub(super) memory: MemoryParts,
    /// By datanode id; empty: files, or databases that only their datanodes know.
    databases: Vec<ShardDatabase>,
    /// Started here.
    pub(super) servers: Option<Servers>,
}

impl Shards {
    /// Those of the cluster that knows these datanodes; a new one gets what was asked for. Nothing
    /// is touched before it is clear that the directory is what was asked for.
    ///
    /// # Errors
    /// 55000 when the directory has other ones; 22023; what keeps a server from starting.
    pub(super) async fn open(options: &ClusterOptions, known: &[DatanodeDef]) -> Result<Self> {
        let count = datanode_count(options, known)?;
        let kind = ShardKind::of_cluster(options.shards.kind, known, &options.data)?;
        let databases = options.shards.databases.clone();
        let memory = MemoryParts::without_servers(options.memory_limit, options.cache_size);
        check_databases(kind, count, &databases)?;
        let mut shards = Self { kind, count, memory, databases, servers: None };
        let is_local = options.placement != DatanodePlacement::Elsewhere;
        if kind == ShardKind::Kes && is_local && shards.databases.is_empty() {
            shards.start_servers(options, known).await?;
        }
        Ok(shards)
    }

    async fn start_servers(
        &mut self,
        options: &ClusterOptions,
        known: &[DatanodeDef],
    ) -> Result<()> {
        check_servers_are_there(options, known)?;
        self.memory = MemoryParts::with_servers(options.memory_limit, options.cache_size);
        let each = self.memory.servers / self.count.max(1) as usize;
        let servers = Servers::start(&options.data, self.count, each).await?;
        self.databases = servers.databases();
        self.servers = Some(servers);
        Ok(())
    }

    /// How a datanode in this process gets to its shard.
    ///
    /// # Errors
    /// F0000 when the password cannot be read.
    pub(super) fn settings(&self, datanode: DatanodeId) -> Result<ShardSettings> {
        let database = self.databases.get(datanode.0 as usize);
        database.map_or_else(|| Ok(ShardSettings::Columnar), ShardDatabase::open)
    }

    /// The flags of a datanode in a process of its own.
    pub(super) fn arguments(&self, datanode: DatanodeId) -> Vec<String> {
        let database = self.databases.get(datanode.0 as usize);
        database.map_or_else(Vec::new, ShardDatabase::arguments)
    }
}

/// How many datanodes the cluster has.
///
/// # Errors
/// 55000 when the directory has another number than was asked for.
fn datanode_count(options: &ClusterOptions, known: &[DatanodeDef]) -> Result<u32> {
    match (options.datanodes, known.len() as u32) {
        (asked, 0) => Ok(asked.unwrap_or(DEFAULT_DATANODES).max(1)),
        (Some(asked), there) if asked != there => Err(ErrorReport::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "\"{}\" is the directory of a cluster with {there} datanodes, not {asked}",
                options.data.display()
            ),
        )
        .hint("Leave out --datanodes.")),
        (_, there) => Ok(there),
    }
}

fn check_databases(kind: ShardKind, count: u32, databases: &[ShardDatabase]) -> Result<()> {
    let given = databases.len();
    let wrong = match kind {
        ShardKind::Columnar if given > 0 => "shards in files have no databases".to_string(),
        ShardKind::Kes if given > 0 && given != count as usize => {
            format!("{count} datanodes need a database each, not {given}")
        }
        ShardKind::Columnar | ShardKind::Kes => return Ok(()),
    };
    Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, wrong))
}

/// A new server would have no rows: not for a datanode that has some.
fn check_servers_are_there(options: &ClusterOptions, known: &[DatanodeDef]) -> Result<()> {
    for datanode in known.iter().filter(|datanode| !datanode.uuid.is_empty()) {
        let data = ServerLayout::new(&options.data, DatanodeId(datanode.id)).data();
        if !data.exists() {
            let message =
                format!("the shard of {} is not in \"{}\"", datanode.name, data.display());
            let state = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
            return Err(ErrorReport::new(state, message).hint(
                "Put the directory back. If the shard is in a database of your own, start the \
                 cluster with kestrel coordinator and kestrel datanode.",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kestrel_datanode::shard::kes::session::Address;

    use super::*;
    use crate::shards::PasswordSource;

    #[test]
    fn each_datanode_has_one_database() {
        let database = ShardDatabase::new(
            Address::new("db1", 5432),
            "kestrel",
            "kestrel",
            PasswordSource::None,
        );
        for (kind, given, fits) in [
            (ShardKind::Columnar, 0, true),
            (ShardKind::Columnar, 3, false),
            (ShardKind::Kes, 0, true),
            (ShardKind::Kes, 2, false),
            (ShardKind::Kes, 3, true),
        ] {
            let checked = check_databases(kind, 3, &vec![database.clone(); given]);
            assert_eq!(checked.is_ok(), fits, "{kind} with {given}: {checked:?}");
        }
    }
}
