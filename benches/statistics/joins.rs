//! How many rows the joins of TPC-H's queries give.

use crate::{
    Bench, Result,
    figures::{Errors, print_columns, print_errors, print_heading, print_line, q_error},
};

static JOINS: &str = include_str!("joins.sql");

/// A join of one of the 22 queries.
#[derive(Debug, PartialEq, Eq)]
struct Join {
    query: u32,
    /// What comes behind FROM.
    from: String,
}

/// Of all of them, how many times the rows the estimate is, or the rows it.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let Bench { servers, flags, .. } = bench;
    let mut errors = vec![Errors::default(); servers.len()];
    let mut lines = Vec::new();
    for Join { query, from } in joins(JOINS)? {
        let truth = servers[0].number(&format!("SELECT count(*) FROM {from}")).await?;
        let mut line = format!("{query:>5} {truth:>10}");
        for (server, errors) in servers.iter_mut().zip(&mut errors) {
            let estimated = server.estimate(&format!("SELECT 1 FROM {from}")).await?;
            let times = q_error(estimated, truth);
            errors.push(times);
            line.push_str(&format!(" {estimated:>12} {times:>9.1}"));
        }
        let tables = from.split(" WHERE ").next().unwrap_or_default();
        lines.push(format!("{line}  {tables}"));
    }
    print_heading("Rows of the joins of the 22 queries: times too many, or too few");
    print_columns();
    for (server, errors) in servers.iter().zip(&errors) {
        print_errors(server.name, "joins", errors, "p95 <= 10");
    }
    if flags.verbose {
        let names = servers.iter().map(|server| format!("{:>12} {:>9}", server.name, "times"));
        let names: Vec<_> = names.collect();
        print_line(&format!("\nquery {:>10} {}  tables", "rows", names.join(" ")));
        lines.iter().for_each(|line| print_line(line));
    }
    Ok(())
}

/// A query's number begins a join, which goes on in the lines that are indented. `--`: a comment.
fn joins(text: &str) -> Result<Vec<Join>> {
    let mut joins: Vec<Join> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        if line.starts_with(' ') {
            let join = joins.last_mut().ok_or("the first line is indented")?;
            join.from.push(' ');
            join.from.push_str(line.trim());
            continue;
        }
        let (query, from) = line.split_once(' ').ok_or_else(|| format!("no join: {line}"))?;
        joins.push(Join { query: query.parse()?, from: from.trim().to_string() });
    }
    Ok(joins)
}
