//! What is left of a raw scan's rows, for the ordinary aggregate: when there are too many groups.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    datatypes::{Int64Type, SchemaRef},
};
use datafusion::{
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning},
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        ReplaceChildrenOptions, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt;
use parking_lot::Mutex;

use super::states::{Codebooks, integers, strings};
use crate::rules::raw_scan::{Codebook, Raw};

/// Runs `plan` over these rows in the place of its one leaf; they have the raw forms of the leaf's
/// columns.
pub(super) fn run(
    plan: &Arc<dyn ExecutionPlan>,
    rows: SendableRecordBatchStream,
    (raw, codebooks): (Vec<Option<Raw>>, Arc<Codebooks>),
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let over = |schema: SchemaRef| {
        let wanted = Arc::clone(&schema);
        let rows = rows.map(move |batch| widened(&batch?, &raw, &codebooks, &wanted));
        let rows = RecordBatchStreamAdapter::new(Arc::clone(&schema), rows);
        Arc::new(RestExec::new(schema, Box::pin(rows))) as Arc<dyn ExecutionPlan>
    };
    with_leaf(plan, over)?.execute(0, context)
}

fn with_leaf(
    plan: &Arc<dyn ExecutionPlan>,
    leaf: impl FnOnce(SchemaRef) -> Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    // From the top down to the leaf, and up again.
    let mut above = Vec::new();
    let mut below = plan;
    while let Some(child) = below.children().first().copied() {
        above.push(below);
        below = child;
    }
    let mut rebuilt = leaf(below.schema());
    while let Some(operator) = above.pop() {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        rebuilt = Arc::clone(operator).replace_children(vec![rebuilt], options)?;
    }
    Ok(rebuilt)
}

/// A batch in the forms that the scan's columns have for everybody else.
fn widened(
    batch: &RecordBatch,
    raw: &[Option<Raw>],
    codebooks: &Codebooks,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(raw).zip(codebooks).zip(schema.fields());
    let columns = columns.map(|(((column, raw), codebook), field)| -> Result<ArrayRef> {
        match raw {
            None => Ok(Arc::clone(column)),
            Some(Raw::Codes) => match codebook {
                Some(codebook) => strings(codebook.as_ref() as &dyn Codebook, column.as_ref()),
                None => Err(gone()),
            },
            Some(Raw::Integers) => {
                let values = column.as_primitive_opt::<Int64Type>().ok_or_else(gone)?;
                integers(
                    values.values().iter().copied(),
                    values.nulls().cloned(),
                    field.data_type(),
                )
            }
        }
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn gone() -> DataFusionError {
    DataFusionError::Internal("the rest of a direct aggregate's rows cannot be read".into())
}

/// Hands on a stream that runs already, once.
struct RestExec {
    rows: Mutex<Option<SendableRecordBatchStream>>,
    properties: Arc<PlanProperties>,
}

impl RestExec {
    fn new(schema: SchemaRef, rows: SendableRecordBatchStream) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { rows: Mutex::new(Some(rows)), properties: Arc::new(properties) }
    }
}

impl fmt::Debug for RestExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DisplayAs for RestExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for RestExec {
    kestrel_planner::leaf_plan!("RestExec");

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.rows.lock().take().ok_or_else(gone)
    }
}
