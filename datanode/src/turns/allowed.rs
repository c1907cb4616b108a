//! How many tasks of a query may run at the same time.

use std::time::Duration;

/// A query that has run for less, all its tasks together, is short: it is over soon, or has become a
/// long one.
pub(super) const SHORT: Duration = Duration::from_millis(250);

/// A long query whose tasks have not run for so long may run one beside short ones: they come first,
/// but may be many.
pub(super) const REST: Duration = Duration::from_millis(12);

/// Other queries that want to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Others {
    /// That have run for less than [`SHORT`].
    pub(super) short: usize,
    /// That have run for longer.
    pub(super) long: usize,
}

/// How many tasks of a query may run at the same time on so many processors, when it has run for
/// `used` and none of its tasks has run for `rested`. Short queries come first, as in Wagner, Kohn
/// and Neumann, "Self-Tuning Query Scheduling for Analytical Workloads", SIGMOD 2021.
pub(super) fn allowed(cores: usize, others: Others, used: Duration, rested: Duration) -> usize {
    if used < SHORT {
        return usize::MAX;
    }
    if others.short > 0 {
        return usize::from(rested >= REST);
    }
    (cores / others.long.saturating_add(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_query_leaves_threads_to_others() {
        let all = usize::MAX;
        for (cores, short, long, used_ms, rested_ms, expected) in [
            (2, 0, 0, 249, 0, all),
            (2, 0, 0, 10_000, 0, 2),
            (2, 0, 1, 10_000, 0, 1),
            (2, 1, 1, 249, 0, all),
            (2, 1, 1, 250, 0, 0),
            (2, 1, 1, 250, 11, 0),
            (2, 1, 1, 250, 12, 1),
            (2, 0, 9, 10_000, 0, 1),
            (1, 0, 1, 10_000, 0, 1),
            (16, 0, 1, 10_000, 0, 8),
            (16, 0, 3, 10_000, 0, 4),
            (16, 1, 3, 10_000, 0, 0),
            (16, 0, usize::MAX, 10_000, 0, 1),
        ] {
            let [used, rested] = [used_ms, rested_ms].map(Duration::from_millis);
            let found = allowed(cores, Others { short, long }, used, rested);
            let case = format!("{cores} cores, {short} short, {long} long, {used_ms}, {rested_ms}");
            assert_eq!(found, expected, "{case}");
        }
    }
}
