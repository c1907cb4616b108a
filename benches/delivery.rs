//! How long a row takes from its batch to the bytes that a client gets, as rows and as COPY data:
//! `cargo bench --bench delivery`.

use std::{hint::black_box, sync::Arc};

use arrow::{
    array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, StringViewArray},
    error::ArrowError,
    record_batch::RecordBatch,
};
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kestrel_coordinator::{
    copy::CopyForm,
    server::{CopyEncoder, Format, RowEncoder},
    session::OutputField,
};
use kestrel_planner::{catalog::SqlType, functions::SessionFormats};
use kestrel_proto::ErrorReport;

/// As many as a scan gives at once.
const ROWS: i64 = 8192;
/// Encoders stop here, for the socket to take what there is.
const FLUSH_BYTES: usize = 64 * 1024;

fn delivery(criterion: &mut Criterion) {
    let (fields, batch) = lineitem().unwrap_or_else(|e| panic!("the columns are well-formed: {e}"));
    let mut group = criterion.benchmark_group("delivery");
    group.throughput(Throughput::Elements(ROWS as u64));

    for (name, format) in [("text", Format::Text), ("binary", Format::Binary)] {
        let formats = vec![format; fields.len()];
        let encoder = RowEncoder::new(&fields, &formats, SessionFormats::default());
        let mut out = BytesMut::new();
        group.bench_function(format!("lineitem, {name}"), |b| {
            b.iter(|| -> Result<usize, ErrorReport> {
                let rows = encoder.prepare(black_box(&batch))?;
                let mut from = 0;
                while from < rows.len() {
                    out.clear();
                    from += encoder.encode(&rows, from, usize::MAX, &mut out, FLUSH_BYTES)?;
                }
                Ok(out.len())
            });
        });
    }

    let null = String::new();
    let forms = [
        ("text", CopyForm::Text { delimiter: b'\t', null: "\\N".into() }),
        (
            "csv",
            CopyForm::Csv { delimiter: b',', null, quote: b'"', escape: b'"', force_quote: vec![] },
        ),
        ("binary", CopyForm::Binary),
    ];
    for (name, form) in forms {
        let mut encoder = CopyEncoder::new(&fields, form, SessionFormats::default());
        let mut out = BytesMut::new();
        group.bench_function(format!("lineitem, COPY as {name}"), |b| {
            b.iter(|| -> Result<usize, ErrorReport> {
                let rows = encoder.prepare(black_box(&batch))?;
                let mut from = 0;
                while from < rows.len() {
                    out.clear();
                    from += encoder.encode(&rows, from, &mut out, FLUSH_BYTES)?;
                }
                Ok(out.len())
            });
        });
    }
    group.finish();
}

/// TPC-H's lineitem: its types, and values as long as its own.
fn lineitem() -> Result<(Vec<OutputField>, RecordBatch), ArrowError> {
    let decimals = |step: i64, bound: i64| -> Result<ArrayRef, ArrowError> {
        let values = (0..ROWS).map(|i| i128::from(i * step % bound));
        let values = Decimal128Array::from_iter_values(values);
        Ok(Arc::new(values.with_precision_and_scale(15, 2)?))
    };
    let keys = |step: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..ROWS).map(|i| i * step)))
    };
    let numbers = Int32Array::from_iter_values((0..ROWS).map(|i| (i % 7) as i32 + 1));
    let dates = |step: i64| -> ArrayRef {
        let days = (0..ROWS).map(|i| 8_035 + (i * step % 2_557) as i32);
        Arc::new(Date32Array::from_iter_values(days))
    };
    let texts = |texts: &[&str]| -> ArrayRef {
        let texts = (0..ROWS).map(|i| texts[i as usize % texts.len()]);
        Arc::new(StringViewArray::from_iter_values(texts))
    };
    let comments = (0..ROWS).map(|i| format!("carefully packed deposits {i}, quickly"));
    let numeric = SqlType::Numeric(15, 2);
    let columns: Vec<(&str, SqlType, ArrayRef)> = vec![
        ("l_orderkey", SqlType::BigInt, keys(7)),
        ("l_partkey", SqlType::BigInt, keys(7_919)),
        ("l_suppkey", SqlType::BigInt, keys(31)),
        ("l_linenumber", SqlType::Integer, Arc::new(numbers)),
        ("l_quantity", numeric, decimals(100, 5_000)?),
        ("l_extendedprice", numeric, decimals(7_919, 10_000_000)?),
        ("l_discount", numeric, decimals(1, 11)?),
        ("l_tax", numeric, decimals(1, 9)?),
        ("l_returnflag", SqlType::Char(1), texts(&["A", "N", "R"])),
        ("l_linestatus", SqlType::Char(1), texts(&["F", "O"])),
        ("l_shipdate", SqlType::Date, dates(7)),
        ("l_commitdate", SqlType::Date, dates(11)),
        ("l_receiptdate", SqlType::Date, dates(13)),
        ("l_shipinstruct", SqlType::Char(25), texts(&["DELIVER IN PERSON", "NONE"])),
        ("l_shipmode", SqlType::Char(10), texts(&["AIR", "TRUCK", "REG AIR"])),
        (
            "l_comment",
            SqlType::Varchar(Some(44)),
            Arc::new(StringViewArray::from_iter_values(comments)),
        ),
    ];
    let field = |(at, (name, sql_type, _)): (usize, &(&str, SqlType, ArrayRef))| OutputField {
        name: name.to_string(),
        sql_type: *sql_type,
        table_oid: 16_384,
        column_number: at as i16 + 1,
    };
    let fields = columns.iter().enumerate().map(field).collect();
    let columns = columns.into_iter().map(|(name, _, values)| (name, values));
    Ok((fields, RecordBatch::try_from_iter(columns)?))
}

criterion_group!(benches, delivery);
criterion_main!(benches);
