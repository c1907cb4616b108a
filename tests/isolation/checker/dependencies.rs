//! Which transaction must be before which.

use super::{Orders, Transaction, Writers, cycle::Step};

/// An edge between transactions, by their places in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) step: Step,
    /// The list that shows it; none shows real time.
    pub(super) list: Option<u32>,
}

/// All edges between committed transactions but those of real time that follow from others.
pub(super) fn dependencies(
    history: &[Transaction],
    writers: &Writers,
    orders: &Orders,
) -> Vec<Dependency> {
    let mut edges = Vec::new();
    let mut add = |from: Option<&usize>, to: Option<&usize>, step, list| {
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            edges.push(Dependency { from: *from, to: *to, step, list: Some(list) });
        }
    };
    let writer = |list: u32, value: Option<&u32>| writers.get(&(list, *value?));
    for (list, order) in orders {
        for pair in order.windows(2) {
            let (from, to) = (writer(*list, pair.first()), writer(*list, pair.last()));
            add(from, to, Step::WriteWrite, *list);
        }
    }
    for (reader, transaction) in history.iter().enumerate().filter(|(_, t)| t.is_committed) {
        for (list, values) in transaction.seen() {
            let next = orders.get(&list).and_then(|order| order.get(values.len()));
            add(writer(list, values.last()), Some(&reader), Step::WriteRead, list);
            add(Some(&reader), writer(list, next), Step::ReadWrite, list);
        }
    }
    edges.extend(real_time(history));
    edges
}

/// Who had ended when another began. Of those that had, only the ones that no other of them began
/// after: the rest follows.
fn real_time(history: &[Transaction]) -> Vec<Dependency> {
    let mut moments: Vec<(u64, bool, usize)> = Vec::new();
    for (index, transaction) in history.iter().enumerate().filter(|(_, t)| t.is_committed) {
        // Of one moment the beginning comes first: then nothing is known.
        moments.push((transaction.begin, false, index));
        moments.push((transaction.end, true, index));
    }
    moments.sort_unstable();
    let (mut ended, mut edges) = (Vec::new(), Vec::new());
    for (_, is_end, index) in moments {
        if is_end {
            let begin = history[index].begin;
            ended.retain(|other: &usize| history[*other].end >= begin);
            ended.push(index);
            continue;
        }
        let to = index;
        edges.extend(ended.iter().map(|from| Dependency {
            from: *from,
            to,
            step: Step::RealTime,
            list: None,
        }));
    }
    edges
}
