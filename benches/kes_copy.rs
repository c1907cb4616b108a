//! TPC-H lineitem between a shard's database and the datanode: binary COPY data, one row in each
//! message as PostgreSQL sends them, to record batches, and back. Rows a second:
//! `cargo bench --bench kes_copy`. And the same rows as text from a client to record batches.

use std::{hint::black_box, sync::Arc, thread};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringViewArray},
    compute::concat_batches,
    datatypes::Schema,
};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::{StreamExt, stream};
use kestrel::tpch::Table;
use kestrel_datanode::shard::kes::copy::{
    ChunkLimits, CopyEncoder, CopyLayout, DecodePool, RowChunk, RowFinder, decode_chunk,
    decode_stream,
};
use kestrel_planner::{
    catalog::{ColumnDef, SqlType},
    copy::{CopyLayout as TextLayout, CopyReader, Forced, Header, RecordFormat},
    functions::SessionFormats,
};
use tpchgen::generators::LineItemGenerator;
use tpchgen_arrow::LineItemArrow;

/// The command's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 120 000 rows.
const SCALE: f64 = 0.02;
const TYPES: [SqlType; 16] = [
    SqlType::BigInt,
    SqlType::BigInt,
    SqlType::BigInt,
    SqlType::Integer,
    SqlType::Numeric(15, 2),
    SqlType::Numeric(15, 2),
    SqlType::Numeric(15, 2),
    SqlType::Numeric(15, 2),
    SqlType::Char(1),
    SqlType::Char(1),
    SqlType::Date,
    SqlType::Date,
    SqlType::Date,
    SqlType::Char(25),
    SqlType::Char(10),
    SqlType::Varchar(Some(44)),
];
/// What a client sends at a time.
const PIECE_BYTES: usize = 256 << 10;
/// The columns that Q6 reads.
const Q6: [usize; 4] = [4, 5, 6, 10];

fn kes_copy(criterion: &mut Criterion) {
    let lineitem = lineitem();
    let all: Vec<usize> = (0..TYPES.len()).collect();
    for (name, columns) in [("lineitem", &all[..]), ("lineitem, Q6's columns", &Q6)] {
        let rows = lineitem.project(columns).unwrap_or_else(|e| panic!("{e}"));
        let oids: Vec<u32> = columns.iter().map(|at| TYPES[*at].oid()).collect();
        let layout = CopyLayout::try_new("lineitem", rows.schema(), &oids);
        bench(criterion, name, &layout.unwrap_or_else(|e| panic!("{e}")), &rows);
    }
}

fn bench(criterion: &mut Criterion, name: &str, layout: &CopyLayout, rows: &RecordBatch) {
    let payloads = messages(&encode(layout, rows).concat(), rows.num_columns());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(rows.num_rows() as u64));
    group.sample_size(20);
    group.bench_function("find rows", |b| b.iter(|| chunks(layout, black_box(&payloads))));
    let chunks = chunks(layout, &payloads);
    group.bench_function("decode, 1 thread", |b| {
        b.iter(|| {
            chunks.iter().map(|chunk| decode_chunk(layout, black_box(chunk))).collect::<Vec<_>>()
        });
    });
    for (at, field) in layout.schema().fields().iter().enumerate() {
        let one = Arc::new(Schema::new(vec![Arc::clone(field)]));
        let column = RecordBatch::try_new(Arc::clone(&one), vec![Arc::clone(rows.column(at))]);
        let column = column.unwrap_or_else(|e| panic!("{e}"));
        let oid = SqlType::of_field(field).map_or(0, SqlType::oid);
        let layout = CopyLayout::try_new("lineitem", one, &[oid]).unwrap_or_else(|e| panic!("{e}"));
        let chunks = self::chunks(&layout, &[encode(&layout, &column).concat().into()]);
        group.bench_function(format!("decode {}", field.name()), |b| {
            b.iter(|| {
                let batches = chunks.iter().map(|chunk| decode_chunk(&layout, black_box(chunk)));
                batches.collect::<Vec<_>>()
            });
        });
    }
    group.bench_function("both, 1 thread", |b| {
        b.iter(|| {
            let chunks = self::chunks(layout, black_box(&payloads));
            chunks.iter().map(|chunk| decode_chunk(layout, chunk)).collect::<Vec<_>>()
        });
    });
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let pool = DecodePool::try_new(threads).unwrap_or_else(|e| panic!("{e}"));
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|e| panic!("{e}"));
    group.bench_function(format!("both, as a stream, {threads} threads"), |b| {
        b.to_async(&runtime).iter(|| {
            let payloads = stream::iter(payloads.iter().cloned().map(Ok));
            let limits = ChunkLimits::default();
            decode_stream(payloads, layout.clone(), limits, pool.clone()).collect::<Vec<_>>()
        });
    });
    group.bench_function("encode", |b| b.iter(|| encode(layout, black_box(rows))));
    group.finish();
}

fn client_text(criterion: &mut Criterion) {
    let mut text = Vec::new();
    let table = Table::named("lineitem").unwrap_or_else(|| panic!("TPC-H has no lineitem"));
    table.copy_text(SCALE, &mut |chunk| {
        text.extend_from_slice(&chunk.text);
        true
    });
    let rows = text.iter().filter(|byte| **byte == b'\n').count();
    let mut group = criterion.benchmark_group("lineitem of a client");
    group.throughput(Throughput::Elements(rows as u64));
    group.sample_size(20);
    group.bench_function("read text", |b| b.iter(|| read(text_reader(), black_box(&text))));
    group.finish();
}

fn text_reader() -> CopyReader {
    let columns: Vec<_> = (1..).zip(TYPES).map(|(id, sql_type)| column(id, sql_type)).collect();
    let forced = vec![Forced::default(); columns.len()];
    let format = RecordFormat {
        csv: false,
        delimiter: b'\t',
        null: "\\N".into(),
        quote: b'"',
        escape: b'"',
    };
    CopyReader::records(TextLayout {
        table: "lineitem".into(),
        columns,
        forced,
        format,
        header: Header::None,
        formats: SessionFormats::default(),
        rejects: false,
    })
}

fn column(id: u32, sql_type: SqlType) -> ColumnDef {
    ColumnDef {
        id,
        name: format!("c{id}"),
        sql_type,
        not_null: true,
        default: None,
        identity: None,
    }
}

fn read(mut reader: CopyReader, text: &[u8]) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for piece in text.chunks(PIECE_BYTES) {
        reader.push(piece).unwrap_or_else(|e| panic!("{e}"));
        batches.extend(reader.take().unwrap_or_else(|e| panic!("{e}")));
    }
    reader.finish().unwrap_or_else(|e| panic!("{e}"));
    batches.extend(reader.take().unwrap_or_else(|e| panic!("{e}")));
    batches.into_iter().map(|batch| batch.rows).collect()
}

fn chunks(layout: &CopyLayout, payloads: &[Bytes]) -> Vec<RowChunk> {
    let columns = layout.schema().fields().len();
    let (mut finder, mut chunks) = (RowFinder::new(columns, ChunkLimits::default()), Vec::new());
    for payload in payloads {
        finder.push(payload, &mut chunks).unwrap_or_else(|e| panic!("{e}"));
    }
    chunks.extend(finder.finish().unwrap_or_else(|e| panic!("{e}")));
    chunks
}

fn encode(layout: &CopyLayout, rows: &RecordBatch) -> Vec<Bytes> {
    let (mut encoder, mut payloads) = (CopyEncoder::new(layout.clone()), Vec::new());
    encoder.encode(rows, &mut payloads).unwrap_or_else(|e| panic!("{e}"));
    encoder.finish(&mut payloads);
    payloads
}

/// COPY data with one row in each payload; the header goes with the first.
fn messages(data: &[u8], columns: usize) -> Vec<Bytes> {
    let length = |at: usize| data[at..at + 4].iter().fold(0, |n, byte| n << 8 | i64::from(*byte));
    let (mut payloads, mut start, mut at) = (Vec::new(), 0, 19);
    while at + 2 < data.len() {
        at += 2;
        for _ in 0..columns {
            at += 4 + length(at) as usize;
        }
        payloads.push(Bytes::copy_from_slice(&data[start..at]));
        start = at;
    }
    payloads.push(Bytes::copy_from_slice(&data[start..]));
    payloads
}

/// The rows, with char(n) as it is sent: with its blanks.
fn lineitem() -> RecordBatch {
    let batches = LineItemArrow::new(LineItemGenerator::new(SCALE, 1, 1));
    let batches = batches.collect::<Result<Vec<_>, _>>().unwrap_or_else(|e| panic!("{e}"));
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap_or_else(|e| panic!("{e}"));
    let columns = rows.columns().iter().zip(TYPES).map(|(column, sql_type)| match sql_type {
        SqlType::Char(n) => {
            let texts = column.as_string_view().iter().flatten();
            let texts = texts.map(|text| format!("{text:<0$}", n as usize));
            Arc::new(StringViewArray::from_iter_values(texts)) as ArrayRef
        }
        _ => Arc::clone(column),
    });
    let columns = columns.collect();
    let names = rows.schema();
    let fields = TYPES.iter().zip(names.fields()).map(|(t, field)| t.field(field.name(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns).unwrap_or_else(|e| panic!("{e}"))
}

criterion_group!(benches, kes_copy, client_text);
criterion_main!(benches);
