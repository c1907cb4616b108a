//! TPC-H's tables, and files of their lines.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use kestrel::{
    client::Client,
    tpch::{Layout, Table, create_statements},
};
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::Result;

/// Sent with COPY at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that wait for a connection.
const CHUNKS_AHEAD: usize = 4;

/// The product's CREATE TABLE, for a table of this name.
pub(crate) fn create(table: &str, name: &str) -> Result<String> {
    let start = format!("CREATE TABLE {table} (");
    let found = create_statements(Layout::Usual).into_iter().find(|sql| sql.starts_with(&start));
    let found = found.ok_or("TPC-H has no such table")?;
    Ok(found.replacen(&start, &format!("CREATE TABLE {name} ("), 1))
}

pub(crate) fn generate(table: &str, scale: f64, file: &Path) -> Result<()> {
    let table = Table::named(table).ok_or("TPC-H has no such table")?;
    let (mut file, mut written) = (File::create(file)?, Ok(()));
    table.copy_text(scale, &mut |chunk| {
        written = file.write_all(&chunk.text);
        written.is_ok()
    });
    Ok(written?)
}

/// Lines whose first field is among `keys` go to the first part, others to the second; how many.
pub(crate) fn split(
    whole: &Path,
    parts: &[PathBuf; 2],
    keys: &HashSet<Vec<u8>>,
) -> Result<[u64; 2]> {
    let mut whole = BufReader::new(File::open(whole)?);
    let [first, second] = parts;
    let mut parts = [BufWriter::new(File::create(first)?), BufWriter::new(File::create(second)?)];
    let (mut rows, mut line) = ([0; 2], vec![]);
    while whole.read_until(b'\n', &mut line)? > 0 {
        let key = line.split(|byte| *byte == b'\t').next().unwrap_or_default();
        let part = usize::from(!keys.contains(key));
        parts[part].write_all(&line)?;
        rows[part] += 1;
        line.clear();
    }
    for part in &mut parts {
        part.flush()?;
    }
    Ok(rows)
}

/// COPY of a file's lines, from connecting to the commit.
pub(crate) async fn copy_file(url: &str, table: &str, file: &Path) -> Result<()> {
    let client = Client::connect(url).await?;
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let mut file = File::open(file)?;
    let reader = spawn_blocking(move || -> std::io::Result<()> {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let bytes = file.read(&mut chunk)?;
            chunk.truncate(bytes);
            if bytes == 0 || sender.blocking_send(chunk).is_err() {
                return Ok(());
            }
        }
    });
    client.copy_in(&format!("COPY {table} FROM STDIN"), chunks).await?;
    Ok(reader.await??)
}
