//! Segments written, read, damaged and removed.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::*,
    compute::concat_batches,
    datatypes::{DataType, Field, Int64Type, IntervalMonthDayNano, Schema, SchemaRef, TimeUnit},
};
use datafusion::{
    common::ScalarValue,
    execution::TaskContext,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, IsNullExpr, lit},
    },
    physical_optimizer::optimizer::PhysicalOptimizer,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, collect, displayable,
        stream::RecordBatchStreamAdapter,
    },
    prelude::SessionConfig,
};
use futures::{StreamExt, stream};
use kestrel_planner::{
    catalog::{MISSING_VALUE_METADATA, SqlType},
    codec::encode_value,
    memory::QueryMemory,
    operators::{SegmentTarget, ShardScan, ShardStore},
};
use kestrel_proto::{
    DatanodeId, DropSegments, ErrorReport, Result, SqlState, TableId, TransactionId,
    message::SegmentRef,
};

use super::{ColumnarSettings, ColumnarStore, settings::Compression};
use crate::error::{report, to_datafusion};

pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: ColumnarStore,
}

impl Fixture {
    pub(super) fn new(settings: ColumnarSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("segments")).unwrap();
        let store = ColumnarStore::new(DatanodeId(1), dir.path(), settings, &memory());
        Self { dir, store }
    }

    /// Small pieces of everything.
    pub(super) fn small() -> Self {
        Self::new(ColumnarSettings {
            row_group_rows: 100,
            segment_rows: 250,
            target_partitions: 3,
            min_split_bytes: 1,
            ..Default::default()
        })
    }

    /// The same directory, as a new process sees it.
    pub(super) fn reopened(&self) -> ColumnarStore {
        let settings = self.store_settings();
        ColumnarStore::new(DatanodeId(1), self.dir.path(), settings, &memory())
    }

    fn store_settings(&self) -> ColumnarSettings {
        ColumnarSettings { target_partitions: 2, min_split_bytes: 1, ..Default::default() }
    }

    fn files(&self) -> Vec<String> {
        fn below(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { below(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        below(self.dir.path(), &mut found);
        let relative = |p: &PathBuf| p.strip_prefix(self.dir.path()).unwrap().display().to_string();
        let mut files: Vec<_> = found.iter().map(relative).collect();
        files.sort();
        files
    }
}

pub(super) fn memory() -> QueryMemory {
    QueryMemory::new(64 << 20)
}

pub(super) fn target(schema: &SchemaRef, transaction: u64) -> SegmentTarget {
    SegmentTarget {
        transaction: TransactionId(transaction),
        coordinator_epoch: 9,
        table_id: TableId(42),
        table: "t".into(),
        schema: Arc::clone(schema),
        column_ids: (1..=schema.fields().len() as u32).collect(),
        relation: None,
        cluster_by: Vec::new(),
        is_sorted: false,
        continues: false,
        in_block: false,
        reads_own_writes: false,
    }
}

pub(super) fn scan(schema: &SchemaRef, segments: &[SegmentRef]) -> ShardScan {
    ShardScan {
        table_id: TableId(42),
        table: "t".into(),
        schema: Arc::clone(schema),
        column_ids: (1..=schema.fields().len() as u32).collect(),
        projection: (0..schema.fields().len()).collect(),
        filters: vec![],
        segments: segments.to_vec(),
        estimated_rows: 1000,
        estimated_bytes: 16_000,
        fetch: None,
        partitions: Vec::new(),
        partitions_left_out: 0,
        sample: None,
        relation: None,
    }
}

pub(super) async fn write(
    store: &ColumnarStore,
    target: &SegmentTarget,
    batches: Vec<Result<RecordBatch>>,
) -> Result<Vec<SegmentRef>> {
    let rows = stream::iter(batches).map(|batch| batch.map_err(to_datafusion));
    let rows = RecordBatchStreamAdapter::new(Arc::clone(&target.schema), rows);
    store.write(target, Box::pin(rows)).await
}

/// Runs a scan as a fragment would: after DataFusion's rules. Rows in the order of the first column.
async fn run(plan: Arc<dyn ExecutionPlan>) -> Result<RecordBatch> {
    let schema = plan.schema();
    let config = SessionConfig::new().with_target_partitions(3);
    let plan = PhysicalOptimizer::new()
        .rules
        .iter()
        .try_fold(plan, |plan, rule| rule.optimize(plan, config.options()))
        .map_err(report)?;
    let context = Arc::new(TaskContext::default().with_session_config(config));
    let batches = collect(plan, context).await.map_err(report)?;
    for batch in &batches {
        assert_eq!(batch.schema(), schema, "a batch has its plan's schema, metadata and all");
    }
    let rows = concat_batches(&schema, &batches).unwrap();
    if schema.fields().is_empty() {
        return Ok(rows);
    }
    let order = arrow::compute::sort_to_indices(rows.column(0), None, None).unwrap();
    Ok(arrow::compute::take_record_batch(&rows, &order).unwrap())
}

/// A column of every type that a table can have.
pub(super) fn every_type() -> SchemaRef {
    use SqlType::*;
    let types = [
        BigInt,
        SmallInt,
        Integer,
        Real,
        Double,
        Numeric(9, 2),
        Numeric(15, 2),
        Numeric(38, 10),
        Boolean,
        Text,
        Varchar(Some(10)),
        Char(3),
        Date,
        Time,
        Timestamp,
        TimestampTz,
        Interval,
        Uuid,
        Bytea,
    ];
    let fields = types.iter().enumerate().map(|(i, t)| t.field(&format!("c{i}"), i > 0));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// `rows` rows from number `from`; every seventh value is NULL where NULL is allowed.
pub(super) fn rows_of(schema: &SchemaRef, from: i64, rows: i64) -> RecordBatch {
    if rows == 0 {
        return RecordBatch::new_empty(Arc::clone(schema));
    }
    let columns = schema.fields().iter().map(|field| {
        let values = (from..from + rows).map(|i| {
            let null = field.is_nullable() && i % 7 == 0;
            let value = value_of(field.data_type(), i);
            if null { ScalarValue::try_from(field.data_type()).unwrap() } else { value }
        });
        ScalarValue::iter_to_array(values).unwrap()
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

fn value_of(data_type: &DataType, i: i64) -> ScalarValue {
    match data_type {
        DataType::Int16 => ScalarValue::Int16(Some(i as i16)),
        DataType::Int32 => ScalarValue::Int32(Some(-i as i32)),
        DataType::Int64 => ScalarValue::Int64(Some(i)),
        DataType::Float32 => ScalarValue::Float32(Some(i as f32 / 4.0)),
        DataType::Float64 => ScalarValue::Float64(Some(i as f64 / 3.0)),
        DataType::Decimal128(p, s) => ScalarValue::Decimal128(Some(i128::from(i) * 101), *p, *s),
        DataType::Boolean => ScalarValue::Boolean(Some(i % 2 == 0)),
        DataType::Utf8View => {
            ScalarValue::Utf8View(Some(format!("value {i} {}", "é".repeat(i as usize % 20))))
        }
        DataType::BinaryView => ScalarValue::BinaryView(Some(vec![i as u8; i as usize % 30])),
        DataType::FixedSizeBinary(16) => ScalarValue::FixedSizeBinary(16, Some(vec![i as u8; 16])),
        DataType::Date32 => ScalarValue::Date32(Some(i as i32)),
        DataType::Time64(TimeUnit::Microsecond) => ScalarValue::Time64Microsecond(Some(i)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(-i), zone.clone())
        }
        DataType::Interval(_) => ScalarValue::IntervalMonthDayNano(Some(
            IntervalMonthDayNano::new(i as i32, -i as i32, i * 1000),
        )),
        other => panic!("no value of {other}"),
    }
}

#[tokio::test]
async fn every_type_comes_back_as_it_was_written() {
    for compression in [Compression::None, Compression::Lz4] {
        let settings = ColumnarSettings {
            compression,
            row_group_rows: 100,
            segment_rows: 250,
            target_partitions: 3,
            min_split_bytes: 1,
            ..Default::default()
        };
        let fixture = Fixture::new(settings);
        let schema = every_type();
        let batches = [(0, 180), (180, 0), (180, 420), (600, 1)];
        let batches = batches.map(|(from, rows)| Ok(rows_of(&schema, from, rows)));
        let segments = write(&fixture.store, &target(&schema, 3), batches.into()).await.unwrap();
        assert_eq!(segments.iter().map(|s| s.rows).collect::<Vec<_>>(), [250, 250, 101]);
        let files: Vec<_> = segments.iter().map(|s| s.file.clone()).collect();
        assert_eq!(files, [0, 1, 2].map(|n| format!("segments/42/9-3-{n}.parquet")));
        for segment in &segments {
            let bytes = fs::read(fixture.dir.path().join(&segment.file)).unwrap();
            assert_eq!(bytes.len() as u64, segment.length);
            assert_eq!(crc32c::crc32c(&bytes), segment.checksum);
            assert!(segment.bytes > 100 * segment.rows && segment.id > 0);
        }
        for store in [&fixture.store, &fixture.reopened()] {
            let plan = store.scan(&scan(&schema, &segments)).unwrap();
            assert_eq!(plan.schema(), schema, "metadata and nullability included");
            assert_eq!(run(plan).await.unwrap(), rows_of(&schema, 0, 601));
        }
    }
}

fn column(schema: &SchemaRef, name: &str) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new_with_schema(name, schema).unwrap())
}

fn compare(
    schema: &SchemaRef,
    name: &str,
    operator: Operator,
    value: ScalarValue,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(column(schema, name), operator, lit(value)))
}

#[tokio::test]
async fn scans_project_and_filter_exactly() {
    let fixture = Fixture::small();
    let schema = every_type();
    let segments =
        write(&fixture.store, &target(&schema, 1), vec![Ok(rows_of(&schema, 0, 600))]).await;
    let segments = segments.unwrap();
    let all = rows_of(&schema, 0, 600);
    let interval = value_of(schema.field(16).data_type(), 5);
    let less = |n| compare(&schema, "c0", Operator::Lt, ScalarValue::Int64(Some(n)));
    let is_null: Arc<dyn PhysicalExpr> = Arc::new(IsNullExpr::new(column(&schema, "c9")));
    type Keep = fn(i64) -> bool;
    let cases: Vec<(Vec<Arc<dyn PhysicalExpr>>, Keep)> = vec![
        (vec![], |_| true),
        (vec![less(120)], |i| i < 120),
        (vec![less(120), is_null], |i| i < 120 && i % 7 == 0),
        (vec![less(0)], |_| false),
        (vec![compare(&schema, "c9", Operator::Eq, value_of(&DataType::Utf8View, 11))], |i| {
            i == 11
        }),
        (vec![compare(&schema, "c16", Operator::Eq, interval)], |i| i == 5),
        (
            vec![compare(
                &schema,
                "c5",
                Operator::GtEq,
                value_of(&DataType::Decimal128(9, 2), 590),
            )],
            |i| i >= 590 && i % 7 != 0,
        ),
    ];
    for (filters, keep) in cases {
        for projection in [vec![0, 9, 16], vec![16], vec![12, 3, 0], vec![]] {
            let wanted =
                UInt32Array::from_iter_values((0..600).filter(|i| keep(*i)).map(|i| i as u32));
            let expected = arrow::compute::take_record_batch(&all, &wanted).unwrap();
            let expected = expected.project(&projection).unwrap();
            let scan = ShardScan {
                filters: filters.clone(),
                projection: projection.clone(),
                ..scan(&schema, &segments)
            };
            let plan = fixture.store.scan(&scan).unwrap();
            assert_eq!(plan.schema(), expected.schema());
            assert!((1..=3).contains(&plan.output_partitioning().partition_count()));
            let found = run(plan).await.unwrap();
            assert_eq!(found.num_rows(), expected.num_rows(), "{filters:?}");
            if projection.first() == Some(&0) {
                assert_eq!(found, expected, "{filters:?}");
            }
        }
    }
}

#[tokio::test]
async fn statistics_are_the_planners() {
    let fixture = Fixture::small();
    let schema = every_type();
    let rows = vec![Ok(rows_of(&schema, 0, 600))];
    let segments = write(&fixture.store, &target(&schema, 1), rows).await.unwrap();
    let text = compare(&schema, "c9", Operator::NotEq, value_of(&DataType::Utf8View, 1));
    for filters in [
        vec![],
        vec![compare(&schema, "c0", Operator::Lt, ScalarValue::Int64(Some(7)))],
        vec![text],
    ] {
        let scan = ShardScan {
            filters,
            projection: vec![0, 9],
            estimated_rows: 77,
            estimated_bytes: 7_700,
            ..scan(&schema, &segments)
        };
        let plan = fixture.store.scan(&scan).unwrap();
        let statistics = datafusion::physical_plan::statistics::StatisticsContext::new()
            .compute(plan.as_ref(), &datafusion::physical_plan::statistics::StatisticsArgs::new())
            .unwrap();
        use datafusion::common::stats::Precision::Inexact;
        assert_eq!(statistics.num_rows, Inexact(77));
        assert_eq!(statistics.total_byte_size, Inexact(7_700));
    }
}

#[tokio::test]
async fn row_groups_are_pruned_and_limits_end_early() {
    let fixture = Fixture::small();
    let schema = every_type();
    let rows = vec![Ok(rows_of(&schema, 0, 600))];
    let segments = write(&fixture.store, &target(&schema, 1), rows).await.unwrap();
    let filter = compare(&schema, "c0", Operator::GtEq, ScalarValue::Int64(Some(590)));
    let plan = fixture
        .store
        .scan(&ShardScan { filters: vec![filter], ..scan(&schema, &segments) })
        .unwrap();
    let config = SessionConfig::new().with_target_partitions(3);
    let plan = PhysicalOptimizer::new()
        .rules
        .iter()
        .try_fold(plan, |plan, rule| rule.optimize(plan, config.options()))
        .unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    assert!(text.contains("filter=c0@0 >= 590"), "{text}");
    let context = Arc::new(TaskContext::default().with_session_config(config));
    let batches = collect(Arc::clone(&plan), context).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    let metrics = find(&plan, "ColumnarScanExec").metrics().unwrap();
    let count = |name| metrics.sum_by_name(name).map(|value| value.as_usize());
    assert_eq!(metrics.output_rows(), Some(10));
    assert_eq!(count("segments_pruned"), Some(2), "all of 3 but the last");

    let limited = ShardScan { fetch: Some(5), ..scan(&schema, &segments) };
    let found = run(fixture.store.scan(&limited).unwrap()).await.unwrap();
    assert_eq!(found.num_rows(), 5);
}

fn find(plan: &Arc<dyn ExecutionPlan>, name: &str) -> Arc<dyn ExecutionPlan> {
    if plan.name() == name {
        return Arc::clone(plan);
    }
    let child = plan.children().into_iter().next().expect("an operator of this name");
    find(child, name)
}

#[tokio::test]
async fn a_table_without_segments_is_empty() {
    let fixture = Fixture::small();
    let schema = every_type();
    let scan = ShardScan { projection: vec![16, 0], ..scan(&schema, &[]) };
    let plan = fixture.store.scan(&scan).unwrap();
    assert_eq!(plan.schema().as_ref(), &schema.project(&[16, 0]).unwrap());
    assert_eq!(run(plan).await.unwrap().num_rows(), 0);
    let none = write(&fixture.store, &target(&schema, 1), vec![Ok(rows_of(&schema, 0, 0))]).await;
    assert_eq!(none.unwrap(), []);
    assert_eq!(fixture.files(), Vec::<String>::new());
}

/// Columns are found by id: after a rename, a drop and an addition.
#[tokio::test]
async fn columns_follow_their_ids() {
    let fixture = Fixture::small();
    let written: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, false),
        Field::new("b", DataType::Int64, true),
        Field::new("c", DataType::Utf8View, true),
    ]));
    let rows = vec![Ok(rows_of(&written, 0, 10))];
    let segments = write(&fixture.store, &target(&written, 1), rows).await.unwrap();
    let metadata = HashMap::from([("kestrel.sql_type".to_string(), "bigint".to_string())]);
    let now: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("b", DataType::Int64, false).with_metadata(metadata),
        Field::new("a", DataType::Utf8View, true),
        Field::new("d", DataType::Int32, true),
    ]));
    let scan = ShardScan {
        column_ids: vec![1, 3, 4],
        filters: vec![compare(&now, "b", Operator::Gt, ScalarValue::Int64(Some(7)))],
        ..scan(&now, &segments)
    };
    let found = run(fixture.store.scan(&scan).unwrap()).await.unwrap();
    assert_eq!(found.column(0).as_primitive::<Int64Type>().values(), &[8, 9]);
    assert_eq!(found.column(1).as_ref(), rows_of(&written, 8, 2).column(2).as_ref());
    assert_eq!(found.column(2).null_count(), 2);

    let required: SchemaRef = Arc::new(Schema::new(vec![Field::new("e", DataType::Int32, false)]));
    let scan = ShardScan { column_ids: vec![5], ..super::tests::scan(&required, &segments) };
    let error = run(fixture.store.scan(&scan).unwrap()).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::DATA_CORRUPTED);
    assert_eq!(error.message, "a segment of table \"t\" lacks column \"e\"");

    // What the default was when it was an integer; now the column is a bigint.
    let value = encode_value(&ScalarValue::Int32(Some(42))).unwrap();
    let metadata = HashMap::from([(MISSING_VALUE_METADATA.to_string(), value)]);
    let later: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("f", DataType::Int64, false).with_metadata(metadata),
    ]));
    let scan = ShardScan { column_ids: vec![6], ..super::tests::scan(&later, &segments) };
    let found = run(fixture.store.scan(&scan).unwrap()).await.unwrap();
    assert_eq!(found.column(0).as_primitive::<Int64Type>().values(), &[42; 10]);
    let none = vec![compare(&later, "f", Operator::Lt, ScalarValue::Int64(Some(42)))];
    let found = run(fixture.store.scan(&ShardScan { filters: none, ..scan }).unwrap()).await;
    assert_eq!(found.unwrap().num_rows(), 0);
}

#[tokio::test]
async fn damage_is_found_and_named() {
    let schema = every_type();
    let damages: [(&str, Damage); 5] = [
        ("missing", |file| fs::remove_file(file).unwrap()),
        ("damaged", |file| fs::write(file, "").unwrap()),
        ("damaged", |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() - 100]).unwrap();
        }),
        ("damaged", |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("damaged", |file| fs::write(file, vec![7; fs::read(file).unwrap().len()]).unwrap()),
    ];
    for (what, damage) in damages {
        let fixture = Fixture::small();
        let rows = vec![Ok(rows_of(&schema, 0, 100))];
        let segments = write(&fixture.store, &target(&schema, 1), rows).await.unwrap();
        damage(&fixture.dir.path().join(&segments[0].file));
        let plan = fixture.reopened().scan(&scan(&schema, &segments)).unwrap();
        let error = run(plan).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::DATA_CORRUPTED, "{error:?}");
        let message = format!("segment \"segments/42/9-1-0.parquet\" of table \"t\" is {what}");
        assert_eq!((error.message, error.datanode), (message, Some("dn2".into())));
    }
    // A whole file that is another table's, or has another number of rows.
    let fixture = Fixture::small();
    let rows = vec![Ok(rows_of(&schema, 0, 100))];
    let mut segments = write(&fixture.store, &target(&schema, 1), rows).await.unwrap();
    let mut other = segments.clone();
    other[0].file = other[0].file.replace("/42/", "/43/");
    let place = fixture.dir.path().join(&other[0].file);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(fixture.dir.path().join(&segments[0].file), place).unwrap();
    let error = run(fixture.reopened().scan(&scan(&schema, &other)).unwrap()).await.unwrap_err();
    assert_eq!(error.detail.as_deref(), Some("It is a segment of another table."));
    segments[0].rows = 99;
    let error = run(fixture.reopened().scan(&scan(&schema, &segments)).unwrap()).await;
    assert_eq!(error.unwrap_err().detail.as_deref(), Some("It has 100 rows in place of 99."));
}

#[tokio::test]
async fn a_failed_write_leaves_no_file() {
    let fixture = Fixture::small();
    let schema = every_type();
    let failure = ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero");
    let rows = vec![Ok(rows_of(&schema, 0, 600)), Err(failure.clone())];
    let error = write(&fixture.store, &target(&schema, 1), rows).await.unwrap_err();
    assert_eq!(error, failure.on_datanode("dn2"));
    assert_eq!(fixture.files(), Vec::<String>::new());

    let null = Arc::new(Schema::new(vec![Field::new("c0", DataType::Int64, true)]));
    let required = Arc::new(Schema::new(vec![Field::new("c0", DataType::Int64, false)]));
    let rows = vec![Ok(rows_of(&null, 0, 600))];
    let error = write(&fixture.store, &target(&required, 1), rows).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::INTERNAL_ERROR);
    assert_eq!(fixture.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_file() {
    let fixture = Fixture::small();
    let schema = every_type();
    let first = rows_of(&schema, 0, 600);
    let rows = stream::iter([Ok(first)]).chain(stream::pending());
    let rows = RecordBatchStreamAdapter::new(Arc::clone(&schema), rows);
    let target = target(&schema, 1);
    let write = fixture.store.write(&target, Box::pin(rows));
    tokio::time::timeout(std::time::Duration::from_millis(200), write).await.unwrap_err();
    for _ in 0..100 {
        if fixture.files().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{:?} are left", fixture.files());
}

#[tokio::test]
async fn files_go_only_on_order() {
    let fixture = Fixture::small();
    let schema = every_type();
    let mut files = Vec::new();
    for transaction in [1, 12, 2] {
        let rows = vec![Ok(rows_of(&schema, 0, 300))];
        let segments = write(&fixture.store, &target(&schema, transaction), rows).await.unwrap();
        files.extend(segments.into_iter().map(|s| s.file));
    }
    let left = |kept: &[usize]| {
        let mut kept: Vec<_> = kept.iter().map(|i| files[*i].clone()).collect();
        kept.sort();
        assert_eq!(fixture.files(), kept);
    };
    left(&[0, 1, 2, 3, 4, 5]);
    let drop = |order| fixture.store.drop_segments(order);
    drop(DropSegments::Transaction(TransactionId(1))).await.unwrap();
    left(&[2, 3, 4, 5]);
    drop(DropSegments::Files(vec![files[2].clone(), files[0].clone()])).await.unwrap();
    left(&[3, 4, 5]);
    let outside = drop(DropSegments::Files(vec!["../x".into(), files[3].clone()])).await;
    assert_eq!(outside.unwrap_err().sqlstate, SqlState::INTERNAL_ERROR);
    left(&[4, 5]);
    fs::write(fixture.dir.path().join("segments/42/9-7-0.parquet.tmp"), "half").unwrap();
    fs::create_dir(fixture.dir.path().join("segments/43")).unwrap();
    drop(DropSegments::AllBut(vec![files[5].clone()])).await.unwrap();
    left(&[5]);
    assert!(!fixture.dir.path().join("segments/43").exists());
}

/// Does something to a file.
type Damage = fn(&Path);
