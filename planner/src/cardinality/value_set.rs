//! The scans that rows come from, and the values that columns were found among.
//!
//! A condition says nothing new of rows that it has chosen already. Where two columns were both kept to
//! the values of one filtered scan, that is what they have in common when they are joined, not all that
//! their tables have: an IN that a query has twice, a table joined with itself under one condition, an
//! aggregate's input that [`crate::rewrite`] has kept to what the other side wants. Scans are the same by
//! table and filters, joins by what is joined and by which columns; filters that stand elsewhere are never
//! the same.

use std::sync::Arc;

use super::{ColumnFacts, Estimate, Origin, TableFacts};

/// The scans that an operator's rows come from.
#[derive(Clone, Debug, Default)]
pub struct Scans {
    /// What each is known by, in order. Each row is made of one of each, or has found one in a semi join.
    joined: Arc<[u64]>,
    /// Which of their columns were equal for that: classes, each in order of what its columns are like.
    equal: Arc<[Arc<[Origin]>]>,
    /// Has nothing but that taken rows away?
    is_all: bool,
}

/// The values of a column of joined scans.
#[derive(Clone, Debug)]
pub struct ValueSet {
    /// The column.
    origin: Origin,
    /// Joined with each other.
    scans: Scans,
    /// How many values there are.
    distinct: f64,
}

/// A column of an operator's output, and where its rows come from.
pub(super) type Found<'a> = (&'a ColumnFacts, &'a Scans);

impl Scans {
    pub(super) fn of(table: &Arc<TableFacts>) -> Self {
        let joined: Arc<[u64]> = table.fingerprint.into_iter().collect();
        let is_all = !joined.is_empty();
        Self { joined, is_all, ..Self::default() }
    }

    /// Of rows that find their like in the other's: of each class of `equal` all columns are.
    pub(super) fn and(&self, other: &Self, equal: impl Iterator<Item = Vec<Origin>>) -> Self {
        let mut joined: Vec<_> = self.joined.iter().chain(other.joined.iter()).copied().collect();
        joined.sort_unstable();
        let mut classes: Vec<_> = self.equal.iter().chain(other.equal.iter()).cloned().collect();
        for mut class in equal {
            classes.retain(|known: &Arc<[Origin]>| {
                let is_part_of_it = known.iter().any(|origin| class.contains(origin));
                if is_part_of_it {
                    let new = |origin: &&Origin| !class.contains(origin);
                    let new: Vec<_> = known.iter().filter(new).cloned().collect();
                    class.extend(new);
                }
                !is_part_of_it
            });
            class.sort_unstable_by_key(|origin| (origin.table.fingerprint, origin.column));
            classes.push(class.into());
        }
        let is_all = self.is_all && other.is_all;
        Self { joined: joined.into(), equal: classes.into(), is_all }
    }

    /// Something else takes rows away.
    pub(super) fn restricted(&self) -> Self {
        Self { is_all: false, ..self.clone() }
    }

    /// Are the other's among them, each as often, and joined by the same columns? Of scans that are alike
    /// it is not asked which is joined with what.
    fn include(&self, other: &Self) -> bool {
        let is_joined = |class: &Arc<[Origin]>| {
            self.equal.iter().any(|known| are_among(class, known, Origin::is_like))
        };
        are_among(&other.joined, &self.joined, u64::eq) && other.equal.iter().all(is_joined)
    }

    /// Have the two a scan in common?
    fn meet(&self, other: &Self) -> bool {
        self.joined.iter().any(|scan| other.joined.binary_search(scan).is_ok())
    }

    fn are_like(&self, other: &Self) -> bool {
        self.joined == other.joined && self.equal.len() == other.equal.len() && self.include(other)
    }
}

/// Has `all` of each at least as many? Both are in order.
fn are_among<T>(some: &[T], all: &[T], is_like: impl Fn(&T, &T) -> bool) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| is_like(one, other)))
}

impl Estimate {
    /// What a scan gives, after its filters, by which [`TableFacts`] know it.
    pub(crate) fn scanned(mut self) -> Self {
        self.scans.is_all = !self.scans.joined.is_empty();
        let is_filtered = |column: &ColumnFacts| {
            column.origin.as_ref().is_some_and(|origin| origin.table.is_filtered)
        };
        if !self.columns.iter().any(is_filtered) {
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

    /// Are both the same values?
    fn is(&self, other: &Self) -> bool {
        self.origin.is_like(&other.origin) && self.scans.are_like(&other.scans)
    }
}

/// The columns of scans among whose values those of a column are.
fn origins(column: &ColumnFacts) -> impl Iterator<Item = &Origin> {
    let sets = column.sets.iter().map(|set| &set.origin);
    // A class has its columns in it.
    let itself = column.origin.iter().chain(&column.class);
    let itself = itself.take(if column.equal.is_empty() { 2 } else { 0 });
    itself.chain(column.equal.iter()).chain(sets)
}

/// A column's values themselves; `None`: what they were chosen by is not known.
fn own((column, scans): Found<'_>) -> Option<ValueSet> {
    let origin = column.class.clone().filter(|_| scans.is_all)?;
    Some(ValueSet { origin, scans: scans.clone(), distinct: column.distinct? })
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
    // Asked for each key of each pair of sides that may be joined.
    if !left.1.meet(right.1) {
        return None;
    }
    let own = [own(left), own(right)];
    let sets = left.0.sets.iter().chain(right.0.sets.iter()).chain(own.iter().flatten());
    let common = sets.filter(|set| set.has(left) && set.has(right));
    let least = common.map(|set| set.distinct).reduce(f64::min)?;
    let present = |column: &ColumnFacts| column.distinct.unwrap_or(1.0);
    Some(least.max(present(left.0)).max(present(right.0)).max(1.0))
}
