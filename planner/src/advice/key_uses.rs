//! What queries join and group by, and what of tables they move: counts, of which old ones fade.

use std::collections::{BTreeSet, HashMap};

use super::{PlanFacts, RunFacts};

/// Keys and tables that are counted; beyond that the rare ones are forgotten.
const COUNTED_MAX: usize = 4096;

/// Counts of one coordinator.
#[derive(Clone, Debug, Default)]
pub struct KeyUses {
    /// By table and the columns that one join or grouping names.
    keys: HashMap<(u64, BTreeSet<u32>), u64>,
    /// By table.
    moved: HashMap<u64, MovedTable>,
}

/// What queries have moved of a table, as it is stored, to other datanodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovedTable {
    /// Motions.
    pub motions: u64,
    /// Bytes of their rows, each once for each receiver.
    pub bytes: u64,
}

impl KeyUses {
    /// A query was planned.
    pub fn note(&mut self, facts: &PlanFacts) {
        for (table, columns) in &facts.keys {
            self.note_key(*table, columns);
        }
    }

    /// A join or grouping by these columns of a table.
    pub fn note_key(&mut self, table: u64, columns: &BTreeSet<u32>) {
        let key = (table, columns.clone());
        if !self.keys.contains_key(&key) && self.keys.len() >= COUNTED_MAX {
            self.keys.values_mut().for_each(|count| *count /= 2);
            self.keys.retain(|_, count| *count > 0);
        }
        *self.keys.entry(key).or_default() += 1;
    }

    /// A query has run.
    pub fn note_run(&mut self, facts: &PlanFacts, run: &RunFacts) {
        for motion in &facts.motions {
            let (Some(table), Some(carried)) = (motion.only_table, run.motion(motion.number))
            else {
                continue;
            };
            if !motion.is_between_datanodes {
                continue;
            }
            if !self.moved.contains_key(&table) && self.moved.len() >= COUNTED_MAX {
                self.moved.clear();
            }
            let moved = self.moved.entry(table).or_default();
            moved.motions += 1;
            moved.bytes = moved.bytes.saturating_add(carried.bytes());
        }
    }

    /// How many joins and groupings need no motion of the table when it is distributed by these
    /// columns: those that name all of them.
    pub fn served_by(&self, table: u64, columns: &[u32]) -> u64 {
        let keys = self.keys.iter().filter(|((of, _), _)| *of == table);
        let served = keys.filter(|((_, key), _)| columns.iter().all(|id| key.contains(id)));
        served.map(|(_, count)| count).sum()
    }

    /// What queries have moved of a table.
    pub fn moved(&self, table: u64) -> MovedTable {
        self.moved.get(&table).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_serves_joins_that_name_all_of_it() {
        let mut uses = KeyUses::default();
        for (table, columns, times) in [(1, &[2][..], 3), (1, &[2, 3], 2), (2, &[2], 7)] {
            for _ in 0..times {
                uses.note_key(table, &columns.iter().copied().collect());
            }
        }
        for (columns, expected) in [(&[2][..], 5), (&[2, 3], 2), (&[3], 2), (&[4], 0)] {
            assert_eq!(uses.served_by(1, columns), expected, "{columns:?}");
        }
    }

    #[test]
    fn counts_have_a_bound_and_rare_ones_go() {
        let mut uses = KeyUses::default();
        let key = BTreeSet::from([1]);
        for _ in 0..4 {
            uses.note_key(0, &key);
        }
        for table in 1..2 * COUNTED_MAX as u64 {
            uses.note_key(table, &key);
        }
        assert!(uses.keys.len() <= COUNTED_MAX);
    }
}
