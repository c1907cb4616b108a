//! Files that the store has written, read as chunks.

use std::{collections::HashMap, fs, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Decimal128Array, Int32Array, Int64Array, RecordBatch,
        StringViewArray,
    },
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use datafusion::common::ScalarValue;
use kestrel_planner::{
    catalog::{MISSING_VALUE_METADATA, SqlType},
    codec::encode_value,
    operators::ShardScan,
};
use kestrel_proto::{DropSegments, Result, SqlState, message::SegmentRef};

use super::{
    ColumnarSettings,
    bounds::ColumnBounds,
    chunk::{Chunk, Values},
    load::Piece,
    settings::Compression,
    store::StoreState,
    summary::Summaries,
    table::TableOfScan,
    tests::{Fixture, every_type, rows_of, scan, target, write},
};

/// A table as a query finds it, and the pieces of its segments.
struct Reading {
    store: Arc<StoreState>,
    table: TableOfScan,
    pieces: Vec<Piece>,
}

impl Reading {
    async fn of(store: &Arc<StoreState>, scan: &ShardScan) -> Result<Self> {
        let table = TableOfScan::of(scan)?;
        let segments: Vec<_> = scan.segments.iter().cloned().map(Arc::new).collect();
        let pieces = store.pieces(&table, &segments).await?;
        Ok(Self { store: Arc::clone(store), table, pieces })
    }

    async fn chunks(&self, piece: usize, columns: &[usize]) -> Result<Vec<Arc<Chunk>>> {
        self.store.chunks(&self.table, &self.pieces[piece], columns).await
    }

    fn bounds(&self, piece: usize, column: usize) -> Option<ColumnBounds> {
        self.store.piece_bounds(&self.table, &self.pieces[piece], column)
    }
}

/// 600 rows of every type: segments of 250 rows, row groups of 100.
async fn six_hundred(compression: Compression) -> (Fixture, SchemaRef, Vec<SegmentRef>) {
    let fixture = Fixture::new(ColumnarSettings {
        row_group_rows: 100,
        segment_rows: 250,
        compression,
        ..ColumnarSettings::default()
    });
    let schema = every_type();
    let rows = vec![Ok(rows_of(&schema, 0, 333)), Ok(rows_of(&schema, 333, 267))];
    let segments = write(&fixture.store, &target(&schema, 1), rows).await.unwrap();
    (fixture, schema, segments)
}

#[tokio::test]
async fn every_type_is_read_as_it_was_written() {
    for compression in [Compression::None, Compression::Lz4] {
        let (fixture, schema, segments) = six_hundred(compression).await;
        let scan = scan(&schema, &segments);
        let reading = Reading::of(&fixture.store.state, &scan).await.unwrap();
        let sizes: Vec<_> = reading.pieces.iter().map(|p| (p.row_group, p.rows)).collect();
        let whole = [(0, 100), (1, 100), (2, 50)];
        assert_eq!(sizes, [&whole[..], &whole[..], &[(0, 100)]].concat());
        let mut first = 0;
        for (at, piece) in reading.pieces.iter().enumerate() {
            let expected = rows_of(&schema, first, piece.rows as i64);
            // In any order, and one more than once.
            let mut columns: Vec<_> = (0..schema.fields().len()).rev().collect();
            columns.push(4);
            let chunks = reading.chunks(at, &columns).await.unwrap();
            for (column, chunk) in columns.iter().zip(&chunks) {
                assert_eq!(chunk.data_type(), schema.field(*column).data_type());
                let expected = expected.column(*column);
                assert_eq!(&chunk.slice(0..piece.rows), expected, "{chunk:?} of piece {at}");
            }
            first += piece.rows as i64;
        }
        assert_eq!(first, 600);
    }
}

#[tokio::test]
async fn what_was_read_is_in_the_cache_until_its_file_goes() {
    let (fixture, schema, segments) = six_hundred(Compression::Lz4).await;
    let reading = Reading::of(&fixture.store.state, &scan(&schema, &segments)).await.unwrap();
    let first = reading.chunks(0, &[0, 5, 9]).await.unwrap();
    let again = reading.chunks(0, &[9, 0]).await.unwrap();
    assert!(Arc::ptr_eq(&first[2], &again[0]) && Arc::ptr_eq(&first[0], &again[1]));
    let counters = fixture.store.counters();
    assert_eq!((counters.column_hits, counters.column_misses), (2, 3));
    let bytes: usize = first.iter().map(|chunk| chunk.bytes()).sum();
    assert_eq!(counters.column_bytes, bytes as u64);
    assert!(matches!(first[0].values(), Values::U8 { base: 0, .. }), "{first:?}");

    let file = segments[0].file.clone();
    fixture.store.drop_segments(DropSegments::Files(vec![file.clone()])).await.unwrap();
    assert_eq!(fixture.store.counters().column_bytes, 0);
    let error = reading.chunks(0, &[0]).await.unwrap_err();
    assert_eq!(error.message, format!("segment \"{file}\" of table \"t\" is missing"));
    assert_eq!(error.sqlstate, SqlState::DATA_CORRUPTED);
    reading.chunks(3, &[0]).await.unwrap();
}

/// After a rename, a drop, an addition, and a type that became wider.
#[tokio::test]
async fn columns_follow_their_ids() {
    let fixture = Fixture::small();
    let written: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Int64, true),
        Field::new("c", DataType::Utf8View, true),
    ]));
    let rows = vec![Ok(rows_of(&written, 0, 10))];
    let segments = write(&fixture.store, &target(&written, 1), rows).await.unwrap();
    let missing = encode_value(&ScalarValue::Int32(Some(42))).unwrap();
    let metadata = HashMap::from([(MISSING_VALUE_METADATA.to_string(), missing)]);
    let now: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Utf8View, true),
        Field::new("wide", DataType::Int64, true),
        Field::new("null", DataType::Utf8View, true),
        Field::new("default", DataType::Int64, false).with_metadata(metadata),
        Field::new("required", DataType::Int32, false),
    ]));
    let scan = ShardScan { column_ids: vec![3, 1, 4, 5, 6], ..scan(&now, &segments) };
    let reading = Reading::of(&fixture.store.state, &scan).await.unwrap();
    let chunks = reading.chunks(0, &[0, 1, 2, 3]).await.unwrap();
    let columns: Vec<_> = chunks.iter().map(|chunk| chunk.slice(0..10)).collect();
    assert_eq!(&columns[0], rows_of(&written, 0, 10).column(2));
    let wide = columns[1].as_primitive::<Int64Type>();
    assert_eq!(wide.iter().collect::<Vec<_>>()[5..9], [Some(-5), Some(-6), None, Some(-8)]);
    assert_eq!((columns[2].len(), columns[2].null_count()), (10, 10));
    assert_eq!(columns[3].as_primitive::<Int64Type>().values(), &[42; 10]);
    // Only columns that the file does not have.
    let added = reading.chunks(0, &[3, 2]).await.unwrap();
    assert_eq!(added[0].raw_slice(0..2).map(|raw| raw.value(1)), Some(42));

    let error = reading.chunks(0, &[1, 4]).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::DATA_CORRUPTED);
    assert_eq!(error.message, "a segment of table \"t\" lacks column \"required\"");
    assert_eq!(reading.chunks(0, &[5]).await.unwrap_err().sqlstate, SqlState::INTERNAL_ERROR);

    let bounds = |value: Option<i64>, nulls| {
        let value = ScalarValue::Int64(value);
        Some(ColumnBounds { min: value.clone(), max: value, nulls: Some(nulls) })
    };
    assert_eq!(reading.bounds(0, 3), bounds(Some(42), 0));
    assert_eq!(reading.bounds(0, 2).and_then(|b| b.nulls), Some(10));
    assert_eq!(reading.bounds(0, 4), None);
    let wide = reading.bounds(0, 1).unwrap();
    assert_eq!((wide.min, wide.max), (ScalarValue::Int64(Some(-9)), ScalarValue::Int64(Some(-1))));
    // By id, whatever the name is.
    assert_eq!(Summaries::of(&segments).bounds(1), Some((-9, -1)));
    assert_eq!(
        (Summaries::of(&segments).bounds(3), Summaries::of(&segments).bounds(4)),
        (None, None)
    );
}

#[tokio::test]
async fn footers_and_the_catalog_know_bounds() {
    let (fixture, schema, segments) = six_hundred(Compression::Lz4).await;
    let reading = Reading::of(&fixture.store.state, &scan(&schema, &segments)).await.unwrap();
    for (column, field) in schema.fields().iter().enumerate() {
        let found = reading.bounds(1, column);
        let has_none =
            field.data_type().is_floating() || matches!(field.data_type(), DataType::Interval(_));
        assert_eq!(found.is_none(), has_none, "{field}: {found:?}");
        let Some(found) = found else { continue };
        assert_eq!(&found.min.data_type(), field.data_type());
        // 100 to 199: 105, 112, …
        assert_eq!(found.nulls, Some(if column == 0 { 0 } else { 14 }), "{field}");
        let rows = rows_of(&schema, 100, 100);
        for row in 0..100 {
            let value = ScalarValue::try_from_array(rows.column(column), row).unwrap();
            let inside = found.min <= value && value <= found.max;
            assert!(value.is_null() || inside, "{field}: {value} is not within {found:?}");
        }
    }
    let bounds = |id| Summaries::of(&segments).bounds(id);
    // c0, c1, c6 (numeric(15,2), unscaled), c13 (time); and numeric(38,10), boolean, text.
    assert_eq!((bounds(1), bounds(2)), (Some((0, 599)), Some((1, 599))));
    assert_eq!((bounds(7), bounds(14)), (Some((101, 599 * 101)), Some((1, 599))));
    assert_eq!((bounds(8), bounds(9), bounds(10)), (None, None, None));
}

#[tokio::test]
async fn damage_is_named_each_time_until_it_is_mended() {
    let (fixture, schema, segments) = six_hundred(Compression::Lz4).await;
    let scan = scan(&schema, &segments);
    let path = fixture.dir.path().join(&segments[1].file);
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let reopened = fixture.reopened();
    let expected = format!("segment \"{}\" of table \"t\" is damaged", segments[1].file);
    for _ in 0..2 {
        let error = Reading::of(&reopened.state, &scan).await.map(|_| ()).unwrap_err();
        assert_eq!((error.sqlstate, error.message), (SqlState::DATA_CORRUPTED, expected.clone()));
        assert_eq!(error.datanode.as_deref(), Some("dn2"));
    }
    fs::write(&path, &whole).unwrap();
    let reading = Reading::of(&reopened.state, &scan).await.unwrap();
    // After its checksum was compared: pages that are none.
    let mut damaged = whole.clone();
    damaged[4..whole.len() / 2].fill(0xff);
    fs::write(&path, &damaged).unwrap();
    for _ in 0..2 {
        let error = reading.chunks(3, &[0, 1]).await.map(|_| ()).unwrap_err();
        assert_eq!((error.sqlstate, error.message), (SqlState::DATA_CORRUPTED, expected.clone()));
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(reading.chunks(3, &[0, 1]).await.unwrap().len(), 2);
}

/// Strings that are few stay codes, and long ones whole, over several pages of a row group.
#[tokio::test]
async fn row_groups_of_the_usual_size() {
    let fixture = Fixture::new(ColumnarSettings::default());
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, false),
        Field::new("price", DataType::Decimal128(15, 2), true),
        Field::new("text", DataType::Utf8View, true),
    ]));
    let batches: Vec<_> = (0..20).map(|n| Ok(rows_of(&schema, n * 8000, 8000))).collect();
    let segments = write(&fixture.store, &target(&schema, 1), batches).await.unwrap();
    let reading = Reading::of(&fixture.store.state, &scan(&schema, &segments)).await.unwrap();
    let sizes: Vec<_> = reading.pieces.iter().map(|piece| piece.rows).collect();
    assert_eq!(sizes, [131_072, 160_000 - 131_072]);
    for (piece, first) in [(0, 0), (1, 131_072)] {
        let rows = sizes[piece];
        let chunks = reading.chunks(piece, &[0, 1, 2]).await.unwrap();
        let expected = rows_of(&schema, first, rows as i64);
        for (column, chunk) in chunks.iter().enumerate() {
            assert_eq!(&chunk.slice(0..rows), expected.column(column), "{chunk:?}");
        }
        assert!(matches!(chunks[0].values(), Values::U32 { .. } | Values::U16 { .. }));
        assert_eq!(chunks[1].zones().map(<[_]>::len), Some(rows.div_ceil(8192)));
    }
}

/// Values that a dictionary is given up for, with differences that 64 bits do not hold.
#[tokio::test]
async fn integers_and_strings_without_dictionaries_survive() {
    const ROWS: i64 = 40_000;
    let fixture = Fixture::new(ColumnarSettings::default());
    let types = [SqlType::BigInt, SqlType::Integer, SqlType::Numeric(18, 2), SqlType::Text];
    let fields: Vec<_> = types.iter().map(|t| t.field(&t.to_string(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let wide = |row: i64| match row % 4 {
        0 => i64::MIN + row,
        1 => i64::MAX - row,
        _ => row.wrapping_mul(0x5851_f42d_4c95_7f2d),
    };
    let some = |row: i64| (row % 5 > 0).then_some(row);
    let digits = 10_i128.pow(18) - 1;
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..ROWS).map(some).map(|row| row.map(wide)).collect::<Int64Array>()),
        Arc::new((0..ROWS).map(|row| wide(row) as i32).collect::<Int32Array>()),
        Arc::new(
            (0..ROWS)
                .map(|row| if row % 2 == 0 { digits } else { -digits } + i128::from(row % 2 * row))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(18, 2)
                .unwrap(),
        ),
        Arc::new(
            (0..ROWS)
                .map(|row| some(row).map(|row| "é".repeat((row % 19) as usize) + &row.to_string()))
                .collect::<StringViewArray>(),
        ),
    ];
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let segments =
        write(&fixture.store, &target(&schema, 1), vec![Ok(rows.clone())]).await.unwrap();
    let reading = Reading::of(&fixture.store.state, &scan(&schema, &segments)).await.unwrap();
    let chunks = reading.chunks(0, &[0, 1, 2, 3]).await.unwrap();
    for (chunk, column) in chunks.iter().zip(rows.columns()) {
        assert_eq!(&chunk.slice(0..ROWS as usize), column);
    }
}
