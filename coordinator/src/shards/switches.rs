//! Whether a table's rows are where a plan looks for them. ALTER TABLE … SET DISTRIBUTED takes the rows
//! of a table in databases to other datanodes, beside queries that were planned before.
//!
//! ```text
//! the switch     latch on all datanodes | noted here | catalog | dn1 COMMIT PREPARED | dn2 … | latch off
//! snapshots      latch on those that are read | newest catalog compared | opened | latch off
//! ```
//!
//! - Who opens snapshots has the latch: a switch has been committed on all the datanodes that are read,
//!   and is in the catalog, or it has not begun to be, and is not. So the newest catalog says where the
//!   rows of these snapshots are, and a plan over a catalog that says the same finds them. A block
//!   remembers the catalog of its snapshot, by which all of its plans are judged: what is switched later
//!   it does not see.
//! - A scan that opens its snapshot itself does so at some time after the latch. If it sees the rows
//!   where a switch has taken them, this was noted before: before the scan's first row. A switch that is
//!   not noted by then it does not see. Two switches that undo each other are two.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_planner::catalog::{Catalog, CatalogChange};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;

use super::Shards;

/// The message of [`check_unmoved`]'s error.
const MOVED: &str = "could not serialize access due to ALTER TABLE ... SET DISTRIBUTED";

/// How often the rows of tables in databases were taken to other datanodes since the start.
#[derive(Debug, Default)]
pub struct Switches(Mutex<BTreeMap<u64, u64>>);

impl Switches {
    /// These changes are about to be committed.
    pub fn note(&self, changes: &[CatalogChange]) {
        for change in changes {
            if let CatalogChange::AlterTable { before, after } = change
                && after.is_on_shards()
                && before.distribution != after.distribution
            {
                *self.0.lock().entry(after.id).or_default() += 1;
            }
        }
    }

    /// How many there were, of all these tables.
    fn of(&self, tables: &BTreeSet<u64>) -> u64 {
        let counts = self.0.lock();
        tables.iter().filter_map(|id| counts.get(id)).sum()
    }
}

/// Whether the rows of some tables have stayed since this was made.
#[derive(Clone, Debug)]
pub struct SwitchWatch {
    shards: Arc<Shards>,
    tables: BTreeSet<u64>,
    seen: u64,
    /// They must stay to the end of what reads them; else until its first row.
    pub is_until_end: bool,
}

impl SwitchWatch {
    /// From now on.
    pub fn begin(shards: &Arc<Shards>, tables: BTreeSet<u64>, is_until_end: bool) -> Self {
        let seen = shards.switches.of(&tables);
        Self { shards: Arc::clone(shards), tables, seen, is_until_end }
    }

    /// # Errors
    /// 40001: they have not.
    pub fn check(&self) -> Result<()> {
        match self.shards.switches.of(&self.tables) == self.seen {
            true => Ok(()),
            false => Err(moved("Rows of a table that it reads were moved meanwhile.".into())),
        }
    }
}

/// Whether the rows of these tables are in `newest` where they are in `base`.
///
/// # Errors
/// 40001: those of one are not.
pub fn check_unmoved(tables: &BTreeSet<u64>, base: &Catalog, newest: &Catalog) -> Result<()> {
    if std::ptr::eq(base, newest) {
        return Ok(());
    }
    let both =
        tables.iter().filter_map(|id| Some((base.table_by_id(*id)?, newest.table_by_id(*id)?)));
    let mut moved_tables = both.filter(|(then, now)| then.distribution != now.distribution);
    match moved_tables.next() {
        None => Ok(()),
        Some((_, now)) => {
            Err(moved(format!("The rows of table \"{}\" were moved meanwhile.", now.name)))
        }
    }
}

/// Is it an error of those above? A statement that has done nothing yet may be planned again.
pub fn is_moved(error: &ErrorReport) -> bool {
    error.sqlstate == SqlState::SERIALIZATION_FAILURE && error.message == MOVED
}

fn moved(detail: String) -> ErrorReport {
    ErrorReport::new(SqlState::SERIALIZATION_FAILURE, MOVED)
        .detail(detail)
        .hint("Run the transaction again.")
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::{Distribution, Storage, TableDef};

    use super::*;

    fn table(id: u64, distribution: Distribution) -> TableDef {
        let name = format!("t{id}");
        let table = TableDef::new(id, ("public", &name), vec![], distribution);
        TableDef { storage: Storage::Shard, ..table }
    }

    fn alter(before: &TableDef, after: &TableDef) -> CatalogChange {
        CatalogChange::AlterTable { before: before.clone().into(), after: after.clone().into() }
    }

    #[test]
    fn switches_are_seen_though_they_undo_each_other() {
        let hash = table(20_000, Distribution::Hash(vec![1]));
        let random = table(20_000, Distribution::Random);
        let (other, renamed) =
            (table(20_001, Distribution::Random), TableDef { name: "u".into(), ..hash.clone() });
        let shards = Arc::new(Shards::default());
        let watch = |ids: &[u64]| SwitchWatch::begin(&shards, ids.iter().copied().collect(), false);
        let (first, of_other) = (watch(&[20_000, 20_001]), watch(&[20_001]));
        shards.switches.note(&[alter(&hash, &renamed), CatalogChange::CreateTable(other)]);
        assert_eq!(first.check(), Ok(()));
        shards.switches.note(&[alter(&hash, &random)]);
        shards.switches.note(&[alter(&random, &hash)]);
        assert!(is_moved(&first.check().unwrap_err()));
        assert_eq!(of_other.check(), Ok(()));
        assert_eq!(watch(&[20_000]).check(), Ok(()));
    }

    #[test]
    fn plans_are_judged_by_where_rows_are() {
        let hash = table(20_000, Distribution::Hash(vec![1]));
        let with =
            |table: TableDef| Catalog::empty().apply(&[CatalogChange::CreateTable(table)]).unwrap();
        let base = with(hash.clone());
        let check = |newest: &Catalog| check_unmoved(&[20_000, 7].into(), &base, newest);
        assert_eq!(check(&base), Ok(()));
        assert_eq!(check(&with(TableDef { name: "u".into(), ..hash })), Ok(()));
        // The database has its own word for that.
        assert_eq!(check(&Catalog::empty()), Ok(()));
        let error = check(&with(table(20_000, Distribution::Replicated))).unwrap_err();
        assert!(is_moved(&error), "{error}");
        assert_eq!(
            error.detail.as_deref(),
            Some("The rows of table \"t20000\" were moved meanwhile.")
        );
    }
}
