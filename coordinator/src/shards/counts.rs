//! How many rows databases got, lost and changed, gathered until the catalog gets to know it. What is lost
//! here was only an estimate.

use std::collections::BTreeMap;

use kestrel_planner::catalog::{Catalog, CatalogChange};
use parking_lot::Mutex;

/// What was counted since it was taken last.
#[derive(Debug, Default)]
pub struct Counts(Mutex<Gathered>);

/// When the catalog is to get what was gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// There are as many rows as before: it only tells when to analyze.
    Later,
    /// Plans depend on it.
    Soon,
}

#[derive(Debug, Default)]
struct Gathered {
    /// By table and datanode.
    counts: BTreeMap<(u64, u32), Count>,
    /// When somebody takes them.
    due: Option<Due>,
    /// How often counts were taken.
    taken: u64,
}

/// What one database got and lost of one table.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rows: i64,
    bytes: i64,
    /// Rows that have other values.
    updated: u64,
}

impl Count {
    fn due(self) -> Due {
        if (self.rows, self.bytes) == (0, 0) { Due::Later } else { Due::Soon }
    }
}

impl Counts {
    /// Adds what these changes count. `Some`: nobody takes it so early yet, and the adder sees to it that
    /// it is; with how often counts [were taken](Self::taken), as somebody may do it before.
    pub fn add<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a CatalogChange>,
    ) -> Option<(Due, u64)> {
        let mut gathered = self.0.lock();
        let mut due = None;
        for change in changes {
            if let CatalogChange::CountShardRows { table, datanode, rows, bytes, updated } = change
            {
                let added = Count { rows: *rows, bytes: *bytes, updated: *updated };
                due = due.max(Some(added.due()));
                let count = gathered.counts.entry((*table, *datanode)).or_default();
                count.rows = count.rows.saturating_add(added.rows);
                count.bytes = count.bytes.saturating_add(added.bytes);
                count.updated = count.updated.saturating_add(added.updated);
            }
        }
        let due = due.filter(|_| due > gathered.due)?;
        gathered.due = Some(due);
        Some((due, gathered.taken))
    }

    /// How often counts were taken.
    pub fn taken(&self) -> u64 {
        self.0.lock().taken
    }

    /// What was gathered, of tables that there still are.
    pub fn take(&self, catalog: &Catalog) -> Vec<CatalogChange> {
        let counts = {
            let mut gathered = self.0.lock();
            let taken = gathered.taken + 1;
            std::mem::replace(&mut *gathered, Gathered { taken, ..Gathered::default() }).counts
        };
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

    fn count(rows: i64, updated: u64) -> CatalogChange {
        CatalogChange::CountShardRows { table: 7, datanode: 1, rows, bytes: 8 * rows, updated }
    }

    #[test]
    fn counts_are_added_up_and_taken_once() {
        let counts = Counts::default();
        assert_eq!(counts.add(&[]), None);
        assert_eq!(counts.add(&[count(3, 0), count(-1, 2)]), Some((Due::Soon, 0)));
        assert_eq!(counts.add(&[count(5, 0)]), None);
        // The table is not there.
        assert_eq!(counts.take(&Catalog::empty()), []);
        assert_eq!(counts.taken(), 1);
        assert_eq!(counts.add(&[count(1, 0)]), Some((Due::Soon, 1)));
    }

    #[test]
    fn updates_wait_until_rows_come_or_go() {
        let counts = Counts::default();
        assert_eq!(counts.add(&[count(0, 3)]), Some((Due::Later, 0)));
        assert_eq!(counts.add(&[count(0, 1)]), None);
        assert_eq!(counts.add(&[count(-1, 0)]), Some((Due::Soon, 0)));
        assert_eq!(counts.add(&[count(0, 1)]), None);
        assert_eq!(counts.add(&[count(1, 0)]), None);
        counts.take(&Catalog::empty());
        assert_eq!(counts.add(&[count(0, 1)]), Some((Due::Later, 1)));
    }
}
