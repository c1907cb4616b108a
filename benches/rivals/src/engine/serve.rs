//! The line protocol of `engines/line_engine.py`.
//!
//! `run 5` is answered with `{"ms": 12.5, "rows": 4}` or `{"error": "…"}`; `run 5 FILE` also writes
//! the rows into the file, when the time has been taken. The first line says the version.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::Instant,
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    prelude::SessionContext,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Error, result_file};

/// The result of a query, and how long it took to have it all in memory.
struct Answer {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    ms: f64,
}

/// Answers until the input ends.
pub async fn serve(context: &SessionContext, queries: &Path, version: &str) -> Result<(), Error> {
    say(&json!({ "version": version }))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match run(context, queries, &line).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": error.to_string() }),
        };
        say(&answer)?;
    }
    Ok(())
}

/// What a line asks for.
async fn run(context: &SessionContext, queries: &Path, line: &str) -> Result<Value, Error> {
    let mut words = line.splitn(3, ' ');
    let (Some("run"), Some(number)) = (words.next(), words.next()) else {
        return Err(format!("'{line}' is not 'run NUMBER [FILE]'").into());
    };
    let number: u32 = number.parse()?;
    let text = fs::read_to_string(queries.join(format!("q{number:02}.sql")))?;
    let answer = query(context, &text).await?;
    if let Some(file) = words.next() {
        result_file::write(Path::new(file), &answer.schema, &answer.batches)?;
    }
    let rows: usize = answer.batches.iter().map(RecordBatch::num_rows).sum();
    Ok(json!({ "ms": answer.ms, "rows": rows }))
}

async fn query(context: &SessionContext, text: &str) -> Result<Answer, Error> {
    let begin = Instant::now();
    let frame = context.sql(text).await?;
    let schema = SchemaRef::clone(frame.schema().inner());
    let batches = frame.collect().await?;
    Ok(Answer { schema, batches, ms: begin.elapsed().as_secs_f64() * 1000.0 })
}

fn say(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}
