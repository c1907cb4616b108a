//! Runs a target on many inputs: seeds, panics, hangs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;

/// What all choices of an input are taken from.
pub(super) type Random = SmallRng;

/// What inputs are tried on.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// The test's name.
    pub(super) test: &'static str,
    /// An input.
    pub(super) make: fn(&mut Random) -> Vec<u8>,
    /// Of the inputs that are asked for, one in so many: some targets take longer than others.
    pub(super) one_in: u64,
}

/// Inputs of a target when nobody asks for more.
const INPUTS: u64 = 200_000;
/// The first seed when nobody names another. Failures that were mended have tests of their own,
/// with what they were about.
const FIRST_SEED: u64 = 1;
/// An input that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// After so many failures the others are the same.
const MOST_FAILURES: usize = 5;
/// That of a server's thread.
const STACK_BYTES: usize = 2 << 20;

struct Failure {
    seed: u64,
    what: String,
}

/// Tries `KESTREL_FUZZ_INPUTS` inputs, the first of which has the seed `KESTREL_FUZZ_SEED`. The
/// check gets an input, and chooses the rest from the same seed.
pub(super) fn fuzz<C>(target: Target, prepare: impl FnOnce() -> C + Send + 'static)
where
    C: FnMut(&[u8], &mut Random),
{
    let first = number_of("KESTREL_FUZZ_SEED").unwrap_or(FIRST_SEED);
    let count = (number_of("KESTREL_FUZZ_INPUTS").unwrap_or(INPUTS) / target.one_in).max(1);
    let seeds = first..first.saturating_add(count);
    let at = Arc::new(AtomicU64::new(first));
    let (sender, ended) = mpsc::channel();
    let progress = Arc::clone(&at);
    let work = move || {
        let failures = try_all(target, seeds, &progress, prepare());
        // Nobody waits any more for one that has hung.
        let _ = sender.send(failures);
    };
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap();
    let failures = wait(&ended, &at);
    let texts: Vec<String> = failures.iter().map(|failure| describe(target, failure)).collect();
    assert!(failures.is_empty(), "{}", texts.join("\n\n"));
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn try_all(
    target: Target,
    seeds: std::ops::Range<u64>,
    progress: &AtomicU64,
    mut check: impl FnMut(&[u8], &mut Random),
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for seed in seeds {
        progress.store(seed, Ordering::Relaxed);
        let mut random = Random::seed_from_u64(seed);
        let input = (target.make)(&mut random);
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&input, &mut random)));
        if let Err(panic) = outcome {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            failures.push(Failure { seed, what: text.unwrap_or("it panicked").to_string() });
            if failures.len() == MOST_FAILURES {
                break;
            }
        }
    }
    failures
}

/// Waits for the end, or until one input takes too long.
fn wait(ended: &mpsc::Receiver<Vec<Failure>>, progress: &AtomicU64) -> Vec<Failure> {
    let mut last = progress.load(Ordering::Relaxed);
    loop {
        let what = match ended.recv_timeout(PATIENCE) {
            Ok(failures) => return failures,
            Err(RecvTimeoutError::Timeout) => format!("no end within {} s", PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => "the target could not be prepared".to_string(),
        };
        let seed = progress.load(Ordering::Relaxed);
        if seed == last {
            return vec![Failure { seed, what }];
        }
        last = seed;
    }
}

fn describe(target: Target, failure: &Failure) -> String {
    let Failure { seed, what } = failure;
    let input = (target.make)(&mut Random::seed_from_u64(*seed));
    let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    let test = target.test;
    format!(
        "{what}\ninput {hex}\nagain: KESTREL_FUZZ_SEED={seed} KESTREL_FUZZ_INPUTS=1 \
         cargo test --release fuzz::{test}"
    )
}

#[test]
fn what_fails_is_told_with_its_seed() {
    let make = |random: &mut Random| -> Vec<u8> { vec![rand::Rng::random_range(random, 0..4)] };
    let target = Target { test: "none", make, one_in: 1 };
    let check = |input: &[u8], _: &mut Random| assert_ne!(input, [3], "three");
    let failures = try_all(target, 1..100, &AtomicU64::new(0), check);
    assert_eq!(failures.len(), MOST_FAILURES);
    for failure in failures {
        let text = describe(target, &failure);
        assert!(text.contains("three") && text.contains("\ninput 03\n"), "{text}");
        let seed = failure.seed;
        assert!(text.contains(&format!("KESTREL_FUZZ_SEED={seed} ")), "{text}");
        assert_eq!(try_all(target, seed..seed + 1, &AtomicU64::new(0), check).len(), 1);
    }
}
