//! The bytes between workers and to the coordinator in each of the 22 queries: a table.

use std::{fs, path::Path};

use datafusion::prelude::SessionContext;
use rivals::{Error, batch_bytes};

use super::traffic::Traffic;

/// Bytes of values, but for `messages`.
#[derive(Default)]
struct Moved {
    to_workers: u64,
    to_coordinator: u64,
    answer: u64,
    /// Those of both, as they are on the network.
    messages: u64,
}

impl Moved {
    fn add(&mut self, other: &Self) {
        self.to_workers += other.to_workers;
        self.to_coordinator += other.to_coordinator;
        self.answer += other.answer;
        self.messages += other.messages;
    }

    /// The rows of the answer must come to the coordinator whatever the plan is.
    fn without_answer(&self) -> u64 {
        self.to_workers + self.to_coordinator.saturating_sub(self.answer)
    }
}

/// Runs the queries once each, and prints what they moved.
#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
pub(crate) async fn print(
    context: &SessionContext,
    queries: &Path,
    [workers, coordinator]: [&Traffic; 2],
) -> Result<(), Error> {
    println!("MB of values, not compressed; in messages: with Arrow's headers and padding, too");
    println!(
        "{:>5} {:>12} {:>14} {:>10} {:>15} {:>12}",
        "query", "to workers", "to coordinator", "answer", "without answer", "in messages"
    );
    let mut sum = Moved::default();
    for number in 1..=22 {
        let text = fs::read_to_string(queries.join(format!("q{number:02}.sql")))?;
        let answer = context.sql(&text).await?.collect().await?;
        let ((to_workers, worker_messages), (to_coordinator, messages)) =
            (workers.take(), coordinator.take());
        let answer = answer.iter().map(batch_bytes).sum();
        let messages = messages + worker_messages;
        let moved = Moved { to_workers, to_coordinator, answer, messages };
        sum.add(&moved);
        print_line(&number.to_string(), &moved);
    }
    print_line("sum", &sum);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
fn print_line(name: &str, moved: &Moved) {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{name:>5} {:12.3} {:14.3} {:10.3} {:15.3} {:12.3}",
        megabytes(moved.to_workers),
        megabytes(moved.to_coordinator),
        megabytes(moved.answer),
        megabytes(moved.without_answer()),
        megabytes(moved.messages),
    );
}
