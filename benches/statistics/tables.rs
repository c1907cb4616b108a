//! The tables: where their rows come from, and some of them.

use std::fmt;

use kestrel::tpch::{Emit, Layout, TABLES, create_statements};
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{Result, random::Random, server::Server, skewed};

/// Rows of which the constants of conditions are drawn.
const SAMPLE_ROWS: usize = 400;
/// Chunks that wait for a connection.
const CHUNKS_AHEAD: usize = 4;

/// A table.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    source: Source,
    pub(crate) rows: u64,
    /// Rows, of which each is as likely as any other: values as COPY writes them, `None` for NULL.
    sample: Vec<Vec<Option<String>>>,
}

#[derive(Clone, Copy)]
enum Source {
    Tpch(&'static kestrel::tpch::Table),
    Skewed,
}

/// A column.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) table: &'static str,
    pub(crate) name: String,
    /// Its place in rows.
    pub(crate) position: usize,
    /// Are its values written without quotes?
    pub(crate) is_number: bool,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.table, self.name))
    }
}

pub(crate) fn tables() -> Vec<Table> {
    let tpch = TABLES.iter().map(|table| (table.name, Source::Tpch(table)));
    let all = tpch.chain([("skewed", Source::Skewed)]);
    all.map(|(name, source)| Table { name, source, rows: 0, sample: Vec::new() }).collect()
}

impl Table {
    pub(crate) fn is_tpch(&self) -> bool {
        matches!(self.source, Source::Tpch(_))
    }

    /// Creates it on a server, and fills it.
    pub(crate) async fn fill(&mut self, server: &Server, scale: f64, seed: u64) -> Result<()> {
        server.client.execute(&self.create(server.layout)?).await?;
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let source = self.source;
        let generator = spawn_blocking(move || {
            let mut sample = Reservoir { random: Random::new(seed), rows: Vec::new(), seen: 0 };
            source.copy_text(scale, seed, &mut |chunk| {
                sample.take(&chunk.text);
                sender.blocking_send(chunk.text).is_ok()
            });
            sample
        });
        let copy = format!("COPY {} FROM STDIN", self.name);
        let copied = server.client.copy_in(&copy, chunks).await?;
        let sample = generator.await?;
        if copied != sample.seen {
            return Err(format!("{}: {copied} rows of {}", self.name, sample.seen).into());
        }
        (self.rows, self.sample) = (copied, sample.rows);
        Ok(())
    }

    fn create(&self, layout: Layout) -> Result<String> {
        if let Source::Skewed = self.source {
            let distributed = layout != Layout::Undistributed;
            let clause = if distributed { " DISTRIBUTED BY (k)" } else { "" };
            return Ok(format!("{}{clause}", skewed::CREATE));
        }
        let start = format!("CREATE TABLE {} (", self.name);
        let mut statements = create_statements(layout).into_iter();
        let found = statements.find(|sql| sql.starts_with(&start));
        Ok(found.ok_or("TPC-H has no such table")?)
    }

    /// Those whose values have an order: all.
    pub(crate) async fn columns(&self, server: &mut Server) -> Result<Vec<Column>> {
        let sql = format!(
            "SELECT column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_name = '{}' ORDER BY ordinal_position",
            self.name
        );
        let columns = server.client.query(&sql).await?.rows.into_iter().enumerate();
        let columns = columns.map(|(position, row)| {
            let mut row = row.into_iter().flatten();
            let (name, data_type) = (row.next().unwrap_or_default(), row.next());
            let data_type = data_type.unwrap_or_default();
            let numbers = ["integer", "bigint", "smallint", "numeric", "double precision"];
            let is_number = numbers.contains(&data_type.as_str());
            Column { table: self.name, name, position, is_number }
        });
        Ok(columns.collect())
    }

    /// A column's value in one of the sampled rows; `None`: there is none.
    pub(crate) fn draw(&self, column: &Column, random: &mut Random) -> Option<&str> {
        let values = self.sample.iter().filter_map(|row| row.get(column.position)?.as_deref());
        let count = values.clone().count() as u64;
        values.clone().nth(random.below(count) as usize)
    }
}

impl Source {
    fn copy_text(self, scale: f64, seed: u64, emit: &mut Emit<'_>) {
        match self {
            Self::Tpch(table) => table.copy_text(scale, emit),
            Self::Skewed => skewed::copy_text(scale, seed, emit),
        }
    }
}

/// Some rows of those that were there (Vitter: Random sampling with a reservoir, 1985, algorithm R).
struct Reservoir {
    random: Random,
    rows: Vec<Vec<Option<String>>>,
    seen: u64,
}

impl Reservoir {
    fn take(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let place = self.random.below(self.seen + 1) as usize;
            self.seen += 1;
            if self.rows.len() < SAMPLE_ROWS {
                self.rows.push(values(line));
            } else if let Some(row) = self.rows.get_mut(place) {
                *row = values(line);
            }
        }
    }
}

/// Nothing in the tables has to be escaped but NULL.
fn values(line: &[u8]) -> Vec<Option<String>> {
    let fields = line.split(|byte| *byte == b'\t');
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    fields.map(|field| (field != b"\\N").then(|| text(field))).collect()
}
