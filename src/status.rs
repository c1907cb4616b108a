//! `kestrel status`: is it up, and what do its datanodes hold?

use clap::Args;

use crate::Result;
use crate::client::{Client, DEFAULT_URL, Row};
use crate::output::{Columns, Console};

/// Flags of `kestrel status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The server
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
}

const DATANODES: &str =
    "SELECT name, address, state, shard_kind, buckets, rows, bytes FROM kestrel.datanodes";
/// The columns that hold numbers.
const NUMBERS: [&str; 3] = ["buckets", "rows", "bytes"];

/// Prints the version and the datanodes.
pub(crate) async fn run_status(arguments: StatusArguments) -> Result<()> {
    let mut client = Client::connect(&arguments.url).await?;
    let version = client.query("SHOW server_version").await?;
    let version = version.rows.into_iter().flatten().flatten().next().unwrap_or_default();
    let datanodes = client.query(DATANODES).await?;
    let console = Console::silent();
    console.result(&format!("server version {version}"));
    for line in table(&datanodes.columns, datanodes.rows) {
        console.result(&line);
    }
    Ok(())
}

fn table(names: &[String], mut rows: Vec<Row>) -> Vec<String> {
    // dn2 before dn10.
    rows.sort_by_key(|row| {
        let name = row.first().cloned().flatten().unwrap_or_default();
        (name.len(), name)
    });
    let width = |i: usize| rows.iter().filter_map(|row| Some(row.get(i)?.as_ref()?.len())).max();
    let headings = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.as_str(), width(i).unwrap_or(0), !NUMBERS.contains(&name.as_str())));
    let columns = Columns::new(&headings.collect::<Vec<_>>());
    let mut lines = vec![columns.row(names.iter().map(String::as_str)), columns.rule()];
    for row in &rows {
        lines.push(columns.row(row.iter().map(|value| value.as_deref().unwrap_or_default())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datanodes_are_listed_in_their_order() {
        let row =
            |name: &str, rows: Option<&str>| vec![Some(name.into()), rows.map(str::to_string)];
        let rows = vec![row("dn10", None), row("dn2", Some("12345"))];
        let lines = table(&["name".to_string(), "rows".to_string()], rows);
        assert_eq!(lines, ["name |  rows", "-----+------", "dn2  | 12345", "dn10 |"]);
    }
}
