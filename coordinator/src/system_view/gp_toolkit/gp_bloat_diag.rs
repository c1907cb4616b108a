//! `gp_toolkit.gp_bloat_diag`: tables whose segments have many times more rows than are live.

use kestrel_planner::catalog::TableDef;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

/// PostgreSQL's page.
const PAGE_BYTES: u64 = 8192;
/// Smaller tables are not looked at (Greenplum's "less than 10 pages").
const PAGES_MIN: u64 = 10;
/// How many times the expected pages a table has, and what Greenplum says of that.
const MODERATE: f64 = 5.0;
const SIGNIFICANT: f64 = 12.0;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("bdirelid, bdinspname, bdirelname, bdirelpages, bdiexppages, bdidiag");
    for table in context.catalog.tables.values() {
        let pages = table.stored_bytes().div_ceil(PAGE_BYTES);
        let expected = expected_pages(table);
        let times = pages as f64 / expected as f64;
        if pages < PAGES_MIN || times <= MODERATE {
            continue;
        }
        let amount = if times > SIGNIFICANT { "significant" } else { "moderate" };
        let diagnosis = format!("{amount} amount of bloat suspected");
        let (schema, name) = (&table.schema_name, &table.name);
        rows.push(row![table.id, schema, name, pages, expected as f64, diagnosis]);
    }
    rows
}

/// Pages of the rows that are live, one at least.
fn expected_pages(table: &TableDef) -> u64 {
    let live = table.segments.iter().map(|segment| {
        let part = segment.live_rows() as f64 / segment.rows.max(1) as f64;
        segment.length as f64 * part
    });
    let shards = table.shard_rows.iter().map(|shard| shard.bytes as f64);
    let bytes: f64 = live.chain(shards).sum();
    (bytes / PAGE_BYTES as f64).ceil().max(1.0) as u64
}
