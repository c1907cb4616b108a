//! One round of a benchmark: the processor time, clock and loopback traffic that it took.

use std::{fs, time::Instant};

/// What has been used up when a round begins.
pub struct Start {
    processor_ns: u64,
    loopback_bytes: u64,
    clock: Instant,
}

/// What a round moved, for each second of processor time and of the clock.
#[derive(Clone, Copy)]
pub struct Round {
    /// Megabytes of values for each second of processor time, of both ends together.
    pub processor: f64,
    /// Megabytes of values for each second of the clock.
    pub clock: f64,
    /// Megabytes that the loopback device carried, of whatever process.
    pub carried: f64,
}

impl Start {
    /// Begins a round.
    pub fn now() -> Self {
        let (processor_ns, loopback_bytes) = (processor_ns(), loopback_bytes());
        Self { processor_ns, loopback_bytes, clock: Instant::now() }
    }

    /// Ends the round, which has moved so many bytes of values.
    pub fn moved(self, bytes: u64) -> Round {
        let megabytes = bytes as f64 / 1e6;
        let clock = self.clock.elapsed().as_secs_f64();
        let processor_ns = processor_ns() - self.processor_ns;
        Round {
            processor: megabytes / (processor_ns as f64 / 1e9),
            clock: megabytes / clock,
            carried: (loopback_bytes() - self.loopback_bytes) as f64 / 1e6,
        }
    }
}

/// Prints what the columns of [`print_line`] are.
#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
pub fn print_header() {
    println!("{:22} | MB/core-s |           spread |     MB/s | MB on loopback", "");
}

/// Prints the median round, by processor time, and how far the others are spread.
#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
pub fn print_line(name: &str, mut rounds: Vec<Round>) {
    rounds.sort_by(|a, b| a.processor.total_cmp(&b.processor));
    let Round { processor, clock, carried } = rounds[rounds.len() / 2];
    let (least, most) = (rounds[0].processor, rounds[rounds.len() - 1].processor);
    println!(
        "{name:22} | {processor:9.0} | {least:6.0} to {most:6.0} | {clock:8.0} | {carried:14.0}"
    );
}

/// Nanoseconds that the threads of this process have run.
fn processor_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let run = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    run.sum()
}

/// Bytes that the loopback device has carried.
fn loopback_bytes() -> u64 {
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let loopback = devices.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    let received = loopback.and_then(|counters| counters.split_whitespace().next());
    received.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}
