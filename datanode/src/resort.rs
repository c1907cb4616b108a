//! Rows of segments in the order of clustering columns, as VACUUM has them written, and where in it
//! each of them is.
//!
//! ```text
//!   scan, in order --> with their numbers --> SortExec: by columns, then numbers --> without numbers
//! ```
//!
//! Equal rows keep their order, so the result depends on nothing but the rows: who asks later, by the
//! same order, where a row went, gets the answer from a sort of the clustering columns alone. Sorts
//! take their query's part of the memory, and spill.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{AsArray, RecordBatch, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use datafusion::{
    error::Result as DataFusionResult,
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        sorts::sort::SortExec,
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use kestrel_planner::row_set::RowSet;
use kestrel_proto::{ErrorReport, Result};

use crate::{error::report, shard::ORDER};

/// The rows of a plan of one partition, sorted by these of its columns.
///
/// # Errors
/// XX000; 53200 and 53100 when there is no room for the sort.
pub(crate) fn sorted(
    plan: &Arc<dyn ExecutionPlan>,
    columns: &[usize],
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let schema = plan.schema();
    let kept: Vec<usize> = (0..schema.fields().len()).collect();
    let rows = numbered_and_sorted(plan, columns, context)?;
    let rows = rows.map(move |batch| Ok(batch?.project(&kept)?));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Where rows of segments are that were sorted together.
#[derive(Debug)]
pub(crate) struct Places {
    /// Of each row, as they come.
    of_rows: Vec<u32>,
    /// By the segments' ids: the number of the first row that comes from it.
    first_rows: BTreeMap<u64, i64>,
    _memory: MemoryReservation,
}

/// By the transaction of the order that had the rows sorted.
pub(crate) type PlacesByOrder = BTreeMap<u64, Places>;

impl Places {
    /// Of the rows that a plan gives, sorted by these of its columns: those of the segments, by their
    /// ids, with so many rows each.
    ///
    /// # Errors
    /// As [`sorted`]'s.
    pub(crate) async fn of(
        plan: &Arc<dyn ExecutionPlan>,
        columns: &[usize],
        segments: &[(u64, u64)],
        context: Arc<TaskContext>,
    ) -> Result<Self> {
        let mut first_rows = BTreeMap::new();
        let mut rows = 0_u64;
        for (segment, of_segment) in segments {
            first_rows.insert(*segment, rows.cast_signed());
            rows += of_segment;
        }
        let memory = MemoryConsumer::new("MovedRows").register(context.memory_pool());
        let of_rows = places(plan, columns, rows, (context, &memory)).await?;
        Ok(Self { of_rows, first_rows, _memory: memory })
    }

    /// Rows of a segment, of which those of `left_out` were deleted, by their places from `first` on.
    /// Those that do not get one of `0..rows` are left out.
    ///
    /// # Errors
    /// XX000: the segment was none of those.
    pub(crate) fn moved(
        &self,
        of_segment: &RowSet,
        left_out: &RowSet,
        (segment, first, rows): (u64, i64, u64),
    ) -> Result<RowSet> {
        let unknown = || ErrorReport::internal("rows were sorted that were not there");
        let first_row = *self.first_rows.get(&segment).ok_or_else(unknown)?;
        let numbers = of_segment.moved(left_out, first_row, self.of_rows.len() as u64);
        Ok(numbers.placed(&self.of_rows, first, rows))
    }
}

/// Of each row of a plan, as it comes, its place when they are sorted.
async fn places(
    plan: &Arc<dyn ExecutionPlan>,
    columns: &[usize],
    rows: u64,
    (context, memory): (Arc<TaskContext>, &MemoryReservation),
) -> Result<Vec<u32>> {
    let too_many = || ErrorReport::internal("more rows were sorted than have numbers");
    let count = u32::try_from(rows).map_err(|_| too_many())? as usize;
    memory.try_grow(count * size_of::<u32>()).map_err(report)?;
    let mut places = vec![0_u32; count];
    let mut sorted = numbered_and_sorted(plan, columns, context)?;
    let mut place = 0_u32;
    while let Some(batch) = sorted.try_next().await.map_err(report)? {
        let numbers = batch.columns().last().and_then(|last| last.as_primitive_opt::<UInt64Type>());
        let numbers =
            numbers.ok_or_else(|| ErrorReport::internal("sorted rows have no numbers"))?;
        for number in numbers.values() {
            let at = usize::try_from(*number).ok().and_then(|at| places.get_mut(at));
            *at.ok_or_else(too_many)? = place;
            place += 1;
        }
    }
    match u64::from(place) == rows {
        true => Ok(places),
        false => Err(ErrorReport::internal(format!("{place} rows were sorted, not {rows}"))),
    }
}

fn numbered_and_sorted(
    plan: &Arc<dyn ExecutionPlan>,
    columns: &[usize],
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let mut fields = plan.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("kestrel number", DataType::UInt64, false)));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let number = schema.fields().len() - 1;
    let by = columns.iter().chain([&number]).map(|at| {
        let name = schema.fields().get(*at).map_or("", |field| field.name());
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, *at));
        PhysicalSortExpr::new(column, ORDER)
    });
    let by = LexOrdering::new(by).ok_or_else(|| ErrorReport::internal("a sort by nothing"))?;
    let numbered: Arc<dyn PartitionStream> =
        Arc::new(Numbered { plan: Arc::clone(plan), schema: Arc::clone(&schema) });
    let input = StreamingTableExec::try_new(schema, vec![numbered], None, [], false, None);
    let sort = SortExec::new(by, Arc::new(input.map_err(report)?));
    sort.execute(0, context).map_err(report)
}

/// The rows of a plan, behind each its number, from 0.
#[derive(Debug)]
struct Numbered {
    plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
}

impl PartitionStream for Numbered {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let rows = match self.plan.execute(0, context) {
            Ok(rows) => {
                let next = AtomicU64::new(0);
                rows.map(move |batch| with_numbers(&batch?, &schema, &next)).boxed()
            }
            Err(error) => stream::once(async { Err(error) }).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

fn with_numbers(
    batch: &RecordBatch,
    schema: &SchemaRef,
    next: &AtomicU64,
) -> DataFusionResult<RecordBatch> {
    let rows = batch.num_rows() as u64;
    let first = next.fetch_add(rows, Ordering::Relaxed);
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(UInt64Array::from_iter_values(first..first + rows)));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Int32Array};
    use datafusion::datasource::memory::MemorySourceConfig;

    use super::*;

    fn plan(batches: &[&[Option<i32>]]) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)]));
        let batch = |values: &&[Option<i32>]| {
            let column: Int32Array = values.iter().copied().collect();
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]).unwrap()
        };
        let batches: Vec<_> = batches.iter().map(batch).collect();
        MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&schema), None).unwrap()
    }

    #[tokio::test]
    async fn equal_rows_keep_their_order() {
        let plan = plan(&[&[Some(5), None, Some(2)], &[Some(5), Some(2), Some(-1)]]);
        let context = Arc::new(TaskContext::default());
        let segments = [(7, 4), (8, 2)];
        let places = Places::of(&plan, &[0], &segments, Arc::clone(&context)).await.unwrap();
        assert_eq!(places.of_rows, [3, 5, 1, 4, 2, 0]);
        // Of a segment whose second row was deleted before.
        let set = |rows: &[u32]| rows.iter().copied().collect::<RowSet>();
        let moved = |rows: &[u32], place| places.moved(&set(rows), &set(&[1]), place).unwrap();
        assert_eq!(moved(&[0, 2, 4], (7, 0, 6)), set(&[3, 4, 5]));
        assert_eq!(moved(&[0, 2, 4], (7, -4, 2)), set(&[0, 1]));
        assert_eq!(moved(&[2], (8, 0, 6)), set(&[0]));
        assert!(places.moved(&set(&[0]), &set(&[]), (9, 0, 6)).is_err());
        let rows = sorted(&plan, &[0], context).unwrap();
        let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap();
        let mut found = Vec::new();
        for batch in &rows {
            assert_eq!(batch.num_columns(), 1);
            let column = batch.column(0).as_primitive::<arrow::datatypes::Int32Type>();
            found.extend((0..column.len()).map(|at| column.is_valid(at).then(|| column.value(at))));
        }
        assert_eq!(found, [Some(-1), Some(2), Some(2), Some(5), Some(5), None]);
    }
}
