//! What the probe has found, by name, for people and views; what the database can do, for whoever
//! makes SQL for it, too.

use kestrel_proto::ShardFacts;

use super::{Flavor, Probed};

impl Probed {
    /// By name; `true` or `false` for what there is or is not.
    pub(in crate::shard::kes) fn facts(&self) -> ShardFacts {
        let mut facts = self.capabilities.to_facts();
        let others = [
            ("flavor", self.flavor.name().to_string()),
            ("version", self.version.clone()),
            ("version_number", self.version_number.clone()),
            ("mode", self.mode.clone().unwrap_or_default()),
            ("export_snapshot", self.names.export_snapshot.is_some().to_string()),
            ("relation_size", self.names.relation_size.is_some().to_string()),
            ("prepared_transactions_max", self.prepared_transactions_max.to_string()),
            ("block_bytes", self.block_bytes.to_string()),
        ];
        facts.extend(others.map(|(name, value)| (name.to_string(), value)));
        facts
    }
}

impl Flavor {
    fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "PostgreSQL",
            Self::KingbaseEs => "KingbaseES",
        }
    }
}
