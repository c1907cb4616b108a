//! `kestrel check`: looks at the data of a cluster that does not run, and changes nothing.
//!
//! ```text
//!   the catalog names files      each is there, and its bytes have their checksum
//!   the rows of these            each on the datanode that its key belongs to, and in its partition
//!   copies of replicated tables  all the same
//! ```
//!
//! It exits with 0 if all is as it must be, with 1 if something is not.

mod files;
mod report;
mod rows;

use std::path::{Path, PathBuf};

use clap::Args;
use kestrel_coordinator::catalog::CatalogCopy;
use kestrel_planner::catalog::{Catalog, DatanodeDef, TableDef};

use crate::{CommandError, Result, output::Console};
use files::Directory;
use report::Report;

/// Flags of `kestrel check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The data directory of the cluster, or of its coordinator; nobody runs there
    #[arg(long)]
    data: PathBuf,
    /// Where a datanode's data directory is, if not in the cluster's: dn1=DIR
    #[arg(long, value_name = "NAME=DIR", value_parser = parse_place)]
    datanode: Vec<(String, PathBuf)>,
    /// One JSON document in place of lines
    #[arg(long)]
    json: bool,
    /// Files only: not where rows are
    #[arg(long)]
    files_only: bool,
}

fn parse_place(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_string(), path.into()))
        }
        _ => Err("a datanode's name and its directory are expected: dn1=DIR".into()),
    }
}

/// Looks at everything, and tells.
pub(crate) async fn run_check(arguments: CheckArguments) -> Result<()> {
    let console = if arguments.json { Console::silent() } else { Console::new() };
    let data = arguments.data.clone();
    let read = tokio::task::spawn_blocking(move || CatalogCopy::read_directory(&data)).await;
    let lost = |error| CommandError::failure(format!("a task was lost: {error}"));
    let catalog = read.map_err(lost)??.catalog;
    let mut report = Report::default();
    let mut directories = Vec::new();
    for datanode in &catalog.datanodes {
        let place = arguments.datanode.iter().find(|(name, _)| *name == datanode.name);
        let path = place.map_or_else(|| arguments.data.join(&datanode.name), |(_, p)| p.clone());
        directories.extend(open(datanode, &path, &mut report)?);
    }
    if let Some((name, _)) = arguments
        .datanode
        .iter()
        .find(|(name, _)| catalog.datanodes.iter().all(|datanode| datanode.name != *name))
    {
        return Err(CommandError::usage(format!("the cluster has no datanode \"{name}\"")));
    }
    check(&catalog, &mut directories, arguments.files_only, (&mut report, &console)).await?;
    let lines = if arguments.json { vec![report.json()?] } else { report.lines() };
    lines.iter().for_each(|line| console.result(line));
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(CommandError::failure("there is 1 problem")),
        count => Err(CommandError::failure(format!("there are {count} problems"))),
    }
}

/// A datanode's directory; `None`: it has none, which is told if it should.
fn open(datanode: &DatanodeDef, path: &Path, report: &mut Report) -> Result<Option<Directory>> {
    if datanode.uuid.is_empty() {
        // It has never registered.
        return Ok(None);
    }
    if !path.is_dir() {
        report.directory(&datanode.name, format!("\"{}\" is no directory", path.display()));
        return Ok(None);
    }
    Directory::open(datanode, path).map(Some)
}

async fn check(
    catalog: &Catalog,
    directories: &mut [Directory],
    files_only: bool,
    (report, console): (&mut Report, &Console),
) -> Result<()> {
    let here: Vec<u32> = directories.iter().map(|directory| directory.id.0).collect();
    let tables: Vec<_> = catalog.tables.values().collect();
    let segments = tables.iter().flat_map(|table| &table.segments);
    let bytes = segments.flat_map(|segment| segment.files()).map(|file| file.length).sum();
    let bar = console.bar("files", bytes);
    for table in &tables {
        report.tables += 1;
        report.tables_in_databases += usize::from(table.is_on_shards());
        for segment in table.segments.iter().filter(|s| here.contains(&s.datanode)) {
            for directory in directories.iter_mut().filter(|d| d.id.0 == segment.datanode) {
                directory.check(table, segment, report).await?;
            }
            bar.advance(segment.files().map(|file| file.length).sum());
        }
    }
    bar.done(&format!("read {} files", report.files));
    for directory in directories.iter() {
        report.unknown_files += directory.unknown_files(catalog)?;
    }
    if files_only {
        return Ok(());
    }
    let rows = tables.iter().map(|table| live_rows(table)).sum();
    let bar = console.bar("rows", rows);
    for table in &tables {
        rows::check(catalog, table, directories, report).await?;
        bar.advance(live_rows(table));
    }
    bar.done(&format!("looked at {} rows", report.rows));
    Ok(())
}

fn live_rows(table: &TableDef) -> u64 {
    table.segments.iter().map(|segment| segment.live_rows()).sum()
}
