//! Loads the tables: rows generated here, sent with COPY over two connections, and analyzed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};

use super::schema::{Layout, create_statements};
use super::table::{RowCount, TABLES, Table};
use crate::client::{Client, ClientError};
use crate::output::{Bar, Console};
use crate::{CommandError, Result};

/// Each loads one table after another.
const CONNECTIONS: usize = 2;
/// Chunks that wait between the generator and the connection: enough that neither stands still.
const CHUNKS_AHEAD: usize = 4;

/// What was loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadSummary {
    /// Rows of all tables.
    pub rows: u64,
    /// From CREATE TABLE to what ANALYZE has found out.
    pub seconds: f64,
}

/// Creates the tables under this layout and loads them at this scale. Each table is there whole
/// or not at all.
pub async fn load(url: &str, scale: f64, layout: Layout, console: &Console) -> Result<LoadSummary> {
    let started = Instant::now();
    let client = Client::connect(url).await?;
    for statement in create_statements(layout) {
        client.execute(&statement).await.map_err(explain_existing)?;
    }
    console.step(&format!("created {} tables", TABLES.len()));

    let taken = Arc::new(AtomicUsize::new(0));
    let mut loaders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (url, taken, console) = (url.to_string(), Arc::clone(&taken), console.clone());
        loaders.spawn(async move {
            let client = Client::connect(&url).await?;
            let mut rows = 0;
            // From the end: the largest first, so that the connections end together.
            while let Some(table) = TABLES.iter().nth_back(taken.fetch_add(1, Ordering::Relaxed)) {
                rows += load_table(&client, table, scale, &console).await?;
            }
            Ok::<u64, CommandError>(rows)
        });
    }
    let mut rows = 0;
    while let Some(loaded) = loaders.join_next().await {
        rows += loaded.map_err(|e| CommandError::failure(format!("loading ended: {e}")))??;
    }
    client.execute(&format!("ANALYZE {}", table_names())).await?;
    console.step("analyzed them");
    Ok(LoadSummary { rows, seconds: started.elapsed().as_secs_f64() })
}

async fn load_table(
    client: &Client,
    table: &'static Table,
    scale: f64,
    console: &Console,
) -> Result<u64> {
    let bar = Arc::new(console.bar(table.name, table.row_count(scale).value()));
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let generator = {
        let bar = Arc::clone(&bar);
        spawn_blocking(move || {
            let mut rows = 0;
            table.copy_text(scale, &mut |chunk| {
                let wanted = sender.blocking_send(chunk.text).is_ok();
                rows += chunk.rows;
                bar.advance(chunk.rows);
                wanted
            });
            rows
        })
    };
    let copied = client.copy_in(&format!("COPY {} FROM STDIN", table.name), chunks).await;
    let copied =
        copied.map_err(|e| CommandError::failure(format!("loading {}: {e}", table.name)))?;
    let sent = generator.await.map_err(|e| CommandError::failure(format!("generating: {e}")))?;
    if copied != sent {
        let text = format!("loading {}: sent {sent} rows, the server took {copied}", table.name);
        return Err(CommandError::failure(text));
    }
    if let Some(bar) = Arc::into_inner(bar) {
        Bar::done(bar, &format!("loaded {}: {copied} rows", table.name));
    }
    Ok(copied)
}

fn table_names() -> String {
    TABLES.each_ref().map(|table| table.name).join(", ")
}

fn explain_existing(error: ClientError) -> CommandError {
    if error.sqlstate.as_deref() == Some("42P07") {
        let drop = format!("DROP TABLE IF EXISTS {};", table_names());
        return CommandError::failure(format!("{error}; to load again, first: {drop}"));
    }
    error.into()
}

/// Whether the tables are there, filled at this scale. An error when they were filled at another
/// or only in part.
pub async fn is_loaded(client: &mut Client, scale: f64) -> Result<bool> {
    let mut missing = Vec::new();
    for table in &TABLES {
        let count = match client.query(&format!("SELECT count(*) FROM {}", table.name)).await {
            Ok(answer) => answer.rows.into_iter().flatten().flatten().next().unwrap_or_default(),
            Err(e) if e.sqlstate.as_deref() == Some("42P01") => {
                missing.push(table.name);
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        let right = match table.row_count(scale) {
            RowCount::Exact(rows) => count == rows.to_string(),
            RowCount::About(_) => count != "0",
        };
        if !right {
            let (name, rows) = (table.name, table.row_count(scale).value());
            let text = format!("{name} has {count} rows; at scale {scale} it would have {rows}");
            return Err(CommandError::failure(text));
        }
    }
    if !missing.is_empty() && missing.len() < TABLES.len() {
        let text = format!("some tables of TPC-H are missing: {}", missing.join(", "));
        return Err(CommandError::failure(text));
    }
    Ok(missing.is_empty())
}
