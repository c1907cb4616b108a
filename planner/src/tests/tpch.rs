//! The tables of TPC-H with the usual keys, as they are at scale 1 when ANALYZE has seen them, and the
//! 22 queries.

use std::fs;

use super::{Golden, known};

const SCHEMA: &str = "../bench-data/tpch/schema.sql";

/// A paragraph for each table: its name and rows, and its columns.
const STATISTICS: &str = "testdata/statistics/tpch_1.tsv";

pub(super) fn analyzed_at_scale_1(golden: &mut Golden<'_>) {
    golden.ddl(&fs::read_to_string(SCHEMA).unwrap());
    let text = fs::read_to_string(STATISTICS).unwrap();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.starts_with('#')) {
        let (head, columns) = paragraph.split_once('\n').unwrap();
        let (table, rows) = head.split_once("\trows=").unwrap();
        golden.fill(table, rows.parse().unwrap());
        golden.catalog = known::tabbed_statistics(&golden.catalog, table, columns).into();
    }
}

pub(super) fn query(number: &str) -> String {
    fs::read_to_string(format!("../bench-data/tpch/queries/q{number:0>2}.sql")).unwrap()
}
