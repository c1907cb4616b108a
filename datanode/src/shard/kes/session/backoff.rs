//! When to try again to open a session, with a database that takes none.
//!
//! While it takes them, all who need one connect at once. After a failure, one at a time tries, at
//! growing distances; so a database that starts is not met by everybody who has waited for it.

use std::time::Duration;

use tokio::time::Instant;

/// After the first failure.
const DELAY_MIN: Duration = Duration::from_millis(50);
/// After many. Less than who needs a session waits, or he would not see the database come back.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// The failures since the last success, and when the next attempt may begin.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    next_attempt: Option<Instant>,
}

/// What who needs a session is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Connect.
    Connect,
    /// Ask again then.
    WaitUntil(Instant),
}

impl Backoff {
    /// Whose turn it is gets the next one's too: until that, nobody else tries.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        match self.next_attempt {
            None => Turn::Connect,
            Some(at) if now < at => Turn::WaitUntil(at),
            Some(_) => {
                self.next_attempt = Some(now + self.delay());
                Turn::Connect
            }
        }
    }

    /// The database takes sessions.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It does not.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.next_attempt = Some(now + self.delay());
    }

    fn delay(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        (DELAY_MIN * 2_u32.pow(doublings)).min(DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_let_one_try_at_growing_distances() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // All at once, until one has failed.
        assert_eq!([backoff.turn(at(0)), backoff.turn(at(0))], [Turn::Connect, Turn::Connect]);
        backoff.failed(at(10));
        assert_eq!(backoff.turn(at(59)), Turn::WaitUntil(at(60)));
        // One tries; another one waits, as long as after a failure.
        assert_eq!(backoff.turn(at(60)), Turn::Connect);
        assert_eq!(backoff.turn(at(61)), Turn::WaitUntil(at(110)));
        backoff.failed(at(70));
        assert_eq!(backoff.turn(at(169)), Turn::WaitUntil(at(170)));
        backoff.failed(at(170));
        assert_eq!(backoff.turn(at(170)), Turn::WaitUntil(at(370)));
        for _ in 0..1000 {
            backoff.failed(at(1000));
        }
        assert_eq!(backoff.turn(at(1000)), Turn::WaitUntil(at(2000)));
        backoff.succeeded();
        assert_eq!(
            [backoff.turn(at(1000)), backoff.turn(at(1000))],
            [Turn::Connect, Turn::Connect]
        );
    }
}
