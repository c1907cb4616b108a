//! Tables of random rows in segments, and what scans find in them.

use std::{fs, sync::Arc};

use arrow::{
    array::*,
    compute::{concat_batches, sort_to_indices, take_record_batch},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use datafusion::{
    common::ScalarValue,
    datasource::memory::MemorySourceConfig,
    execution::TaskContext,
    physical_expr::{PhysicalExpr, conjunction},
    physical_plan::{ExecutionPlan, collect, filter::FilterExec},
    prelude::SessionConfig,
};
use futures::stream;
use kestrel_planner::operators::{SegmentTarget, ShardScan, ShardStore};
use kestrel_proto::{DatanodeId, Result, TableId, TransactionId, message::SegmentRef};

use crate::{
    error::report,
    shard::columnar::{ColumnarSettings, ColumnarStore, tests::memory},
};

/// A table in a store of its own. Its first column, `id`, numbers its rows.
pub(super) struct Table {
    pub(super) store: ColumnarStore,
    pub(super) rows: RecordBatch,
    segments: Vec<SegmentRef>,
    _dir: tempfile::TempDir,
}

/// How it is cut.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) segment_rows: usize,
    pub(super) row_group_rows: usize,
    pub(super) partitions: usize,
}

impl Table {
    pub(super) async fn new(rows: RecordBatch, cut: Cut) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("segments")).unwrap();
        let settings = ColumnarSettings {
            segment_rows: cut.segment_rows,
            row_group_rows: cut.row_group_rows,
            target_partitions: cut.partitions,
            min_split_bytes: 1,
            ..Default::default()
        };
        let store = ColumnarStore::new(DatanodeId(1), dir.path(), settings, &memory());
        let mut table = Self { store, rows: rows.clone(), segments: Vec::new(), _dir: dir };
        table.add(TableId(7), rows).await;
        table
    }

    /// Writes rows that another table, a partition, has.
    pub(super) async fn add(&mut self, partition: TableId, rows: RecordBatch) {
        let schema = rows.schema();
        let target = SegmentTarget {
            transaction: TransactionId(1),
            coordinator_epoch: 1,
            table_id: partition,
            table: "t".into(),
            column_ids: (1..=schema.fields().len() as u32).collect(),
            schema: Arc::clone(&schema),
            relation: None,
            cluster_by: Vec::new(),
            is_sorted: false,
            continues: false,
            in_block: false,
            reads_own_writes: false,
        };
        let batches = stream::iter([Ok(rows)]);
        let batches =
            datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, batches);
        self.segments.extend(self.store.write(&target, Box::pin(batches)).await.unwrap());
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// What all columns of the rows that pass are asked for with.
    pub(super) fn scan(&self, filters: &[Arc<dyn PhysicalExpr>]) -> ShardScan {
        let columns = self.schema().fields().len();
        ShardScan {
            table_id: TableId(7),
            table: "t".into(),
            schema: self.schema(),
            column_ids: (1..=columns as u32).collect(),
            projection: (0..columns).collect(),
            filters: filters.to_vec(),
            segments: self.segments.clone(),
            estimated_rows: 1000,
            estimated_bytes: 16_000,
            fetch: None,
            partitions: Vec::new(),
            partitions_left_out: 0,
            sample: None,
            relation: None,
        }
    }

    /// The rows that DataFusion's filter lets pass, by their numbers; `None`: it fails.
    pub(super) async fn expected(&self, filters: &[Arc<dyn PhysicalExpr>]) -> Option<RecordBatch> {
        let source =
            MemorySourceConfig::try_new_exec(&[vec![self.rows.clone()]], self.schema(), None);
        let filter = FilterExec::try_new(conjunction(filters.to_vec()), source.unwrap()).unwrap();
        let batches = collect(Arc::new(filter), Arc::default()).await.ok()?;
        Some(by_id(&concat_batches(&self.schema(), &batches).unwrap()))
    }
}

/// All rows of a plan whose first column is `id`, by that; its batches have no more than
/// `batch_rows`.
pub(super) async fn rows_of(
    plan: Arc<dyn ExecutionPlan>,
    batch_rows: usize,
) -> Result<RecordBatch> {
    let schema = plan.schema();
    let batches = collect(plan, context(batch_rows)).await.map_err(report)?;
    for batch in &batches {
        assert_eq!(batch.schema(), schema);
        assert!((1..=batch_rows).contains(&batch.num_rows()), "{} rows", batch.num_rows());
    }
    Ok(by_id(&concat_batches(&schema, &batches).unwrap()))
}

pub(super) fn context(batch_rows: usize) -> Arc<TaskContext> {
    let config = SessionConfig::new().with_batch_size(batch_rows);
    Arc::new(TaskContext::default().with_session_config(config))
}

pub(super) fn by_id(rows: &RecordBatch) -> RecordBatch {
    let order = sort_to_indices(rows.column(0), None, None).unwrap();
    take_record_batch(rows, &order).unwrap()
}

/// A metric of a plan that has run.
pub(super) fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    plan.metrics().and_then(|m| m.sum_by_name(name)).map_or(0, |value| value.as_usize())
}

/// Numbers that are the same in each run (xorshift).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Rows of all kinds of columns: with values close together and far apart, few strings and many, and
/// the same with NULLs.
pub(super) fn random_rows(rows: usize, seed: u64) -> RecordBatch {
    let mut random = Random::new(seed);
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    fields.push(Field::new("id", DataType::Int64, false));
    columns.push(Arc::new(Int64Array::from_iter_values(0..rows as i64)));
    let types = [
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Decimal128(15, 2),
        DataType::Decimal128(38, 10),
        DataType::Float64,
        DataType::Boolean,
        DataType::Utf8View,
    ];
    for data_type in types {
        for spread in [3, 200, 40_000, 1 << 40] {
            // Half of the columns have NULLs; one in seven, or nearly all.
            let nulls = *[0, 0, 7, 1].get(random.below(4) as usize).unwrap_or(&0);
            let values = (0..rows).map(|_| {
                let is_null = match nulls {
                    0 => false,
                    1 => random.below(20) > 0,
                    n => random.below(n) == 0,
                };
                let value = random.below(spread) as i64 - (spread / 3) as i64;
                (!is_null).then_some(value)
            });
            let values: Vec<_> = values.collect();
            let name = format!("c{}", fields.len());
            fields.push(Field::new(name, data_type.clone(), nulls > 0));
            columns.push(column(&data_type, &values));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn column(data_type: &DataType, values: &[Option<i64>]) -> ArrayRef {
    let values = values.iter().copied();
    match data_type {
        DataType::Int16 => Arc::new(Int16Array::from_iter(values.map(|v| v.map(|v| v as i16)))),
        DataType::Int32 => Arc::new(Int32Array::from_iter(values.map(|v| v.map(|v| v as i32)))),
        DataType::Int64 => Arc::new(Int64Array::from_iter(values)),
        DataType::Date32 => Arc::new(Date32Array::from_iter(values.map(|v| v.map(|v| v as i32)))),
        DataType::Timestamp(..) => Arc::new(TimestampMicrosecondArray::from_iter(values)),
        DataType::Time64(_) => {
            Arc::new(Time64MicrosecondArray::from_iter(values.map(|v| v.map(i64::abs))))
        }
        DataType::Decimal128(precision, scale) => {
            let decimals = Decimal128Array::from_iter(values.map(|v| v.map(i128::from)));
            Arc::new(decimals.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Float64 => {
            Arc::new(Float64Array::from_iter(values.map(|v| v.map(|v| v as f64 / 4.0))))
        }
        DataType::Boolean => {
            Arc::new(BooleanArray::from_iter(values.map(|v| v.map(|v| v % 2 == 0))))
        }
        DataType::Utf8View => Arc::new(StringViewArray::from_iter(
            values.map(|v| v.map(|v| format!("{v} in words, some long"))),
        )),
        other => panic!("no column of {other}"),
    }
}

/// A value of a column, of some row.
pub(super) fn value(column: &ArrayRef, random: &mut Random) -> ScalarValue {
    let row = random.below(column.len() as u64) as usize;
    ScalarValue::try_from_array(column, row).unwrap()
}
