//! Finds what snapshot isolation forbids in a history of transactions that read lists and append to
//! them (Kingsbury and Alvaro, Elle: Inferring Isolation Anomalies from Experimental Observations,
//! VLDB 2020). A pure function: no sessions, no clock.
//!
//! A read of a list shows the order of all appends before it. From that follow the edges of a graph
//! (Adya, Liskov, O'Neil: Generalized Isolation Level Definitions, ICDE 2000):
//!
//! ```text
//!   T1 ──ww──> T2   T2 appended what follows T1's element
//!   T1 ──wr──> T2   T2 read a list that ends with T1's element
//!   T1 ──rw──> T2   T2 appended what follows the end of a list that T1 read
//!   T1 ──rt──> T2   T1 had ended before T2 began
//! ```
//!
//! Under snapshot isolation ww, wr and rt say that T1 committed before T2's snapshot, rw that T1's
//! snapshot was before T2's commit. So every cycle has two rw edges one after the other (Cerone and
//! Gotsman: Analysing Snapshot Isolation, PODC 2016): write skew, which is allowed.

mod cycle;
mod dependencies;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cycle::{Graph, Step};
use dependencies::{Dependency, dependencies};

/// What a transaction did, and when: times only have an order.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) session: usize,
    /// Before its first statement was sent.
    pub(super) begin: u64,
    /// When its end had been acknowledged.
    pub(super) end: u64,
    pub(super) is_committed: bool,
    pub(super) operations: Vec<Operation>,
}

/// One statement's effect. A value is appended once to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Append { list: u32, value: u32 },
    Read { list: u32, values: Vec<u32> },
}

/// What is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A transaction does not see its own appends, or not the same snapshot twice.
    Internal,
    /// A value that nobody appended.
    Unwritten,
    /// A value that is in a list twice.
    Duplicate,
    /// G1a: a value of a transaction that was rolled back.
    AbortedRead,
    /// G1b: some of a transaction's appends to a list, and not the last.
    IntermediateRead,
    /// Two reads of which neither is the beginning of the other.
    OtherOrder,
    /// A committed append that a later read does not have.
    Lost,
    /// G0: a cycle of ww.
    WriteCycle,
    /// G1c: a cycle of ww and wr.
    CircularFlow,
    /// G-single: a cycle with one rw; a lost update, or a skewed read.
    SkewedRead,
    /// A cycle with several rw, no two of which follow each other: a long fork.
    LongFork,
    /// One of the cycles, by way of real time: a snapshot from the past.
    StaleSnapshot,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(super) struct Anomaly {
    pub(super) kind: Kind,
    pub(super) what: String,
}

fn anomaly(kind: Kind, what: String) -> Anomaly {
    Anomaly { kind, what }
}

/// All that is wrong with single transactions; if nothing is, a cycle of the worst kind there is.
pub(super) fn anomalies(history: &[Transaction]) -> Vec<Anomaly> {
    let mut wrong: Vec<_> = history.iter().filter_map(internal).collect();
    let writers = writers(history);
    let orders = orders(history, &mut wrong);
    check_orders(history, &writers, &orders, &mut wrong);
    check_reads(history, &writers, &orders, &mut wrong);
    if wrong.is_empty() {
        wrong.extend(forbidden_cycle(history, &dependencies(history, &writers, &orders)));
    }
    wrong
}

/// Who appended a value to a list.
type Writers = BTreeMap<(u32, u32), usize>;
/// The longest committed read of each list.
type Orders = BTreeMap<u32, Vec<u32>>;

fn writers(history: &[Transaction]) -> Writers {
    let mut writers = Writers::new();
    for (index, transaction) in history.iter().enumerate() {
        for operation in &transaction.operations {
            if let Operation::Append { list, value } = operation {
                writers.insert((*list, *value), index);
            }
        }
    }
    writers
}

impl Transaction {
    /// What others had put into the lists, as it saw them: its first read of each, without its own.
    fn seen(&self) -> BTreeMap<u32, &[u32]> {
        let mut own: BTreeMap<u32, usize> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for operation in &self.operations {
            match operation {
                Operation::Append { list, .. } => *own.entry(*list).or_default() += 1,
                Operation::Read { list, values } => {
                    let own = own.get(list).copied().unwrap_or(0);
                    let others = &values[..values.len().saturating_sub(own)];
                    seen.entry(*list).or_insert(others);
                }
            }
        }
        seen
    }
}

/// A transaction reads one snapshot and its own appends, whether it commits or not.
fn internal(transaction: &Transaction) -> Option<Anomaly> {
    let mut known: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut own: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for operation in &transaction.operations {
        match operation {
            Operation::Append { list, value } => {
                if let Some(known) = known.get_mut(list) {
                    known.push(*value);
                }
                own.entry(*list).or_default().push(*value);
            }
            Operation::Read { list, values } => {
                let is_right = match known.get(list) {
                    Some(known) => known == values,
                    None => own.get(list).is_none_or(|own| values.ends_with(own)),
                };
                if !is_right {
                    let what = format!("{values:?} is not what list {list} is in {transaction:?}");
                    return Some(anomaly(Kind::Internal, what));
                }
                known.insert(*list, values.clone());
            }
        }
    }
    None
}

/// Every read must be the beginning of the longest.
fn orders(history: &[Transaction], wrong: &mut Vec<Anomaly>) -> Orders {
    let reads = || {
        let committed = history.iter().filter(|transaction| transaction.is_committed);
        committed.flat_map(|transaction| &transaction.operations).filter_map(|operation| {
            match operation {
                Operation::Read { list, values } => Some((*list, values)),
                Operation::Append { .. } => None,
            }
        })
    };
    let mut orders = Orders::new();
    for (list, values) in reads() {
        let order = orders.entry(list).or_default();
        if values.len() > order.len() {
            order.clone_from(values);
        }
    }
    for (list, values) in reads() {
        let order = &orders[&list];
        if !order.starts_with(values) {
            let what = format!("list {list} is {values:?} and {order:?}");
            wrong.push(anomaly(Kind::OtherOrder, what));
        }
    }
    orders
}

/// Whose values are in the lists.
fn check_orders(
    history: &[Transaction],
    writers: &Writers,
    orders: &Orders,
    wrong: &mut Vec<Anomaly>,
) {
    for (list, order) in orders {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        for pair in sorted.windows(2).filter(|pair| pair[0] == pair[1]) {
            let what = format!("{} is twice in list {list}: {order:?}", pair[0]);
            wrong.push(anomaly(Kind::Duplicate, what));
        }
        for value in order {
            match writers.get(&(*list, *value)).map(|writer| &history[*writer]) {
                None => {
                    let what = format!("nobody appended {value} to list {list}");
                    wrong.push(anomaly(Kind::Unwritten, what));
                }
                Some(writer) if !writer.is_committed => {
                    let what = format!("{value} in list {list} is of {writer:?}");
                    wrong.push(anomaly(Kind::AbortedRead, what));
                }
                Some(_) => {}
            }
        }
    }
}

/// What committed reads show of others: of each all or nothing, and all that was there.
fn check_reads(
    history: &[Transaction],
    writers: &Writers,
    orders: &Orders,
    wrong: &mut Vec<Anomaly>,
) {
    // The last read of each list to begin has all that was acknowledged before.
    let mut last_begin: BTreeMap<u32, u64> = BTreeMap::new();
    for (index, reader) in history.iter().enumerate().filter(|(_, t)| t.is_committed) {
        for (list, values) in reader.seen() {
            let begin = last_begin.entry(list).or_default();
            *begin = reader.begin.max(*begin);
            let Some(last) = values.last() else { continue };
            let Some(writer) = writers.get(&(list, *last)).filter(|w| **w != index) else {
                continue;
            };
            let final_append = history[*writer].last_append(list);
            if final_append != Some(*last) {
                let what = format!("{values:?} of list {list} ends within {:?}", history[*writer]);
                wrong.push(anomaly(Kind::IntermediateRead, what));
            }
        }
    }
    for ((list, value), writer) in writers {
        let writer = &history[*writer];
        let is_read_later = last_begin.get(list).is_some_and(|begin| *begin > writer.end);
        let is_there = orders.get(list).is_some_and(|order| order.contains(value));
        if writer.is_committed && is_read_later && !is_there {
            let what = format!("{value} is not in list {list}, though committed: {writer:?}");
            wrong.push(anomaly(Kind::Lost, what));
        }
    }
}

impl Transaction {
    fn last_append(&self, wanted: u32) -> Option<u32> {
        self.operations.iter().rev().find_map(|operation| match operation {
            Operation::Append { list, value } if *list == wanted => Some(*value),
            _ => None,
        })
    }
}

/// The worst cycle that snapshot isolation has not.
fn forbidden_cycle(history: &[Transaction], edges: &[Dependency]) -> Option<Anomaly> {
    let levels: [&[Step]; 4] = [
        &[Step::WriteWrite],
        &[Step::WriteWrite, Step::WriteRead],
        &[Step::WriteWrite, Step::WriteRead, Step::ReadWrite],
        &[Step::WriteWrite, Step::WriteRead, Step::ReadWrite, Step::RealTime],
    ];
    levels.into_iter().find_map(|steps| {
        let edges = edges.iter().filter(|edge| steps.contains(&edge.step));
        let cycle = Graph::new(history.len(), edges).cycle()?;
        Some(anomaly(kind_of(&cycle), describe(history, &cycle)))
    })
}

fn kind_of(cycle: &[Dependency]) -> Kind {
    let count = |step| cycle.iter().filter(|edge| edge.step == step).count();
    match (count(Step::RealTime), count(Step::ReadWrite), count(Step::WriteRead)) {
        (1.., _, _) => Kind::StaleSnapshot,
        (0, 2.., _) => Kind::LongFork,
        (0, 1, _) => Kind::SkewedRead,
        (0, 0, 1..) => Kind::CircularFlow,
        (0, 0, 0) => Kind::WriteCycle,
    }
}

fn describe(history: &[Transaction], cycle: &[Dependency]) -> String {
    let edges = cycle.iter().map(|edge| {
        let from = &history[edge.from];
        format!("  {:?} {:?}\n    of session {}: {from:?}", edge.step, edge.list, from.session)
    });
    let edges: Vec<_> = edges.collect();
    format!("a cycle of {} transactions:\n{}", cycle.len(), edges.join("\n"))
}
