//! What reads must be among each other: of one order, the one of real time (the long fork of Bailis
//! et al., and the checks of Jepsen's `long-fork` and `bank` workloads).

use std::time::Instant;

/// A read of all counters, each of which only grows.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) begin: Instant,
    pub(super) end: Instant,
    /// What had been acknowledged when it began.
    pub(super) floor: Vec<i64>,
    /// What had been tried when it ended.
    pub(super) ceiling: Vec<i64>,
    pub(super) values: Vec<i64>,
}

fn at_most(one: &[i64], other: &[i64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one <= other)
}

/// What cannot be.
pub(super) fn anomalies(reads: &[Read]) -> Vec<String> {
    let mut wrong = Vec::new();
    for read in reads {
        let values = &read.values;
        if !at_most(&read.floor, values) || !at_most(values, &read.ceiling) {
            wrong.push(format!("not of its time: {read:?}"));
        }
    }
    // Of two reads one has seen all that the other has; else each misses what the other saw.
    let mut chain: Vec<&Read> = reads.iter().collect();
    chain.sort_by_key(|read| read.values.iter().sum::<i64>());
    for pair in chain.windows(2) {
        if !at_most(&pair[0].values, &pair[1].values) {
            wrong.push(format!("a long fork: {:?} and {:?}", pair[0].values, pair[1].values));
        }
    }
    // Who begins when another has ended sees what he saw.
    let (mut by_begin, mut by_end) = (chain.clone(), chain);
    by_begin.sort_by_key(|read| read.begin);
    by_end.sort_by_key(|read| read.end);
    let mut ended = by_end.into_iter().peekable();
    let mut seen: Vec<i64> = Vec::new();
    for read in by_begin {
        while let Some(before) = ended.next_if(|before| before.end < read.begin) {
            seen.resize(before.values.len(), 0);
            seen.iter_mut().zip(&before.values).for_each(|(seen, value)| *seen = *value.max(seen));
        }
        if !seen.is_empty() && !at_most(&seen, &read.values) {
            wrong.push(format!("back in time: {:?} after {seen:?}", read.values));
        }
    }
    wrong
}

#[test]
fn anomalies_are_found() {
    use std::time::Duration;
    let zero = Instant::now();
    let read = |begin: u64, end: u64, values: [i64; 2]| Read {
        begin: zero + Duration::from_secs(begin),
        end: zero + Duration::from_secs(end),
        floor: vec![0, 0],
        ceiling: vec![9, 9],
        values: values.to_vec(),
    };
    for (reads, expected) in [
        (vec![read(0, 5, [1, 0]), read(1, 4, [1, 1]), read(6, 7, [1, 1])], None),
        (vec![read(0, 5, [0, 1]), read(1, 4, [1, 0])], Some("a long fork")),
        (vec![read(0, 5, [0, 2]), read(1, 4, [1, 0])], Some("a long fork")),
        (vec![read(0, 1, [1, 1]), read(2, 3, [1, 0])], Some("back in time")),
        (vec![Read { floor: vec![1, 0], ..read(0, 1, [0, 0]) }], Some("not of its time")),
        (vec![read(0, 1, [10, 0])], Some("not of its time")),
    ] {
        let found = anomalies(&reads);
        match expected {
            None => assert!(found.is_empty(), "{found:?}"),
            Some(expected) => {
                assert!(found.iter().any(|wrong| wrong.starts_with(expected)), "{found:?}");
            }
        }
    }
}
