//! The scans that rows come from, and the values that columns were found among.
//!
//! A condition says nothing new of rows that it has chosen already. Where two columns were both kept to
//! the values of one filtered scan, that is what they have in common when they are joined, not all that
//! their tables have: an IN that a query has twice, a table joined with itself under one condition, an
//! aggregate's input that [`crate::rewrite`] has kept to what the other side wants. Scans are the same by
//! table and filters, joins by what is joined; filters that stand elsewhere are never the same.

use std::sync::Arc;

use super::{ColumnFacts, Estimate, Origin, TableFacts};

/// The scans that an operator's rows come from.
#[derive(Clone, Debug, Default)]
pub struct Scans {
    /// Each row is made of one of each, or has found one in a semi join.
    joined: Arc<[Arc<TableFacts>]>,
    /// Has nothing but that taken rows away?
    is_all: bool,
}

/// The values of a column of joined scans.
#[derive(Clone, Debug)]
pub struct ValueSet {
    /// The column.
    origin: Origin,
    /// Joined with each other.
    scans: Arc<[Arc<TableFacts>]>,
    /// How many values there are.
    distinct: f64,
}

/// A column of an operator's output, and where its rows come from.
pub(super) type Found<'a> = (&'a ColumnFacts, &'a Scans);

impl Scans {
    pub(super) fn of(table: &Arc<TableFacts>) -> Self {
        Self { joined: Arc::new([Arc::clone(table)]), is_all: true }
    }

    /// Of rows that find their like in the other's.
    pub(super) fn and(&self, other: &Self) -> Self {
        let joined = self.joined.iter().chain(other.joined.iter()).cloned().collect();
        Self { joined, is_all: self.is_all && other.is_all }
    }

    /// Something else takes rows away.
    pub(super) fn restricted(&self) -> Self {
        Self { is_all: false, ..self.clone() }
    }

    /// Are these among them, each as often?
    fn include(&self, scans: &[Arc<TableFacts>]) -> bool {
        let count = |all: &[Arc<TableFacts>], scan: &TableFacts| {
            all.iter().filter(|one| one.is_like(scan)).count()
        };
        scans.iter().all(|scan| count(scans, scan) <= count(&self.joined, scan))
    }
}

impl Estimate {
    /// What a scan gives, after its filters, by which [`TableFacts`] know it.
    pub(crate) fn scanned(mut self) -> Self {
        self.scans.is_all = true;
        if !self.scans.joined.iter().any(|scan| scan.is_filtered()) {
            return self;
        }
        let columns = self.columns.iter().map(|column| {
            let sets = own((column, &self.scans)).into_iter().collect();
            ColumnFacts { sets, ..column.clone() }
        });
        let columns = columns.collect();
        self.of_columns(columns)
    }
}

impl ValueSet {
    /// Has it all values of a column?
    fn has(&self, (column, scans): Found<'_>) -> bool {
        origins(column).any(|origin| origin.is_like(&self.origin)) && scans.include(&self.scans)
    }

    fn is(&self, other: &Self) -> bool {
        self.origin == other.origin && Arc::ptr_eq(&self.scans, &other.scans)
    }
}

/// The columns of scans among whose values those of a column are.
fn origins(column: &ColumnFacts) -> impl Iterator<Item = &Origin> {
    let sets = column.sets.iter().map(|set| &set.origin);
    column.origin.iter().chain(&column.class).chain(column.equal.iter()).chain(sets)
}

/// A column's values themselves; `None`: what they were chosen by is not known.
fn own((column, scans): Found<'_>) -> Option<ValueSet> {
    let origin = column.class.clone().filter(|_| scans.is_all)?;
    let scans = Arc::clone(&scans.joined);
    Some(ValueSet { origin, scans, distinct: column.distinct? })
}

/// What the values of a column are among that equals another, in the same row or in one of `other`'s.
pub(super) fn found_in(column: &ColumnFacts, other: Found<'_>) -> Arc<[ValueSet]> {
    with(&column.sets, other.0.sets.iter().chain(own(other).iter()))
}

/// What the values of two columns are among that are equal in each row.
pub(super) fn of_both(one: &ColumnFacts, other: &ColumnFacts) -> Arc<[ValueSet]> {
    with(&one.sets, other.sets.iter())
}

fn with<'a>(
    sets: &'a Arc<[ValueSet]>,
    more: impl Iterator<Item = &'a ValueSet>,
) -> Arc<[ValueSet]> {
    let is_new = |set: &&ValueSet| !sets.iter().any(|known| known.is(set));
    let mut more = more.filter(is_new).peekable();
    match more.peek() {
        Some(_) => sets.iter().chain(more).cloned().collect(),
        None => Arc::clone(sets),
    }
}

/// How many values there are in the smallest set that both columns were found among; `None`: there is
/// none that is known to have both.
pub(super) fn shared(left: Found<'_>, right: Found<'_>) -> Option<f64> {
    let has_like = |one: &Origin| origins(right.0).any(|other| one.is_like(other));
    if !origins(left.0).any(has_like) {
        return None;
    }
    let own = [own(left), own(right)];
    let sets = left.0.sets.iter().chain(right.0.sets.iter()).chain(own.iter().flatten());
    let common = sets.filter(|set| set.has(left) && set.has(right));
    let least = common.map(|set| set.distinct).reduce(f64::min)?;
    let present = |column: &ColumnFacts| column.distinct.unwrap_or(1.0);
    Some(least.max(present(left.0)).max(present(right.0)).max(1.0))
}
