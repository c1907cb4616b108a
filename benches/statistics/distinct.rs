//! How many different values columns have.

use std::collections::BTreeMap;

use crate::{
    Bench, Result,
    figures::{Errors, print_columns, print_errors, print_heading, print_line},
    server::Server,
    tables::Column,
};

/// Of each column, the error in percent of the truth; of those of TPC-H and of the skewed ones.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let Bench { servers, tables, flags } = bench;
    let mut errors = vec![[Errors::default(), Errors::default()]; servers.len()];
    let mut lines = Vec::new();
    for table in tables.iter() {
        let columns = table.columns(&mut servers[0]).await?;
        let counts = columns.iter().map(|column| format!("count(DISTINCT {})", column.name));
        let mut truth = Vec::new();
        // One by one: each of the counts holds all of its values.
        for count in counts {
            let sql = format!("SELECT {count} FROM {}", table.name);
            truth.push(servers[0].number(&sql).await?);
        }
        for (server, errors) in servers.iter_mut().zip(&mut errors) {
            let estimated = estimated(server, table.name).await?;
            for (column, truth) in columns.iter().zip(&truth) {
                let estimated = estimated.get(&column.name).copied().unwrap_or(0.0);
                let error = 100.0 * (estimated - truth).abs() / truth.max(1.0);
                errors[usize::from(!table.is_tpch())].push(error);
                lines.push(line(column, server.name, *truth, estimated, error));
            }
        }
    }
    print_heading("Distinct values of columns: error in percent of the truth");
    print_columns();
    for (server, [tpch, skewed]) in servers.iter().zip(&errors) {
        let mut all = tpch.clone();
        all.extend(skewed);
        print_errors(server.name, "TPC-H", tpch, "");
        print_errors(server.name, "skewed", skewed, "");
        print_errors(server.name, "all", &all, "p95 <= 5");
    }
    if flags.verbose {
        print_line("");
        lines.iter().for_each(|line| print_line(line));
    }
    Ok(())
}

fn line(column: &Column, server: &str, truth: f64, estimated: f64, error: f64) -> String {
    format!("{column:<32} {server:<12} {truth:>10} {estimated:>12.0} {error:>8.2}")
}

/// By column: a number of values, or minus a part of the rows.
async fn estimated(server: &mut Server, table: &str) -> Result<BTreeMap<String, f64>> {
    let rows = format!("SELECT reltuples FROM pg_class WHERE relname = '{table}'");
    let rows = server.number(&rows).await?;
    let sql = format!("SELECT attname::text, n_distinct FROM pg_stats WHERE tablename = '{table}'");
    let mut distinct = BTreeMap::new();
    for row in server.client.query(&sql).await?.rows {
        let [Some(name), Some(number)] = row.as_slice() else { continue };
        let number: f64 = number.parse()?;
        distinct.insert(name.clone(), if number < 0.0 { -number * rows } else { number });
    }
    Ok(distinct)
}
