//! Long random histories of a store that is simulated: a right one has no anomalies, wrong ones do.

use std::collections::BTreeMap;

use super::{Operation, Transaction, anomalies};
use crate::generate::Rng;

const SESSIONS: usize = 8;
const LISTS: usize = 6;
const TRANSACTIONS: usize = 600;

/// What the store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The second to append to a list commits, too.
    Unchecked,
    /// Every statement reads what is newest.
    NoSnapshot,
    /// A snapshot has what was committed, but of some lists what was before.
    Fork,
    /// Some snapshots are of the past.
    Stale,
}

/// Values with the numbers of their commits.
type Lists = BTreeMap<u32, Vec<(u32, u64)>>;

struct Open {
    snapshots: BTreeMap<u32, u64>,
    transaction: Transaction,
    own: BTreeMap<u32, Vec<u32>>,
}

struct Store {
    rng: Rng,
    fault: Fault,
    lists: Lists,
    commits: u64,
    time: u64,
    values: u32,
}

impl Store {
    fn begin(&mut self, session: usize) -> Open {
        self.time += 1;
        let mut snapshots = BTreeMap::new();
        let stale = self.fault == Fault::Stale && self.rng.chance(20);
        for list in 0..LISTS as u32 {
            let behind = stale || self.fault == Fault::Fork && self.rng.chance(30);
            let behind = if behind { self.rng.between(1, 3) as u64 } else { 0 };
            snapshots.insert(list, self.commits.saturating_sub(behind));
        }
        let begin = self.time;
        let transaction =
            Transaction { session, begin, end: 0, is_committed: false, operations: Vec::new() };
        Open { snapshots, transaction, own: BTreeMap::new() }
    }

    fn step(&mut self, open: &mut Open) {
        let list = self.rng.below(LISTS) as u32;
        if self.rng.chance(50) {
            self.values += 1;
            open.own.entry(list).or_default().push(self.values);
            open.transaction.operations.push(Operation::Append { list, value: self.values });
            return;
        }
        let snapshot = match self.fault {
            Fault::NoSnapshot => self.commits,
            _ => open.snapshots[&list],
        };
        let others = self.lists.get(&list).into_iter().flatten();
        let mut values: Vec<u32> =
            others.filter(|(_, commit)| *commit <= snapshot).map(|(value, _)| *value).collect();
        values.extend(open.own.get(&list).into_iter().flatten());
        open.transaction.operations.push(Operation::Read { list, values });
    }

    fn end(&mut self, mut open: Open) -> Transaction {
        let newest = |list| self.lists.get(list).and_then(|l| l.last()).map_or(0, |(_, at)| *at);
        let conflicts = open.own.keys().any(|list| newest(list) > open.snapshots[list]);
        let is_checked = !matches!(self.fault, Fault::Unchecked | Fault::NoSnapshot);
        if !(conflicts && is_checked || self.rng.chance(5)) {
            self.commits += 1;
            for (list, values) in &open.own {
                let commit = self.commits;
                let list = self.lists.entry(*list).or_default();
                list.extend(values.iter().map(|value| (*value, commit)));
            }
            open.transaction.is_committed = true;
        }
        self.time += 1;
        open.transaction.end = self.time;
        open.transaction
    }

    fn history(mut self) -> Vec<Transaction> {
        let mut open: Vec<Option<Open>> = (0..SESSIONS).map(|_| None).collect();
        let mut history = Vec::new();
        while history.len() < TRANSACTIONS {
            let session = self.rng.below(SESSIONS);
            match open[session].take() {
                None => open[session] = Some(self.begin(session)),
                Some(ends) if self.rng.chance(30) => history.push(self.end(ends)),
                Some(mut goes_on) => {
                    self.step(&mut goes_on);
                    open[session] = Some(goes_on);
                }
            }
        }
        history
    }
}

#[test]
fn only_wrong_stores_have_anomalies() {
    let faults = [Fault::None, Fault::Unchecked, Fault::NoSnapshot, Fault::Fork, Fault::Stale];
    for fault in faults {
        for seed in 1..=10 {
            let (rng, lists) = (Rng::new(seed), Lists::new());
            let store = Store { rng, fault, lists, commits: 0, time: 0, values: 0 };
            let history = store.history();
            let committed = history.iter().filter(|t| t.is_committed).count();
            assert!(committed > TRANSACTIONS / 4, "{fault:?}: only {committed} committed");
            let found = anomalies(&history);
            let first = found.first().map(|anomaly| &anomaly.what);
            assert_eq!(found.is_empty(), fault == Fault::None, "{fault:?}, {seed}: {first:?}");
        }
    }
}
