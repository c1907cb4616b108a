//! Which key a table's rows would lie evenly by.

use std::collections::BTreeSet;

use super::{super::KeyUses, super::TableState, spread::Spread};
use crate::catalog::Distribution;

/// The best columns of which pairs are tried, too.
const PAIRED: usize = 5;
/// Keys whose idle fractions differ by less are equally good: what queries join by decides.
const EQUALLY_GOOD: f64 = 0.05;
/// With so much idle time, and more, a key is no cure.
pub(super) const IDLE_MAX: f64 = 0.25;

/// A key that a table could have.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Candidate {
    /// Column ids.
    pub(in super::super) columns: Vec<u32>,
    /// The idle fraction that is to be expected.
    pub(in super::super) idle: f64,
    /// Of several columns nobody has counted the values together.
    pub(in super::super) is_guess: bool,
}

/// All columns that may be a key and were analyzed, the most even first; if none is even, also pairs of the
/// best of them.
pub(in super::super) fn candidates(state: &TableState) -> Vec<Candidate> {
    let may = allowed(state);
    let is_allowed = |id: &u32| may.as_ref().is_none_or(|may| may.contains(id));
    let columns = state.table.columns.iter().map(|column| column.id).filter(is_allowed);
    let mut candidates: Vec<_> = columns.filter_map(|id| candidate(state, vec![id])).collect();
    candidates.sort_by(|a, b| a.idle.total_cmp(&b.idle));
    // A pair serves no join that one of its columns does not serve.
    if candidates.first().is_some_and(|best| best.idle <= EQUALLY_GOOD) {
        return candidates;
    }
    let best: Vec<u32> = candidates.iter().take(PAIRED).map(|c| c.columns[0]).collect();
    let pairs = best.iter().enumerate().flat_map(|(at, one)| {
        let others = best[at + 1..].iter();
        others.map(move |other| vec![*one.min(other), *one.max(other)])
    });
    let pairs: Vec<_> = pairs.filter_map(|pair| candidate(state, pair)).collect();
    candidates.extend(pairs);
    candidates.sort_by(|a, b| a.idle.total_cmp(&b.idle));
    candidates
}

/// The key that serves most joins and groupings, of those by which rows lie evenly; `None`: the table
/// lies as well by the key that it has.
pub(in super::super) fn best<'a>(state: &'a TableState, uses: &KeyUses) -> Option<&'a Candidate> {
    let candidates = state.candidates();
    let most_even = candidates.first()?.idle;
    // By its own key it lies as it does, whatever is predicted.
    let is_other = |candidate: &&Candidate| candidate.columns != state.key();
    let is_even = |candidate: &&Candidate| candidate.idle <= most_even + EQUALLY_GOOD;
    let good = candidates.iter().filter(is_other).filter(is_even);
    let good = good.filter(|candidate| candidate.idle < IDLE_MAX);
    // One that is replicated lies evenly now.
    let is_replicated = state.table.distribution == Distribution::Replicated;
    let good = good.filter(|c| is_replicated || c.idle <= state.idle() / 2.0);
    let worth = |candidate: &Candidate| {
        let served = uses.served_by(state.table.id, &candidate.columns);
        (served, std::cmp::Reverse(candidate.columns.len()))
    };
    // Of equals the first, which is the most even.
    good.reduce(|best, other| if worth(other) > worth(best) { other } else { best })
}

fn candidate(state: &TableState, columns: Vec<u32>) -> Option<Candidate> {
    let spread = Spread::of(state, &columns)?;
    Some(Candidate { columns, idle: spread.idle(state.shards.len()), is_guess: !spread.is_counted })
}

/// The columns that all unique keys have in common, among which a key must be; `None`: any.
fn allowed(state: &TableState) -> Option<BTreeSet<u32>> {
    let sets = state.table.unique_sets();
    let sets = sets.map(|key| key.columns.iter().copied().collect::<BTreeSet<u32>>());
    sets.reduce(|common, key| common.intersection(&key).copied().collect())
}
