//! `testdata/aggregates.txt`: queries over a table in three partitions of several batches, so that
//! every aggregate is computed in parts whose states are merged; the rows are PostgreSQL 15's.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
        Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
    },
    datatypes::{Schema, SchemaRef},
};
use datafusion::{datasource::MemTable, execution::context::SessionContext};

use super::{agrees, run, session};
use crate::{
    catalog::SqlType,
    error::report,
    functions::{cast::text_of, formats::SessionFormats},
};

const CASES: &str = include_str!("../testdata/aggregates.txt");

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        SqlType::Integer.field("id", true),
        SqlType::Integer.field("g", true),
        SqlType::SmallInt.field("i2", true),
        SqlType::Integer.field("i4", true),
        SqlType::BigInt.field("i8", true),
        SqlType::Numeric(12, 2).field("n", true),
        SqlType::Double.field("d", true),
        SqlType::Real.field("r", true),
        SqlType::Boolean.field("b", true),
        SqlType::Text.field("s", true),
        SqlType::Date.field("day", true),
        SqlType::Char(4).field("c", true),
    ]))
}

/// The rows `first..=last` of the table.
fn batch(first: i64, last: i64) -> RecordBatch {
    let rows = || first..=last;
    let unless = |i: i64, divisor: i64| (i % divisor != 0).then_some(i);
    let numbers = Decimal128Array::from_iter(
        rows().map(|i| unless(i, 5).map(|i| i128::from(i) * 137 - 50_000)),
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter(rows().map(|i| Some(i as i32)))),
        Arc::new(Int32Array::from_iter(rows().map(|i| Some((i % 7) as i32)))),
        Arc::new(Int16Array::from_iter(
            rows().map(|i| unless(i, 11).map(|i| (i * 37 % 1000 - 500) as i16)),
        )),
        Arc::new(Int32Array::from_iter(rows().map(|i| {
            unless(i, 13).map(|i| (i * 2_000_003 % 2_147_483_647 - 1_000_000_000) as i32)
        }))),
        Arc::new(Int64Array::from_iter(
            rows().map(|i| unless(i, 17).map(|i| i * 9_007_199_254_740_993)),
        )),
        Arc::new(numbers.with_precision_and_scale(12, 2).unwrap()),
        Arc::new(Float64Array::from_iter(rows().map(|i| unless(i, 3).map(|i| i as f64 / 8.0)))),
        Arc::new(Float32Array::from_iter(rows().map(|i| Some(i as f32 / 4.0)))),
        Arc::new(BooleanArray::from_iter(rows().map(|i| Some(i % 2 == 0)))),
        Arc::new(StringViewArray::from_iter(
            rows().map(|i| unless(i, 9).map(|i| format!("v{}", i % 5))),
        )),
        Arc::new(Date32Array::from_iter(rows().map(|i| Some(19_723 + (i % 40) as i32)))),
        Arc::new(StringViewArray::from_iter(rows().map(|i| Some(format!("c{}", i % 3))))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn with_table(session: &SessionContext) {
    let partition = |first: i64, last: i64| {
        (first..=last).step_by(100).map(|at| batch(at, (at + 99).min(last))).collect()
    };
    let partitions = vec![partition(1, 450), partition(451, 460), partition(461, 1000)];
    let table = MemTable::try_new(schema(), partitions).unwrap();
    session.register_table("t", Arc::new(table)).unwrap();
}

/// The rows as psql prints them: fields between bars.
async fn rows(session: &SessionContext, sql: &str) -> Vec<Vec<String>> {
    let (schema, batches) = match run(session, sql).await {
        Ok(result) => result,
        Err(error) => {
            let report = report(error);
            return vec![vec![format!("!{} {}", report.sqlstate.as_str(), report.message)]];
        }
    };
    let formats = SessionFormats::default();
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| text_of(c, &formats).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cell = |(at, column): (usize, &StringViewArray)| {
                if column.is_null(row) {
                    return "NULL".to_string();
                }
                match SqlType::of_field(schema.field(at)) {
                    Some(SqlType::Char(n)) => format!("{:<1$}", column.value(row), n as usize),
                    Some(SqlType::Boolean) => column.value(row)[..1].to_string(),
                    _ => column.value(row).to_string(),
                }
            };
            rows.push(columns.iter().enumerate().map(cell).collect());
        }
    }
    rows
}

fn same(found: &[Vec<String>], expected: &[Vec<String>]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(f, e)| {
                    f == e || agrees(&format!("numeric {f}"), &format!("numeric {e}"))
                })
        })
}

#[tokio::test]
async fn aggregates_in_parts_give_what_postgresql_gives() {
    let session = session();
    with_table(&session);
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in CASES.split("\n\n") {
        let Some((query, expected)) = case.trim_start_matches('\n').split_once("\n----") else {
            continue;
        };
        let lines = expected.trim_start_matches('\n').lines();
        let expected: Vec<Vec<String>> =
            lines.map(|l| l.split('|').map(str::to_string).collect()).collect();
        let found = rows(&session, query).await;
        count += 1;
        if !same(&found, &expected) {
            let show = |rows: &[Vec<String>]| {
                rows.iter().map(|r| r.join("|")).collect::<Vec<_>>().join("\n    ")
            };
            wrong.push(format!(
                "{query}\n  expected\n    {}\n  found\n    {}",
                show(&expected),
                show(&found)
            ));
        }
    }
    assert!(count > 20, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
