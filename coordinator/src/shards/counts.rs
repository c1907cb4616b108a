//! How many rows databases got and lost, gathered until the catalog gets to know it. What is lost
//! here was only an estimate.

use std::collections::BTreeMap;

use kestrel_planner::catalog::{Catalog, CatalogChange};
use parking_lot::Mutex;

/// By table and datanode.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<(u64, u32), Count>>);

/// What one database got and lost of one table.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rows: i64,
    bytes: i64,
    /// Rows that have other values.
    updated: u64,
}

impl Counts {
    /// Adds what these changes count; whether they are the first, whose adder sees to it that they
    /// are taken.
    pub fn add(&self, changes: &[CatalogChange]) -> bool {
        let mut counts = self.0.lock();
        let were_none = counts.is_empty();
        for change in changes {
            if let CatalogChange::CountShardRows { table, datanode, rows, bytes, updated } = change
            {
                let count = counts.entry((*table, *datanode)).or_default();
                count.rows = count.rows.saturating_add(*rows);
                count.bytes = count.bytes.saturating_add(*bytes);
                count.updated = count.updated.saturating_add(*updated);
            }
        }
        were_none && !counts.is_empty()
    }

    /// What was gathered, of tables that there still are.
    pub fn take(&self, catalog: &Catalog) -> Vec<CatalogChange> {
        let counts = std::mem::take(&mut *self.0.lock());
        let counts = counts.into_iter();
        let known = counts.filter(|((table, _), _)| catalog.table_by_id(*table).is_some());
        let change = |((table, datanode), count): ((u64, u32), Count)| {
            let Count { rows, bytes, updated } = count;
            CatalogChange::CountShardRows { table, datanode, rows, bytes, updated }
        };
        known.map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_up_and_taken_once() {
        let counts = Counts::default();
        let count = |rows| CatalogChange::CountShardRows {
            table: 7,
            datanode: 1,
            rows,
            bytes: 8,
            updated: 2,
        };
        assert!(!counts.add(&[]));
        assert!(counts.add(&[count(3), count(-1)]));
        assert!(!counts.add(&[count(5)]));
        // The table is not there.
        assert_eq!(counts.take(&Catalog::empty()), []);
        assert!(counts.add(&[count(1)]));
    }
}
