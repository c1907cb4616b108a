//! When the coordinator was last heard, and what its silence means.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The coordinator's last call. The lock is held while the queries of a silent one end: the first
/// query after its return must not end with them.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    heard_at: Mutex<Instant>,
    timeout: Duration,
}

impl Heartbeat {
    /// Heard just now. A coordinator that is silent for more than `timeout` is gone.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { heard_at: Mutex::new(Instant::now()), timeout }
    }

    /// When it was heard.
    pub(crate) fn heard_at(&self) -> Instant {
        *self.heard_at.lock()
    }

    /// It is heard. If it was gone, `end_queries` first.
    pub(crate) fn note(&self, now: Instant, end_queries: impl FnOnce()) {
        let mut heard_at = self.heard_at.lock();
        if is_gone(*heard_at, now, self.timeout) {
            end_queries();
        }
        *heard_at = now;
    }

    /// Does `end_queries` if it is gone; whether it is.
    pub(crate) fn end_if_gone(&self, now: Instant, end_queries: impl FnOnce()) -> bool {
        let heard_at = self.heard_at.lock();
        let gone = is_gone(*heard_at, now, self.timeout);
        if gone {
            end_queries();
        }
        gone
    }
}

fn is_gone(heard: Instant, now: Instant, timeout: Duration) -> bool {
    now.saturating_duration_since(heard) > timeout
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn silence_has_a_bound_and_ends_queries_once() {
        let heartbeat = Heartbeat::new(Duration::from_secs(4));
        let start = heartbeat.heard_at();
        let at = |ms| start + Duration::from_millis(ms);
        let ended = Cell::new(0);
        let end = || ended.set(ended.get() + 1);
        for (ms, gone) in [(0, false), (4000, false), (4001, true), (100_000, true)] {
            assert_eq!(heartbeat.end_if_gone(at(ms), end), gone, "{ms}");
        }
        assert_eq!(ended.get(), 2);
        heartbeat.note(at(200_000), end);
        assert_eq!(ended.get(), 3);
        // What starts now is safe.
        heartbeat.note(at(200_500), end);
        assert!(!heartbeat.end_if_gone(at(201_000), end));
        assert_eq!(ended.get(), 3);
    }
}
