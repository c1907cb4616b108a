//! The statistics of a table.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{ColumnGroup, ColumnStatistics};

/// What ANALYZE has found out about a table. Those of a partitioned table are of the rows of all
/// its partitions, which have their own, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStatistics {
    /// The table's id.
    pub table: u64,
    /// Rows when all its columns were analyzed, or first some; of a replicated table those of one
    /// copy.
    pub rows: u64,
    /// Their bytes in memory, as Arrow, or in a database's files; of a replicated table those of one
    /// copy.
    pub bytes: u64,
    /// In the order of the datanodes. Of a replicated table each has all rows.
    pub shards: Vec<ShardStatistics>,
    /// What [`crate::catalog::Catalog::changed_rows`] was then; 0: only some columns were analyzed.
    pub changed_rows: u64,
    /// When ANALYZE last ran: microseconds since 1970. `None`: only automatically.
    pub analyzed_at_us: Option<i64>,
    /// When it was last analyzed automatically. `None`: never.
    pub auto_analyzed_at_us: Option<i64>,
    /// How often ANALYZE has run.
    pub analyze_count: u64,
    /// How often it was analyzed automatically.
    pub auto_analyze_count: u64,
    /// By column id. A column that came later, or that ANALYZE was not told, has no entry.
    pub columns: BTreeMap<u32, Arc<ColumnStatistics>>,
    /// What CREATE STATISTICS has asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Arc<ColumnGroup>>,
}

/// How much of a table one datanode had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatistics {
    /// The datanode's id.
    pub datanode: u32,
    /// Rows.
    pub rows: u64,
    /// Their bytes in memory, as Arrow, or in its database's files.
    pub bytes: u64,
}

impl TableStatistics {
    /// What is known of a column.
    pub fn column(&self, id: u32) -> Option<&ColumnStatistics> {
        self.columns.get(&id).map(|column| &**column)
    }

    /// When it was analyzed last, in whatever way: microseconds since 1970.
    pub fn last_analyzed_at_us(&self) -> Option<i64> {
        self.analyzed_at_us.max(self.auto_analyzed_at_us)
    }

    /// 0 … 100: how much of what the table has now is what was analyzed, when `changed` rows have
    /// come, gone or changed since and `rows` are there now (Doris' and TiDB's measure).
    pub fn health(changed: u64, rows: u64) -> u8 {
        let stale = changed as f64 / rows.max(1) as f64;
        (100.0 * (1.0 - stale)).clamp(0.0, 100.0).floor() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_what_has_not_changed() {
        assert_eq!(TableStatistics::health(0, 0), 100);
        assert_eq!(TableStatistics::health(10, 100), 90);
        assert_eq!(TableStatistics::health(1, 1000), 99);
        assert_eq!(TableStatistics::health(500, 100), 0);
    }
}
