//! Whether a datanode lives, from when it last answered. Pure.
//!
//! Think of a traffic light. Green: it has answered lately. Yellow: an answer is missing; one alone
//! says little on a busy machine, so work goes on. Red: it has been silent for longer than anybody
//! should wait. It turns green again with the next answer.

use std::time::{Duration, Instant};

/// What is thought of a datanode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// It has answered lately.
    Green,
    /// An answer is missing.
    Yellow,
    /// It is down.
    Red,
}

/// Judges one datanode.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureDetector {
    /// Two of these without an answer are yellow.
    pub(super) interval: Duration,
    /// Silence of more than this is red.
    pub(super) timeout: Duration,
    last_answer: Option<Instant>,
}

impl FailureDetector {
    /// Nothing has been heard yet: red.
    pub(super) fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, last_answer: None }
    }

    /// It has answered.
    pub(super) fn answered(&mut self, now: Instant) {
        self.last_answer = Some(now);
    }

    /// What to think of it now.
    pub(super) fn light(&self, now: Instant) -> Light {
        let Some(last) = self.last_answer else { return Light::Red };
        let silence = now.saturating_duration_since(last);
        if silence > self.timeout {
            Light::Red
        } else if silence > self.interval * 2 {
            Light::Yellow
        } else {
            Light::Green
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_light_turns_with_silence_and_back_with_an_answer() {
        let ms = Duration::from_millis;
        let start = Instant::now();
        let mut detector = FailureDetector::new(ms(500), ms(2500));
        assert_eq!(detector.light(start), Light::Red);
        detector.answered(start);
        for (after_ms, light) in [
            (0, Light::Green),
            (1000, Light::Green),
            (1001, Light::Yellow),
            (2500, Light::Yellow),
            (2501, Light::Red),
            (90_000, Light::Red),
        ] {
            assert_eq!(detector.light(start + ms(after_ms)), light, "{after_ms}");
        }
        detector.answered(start + ms(90_000));
        assert_eq!(detector.light(start + ms(90_001)), Light::Green);
    }
}
