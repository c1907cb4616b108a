//! How many tasks of a query may run at the same time.

use std::time::Duration;

/// A query that has run for less, all its tasks together, may have all threads: it is over soon, or
/// has become a long one.
pub(super) const SHORT: Duration = Duration::from_millis(250);

/// How many tasks of a query may run at the same time on so many threads, when it has run for `used`
/// and so many others want to run, too. At least one.
pub(super) fn allowed(threads: usize, others: usize, used: Duration) -> usize {
    if others == 0 || used < SHORT {
        return usize::MAX;
    }
    (threads / others.saturating_add(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_query_leaves_threads_to_others() {
        let all = usize::MAX;
        for (threads, others, used_ms, expected) in [
            (2, 0, 10_000, all),
            (2, 1, 10_000, 1),
            (2, 1, 249, all),
            (2, 1, 250, 1),
            (2, 9, 10_000, 1),
            (1, 1, 10_000, 1),
            (16, 1, 10_000, 8),
            (16, 3, 10_000, 4),
            (16, usize::MAX, 10_000, 1),
        ] {
            let found = allowed(threads, others, Duration::from_millis(used_ms));
            assert_eq!(found, expected, "{threads} threads, {others} others, {used_ms} ms");
        }
    }
}
