//! Writes rows into new segments of a table on the datanode it runs on.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, AsArray, BinaryArray, RecordBatch, UInt32Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type},
};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::TaskContext,
    physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
        SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};
use kestrel_proto::{DatanodeId, ErrorReport, ShardRelation, TableId, message::SegmentRef};
use prost::Message;

use super::{Hands, SegmentTarget, conform};
use crate::{catalog::Segment, error::to_datafusion};

/// Writes its input; puts out one row per new segment: [`segment_write_schema`].
#[derive(Debug)]
pub struct SegmentWriteExec {
    /// The table.
    pub table_id: TableId,
    /// Its name.
    pub table: String,
    /// All columns; the input has this schema.
    pub table_schema: SchemaRef,
    /// Their ids.
    pub column_ids: Vec<u32>,
    /// Where the rows go, if a database holds them.
    pub relation: Option<ShardRelation>,
    /// The ids of the columns by which the rows of each segment are sorted.
    pub cluster_by: Vec<u32>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

/// A segment that a statement wrote: not visible before the catalog refers to it.
pub type WrittenSegment = Segment;

/// (datanode id, encoded SegmentRef)
pub fn segment_write_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("datanode", DataType::UInt32, false),
        Field::new("segment", DataType::Binary, false),
    ]))
}

/// Reads back what a [`SegmentWriteExec`] put out.
pub fn written_segments(batch: &RecordBatch) -> Result<Vec<WrittenSegment>, ErrorReport> {
    let malformed = || ErrorReport::internal("a write reported its segments in another form");
    let datanodes = batch.column(0).as_primitive_opt::<UInt32Type>().ok_or_else(malformed)?;
    let segments = batch.column(1).as_binary_opt::<i32>().ok_or_else(malformed)?;
    (0..segments.len())
        .map(|row| {
            let segment = SegmentRef::decode(segments.value(row)).map_err(|_| malformed())?;
            Ok(Segment::from_message(DatanodeId(datanodes.value(row)), segment))
        })
        .collect()
}

impl SegmentWriteExec {
    /// Writes `input`, whose columns are those of the table.
    pub fn new(
        table_id: TableId,
        table: String,
        table_schema: SchemaRef,
        column_ids: Vec<u32>,
        relation: Option<ShardRelation>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(segment_write_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        let cluster_by = Vec::new();
        Self { table_id, table, table_schema, column_ids, relation, cluster_by, input, properties }
    }

    /// With these clustering columns.
    pub fn clustered(self, cluster_by: Vec<u32>) -> Self {
        Self { cluster_by, ..self }
    }
}

impl DisplayAs for SegmentWriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentWriteExec: {}", self.table)
    }
}

impl ExecutionPlan for SegmentWriteExec {
    fn name(&self) -> &str {
        "SegmentWriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let new = Self::new(
            self.table_id,
            self.table.clone(),
            Arc::clone(&self.table_schema),
            self.column_ids.clone(),
            self.relation.clone(),
            super::only_child(children)?,
        );
        Ok(Arc::new(new.clustered(self.cluster_by.clone())))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let hands = Hands::of(&context).map_err(to_datafusion)?;
        let rows = self.input.execute(0, context)?;
        let target = SegmentTarget {
            transaction: hands.transaction,
            coordinator_epoch: hands.coordinator_epoch,
            table_id: self.table_id,
            table: self.table.clone(),
            schema: Arc::clone(&self.table_schema),
            column_ids: self.column_ids.clone(),
            relation: self.relation.clone(),
            cluster_by: self.cluster_by.clone(),
            is_sorted: false,
            continues: hands.reads_own_writes,
            in_block: hands.in_block,
            reads_own_writes: hands.reads_own_writes,
        };
        let written = stream::once(write(hands, target, rows));
        Ok(Box::pin(RecordBatchStreamAdapter::new(segment_write_schema(), written)))
    }
}

async fn write(
    hands: Arc<Hands>,
    target: SegmentTarget,
    rows: SendableRecordBatchStream,
) -> Result<RecordBatch> {
    let no_store = || to_datafusion(ErrorReport::internal("rows were written where no shard is"));
    let store = hands.store.as_ref().ok_or_else(no_store)?;
    let schema = Arc::clone(&target.schema);
    let table = target.table.clone();
    let checked = rows.map(move |batch| conform(&batch?, &schema, &table).map_err(to_datafusion));
    let schema = Arc::clone(&target.schema);
    let rows = Box::pin(RecordBatchStreamAdapter::new(schema, checked));
    let segments = store.write(&target, rows).await.map_err(to_datafusion)?;
    let datanodes = UInt32Array::from(vec![hands.datanode.0; segments.len()]);
    let encoded = BinaryArray::from_iter_values(segments.iter().map(Message::encode_to_vec));
    Ok(RecordBatch::try_new(segment_write_schema(), vec![Arc::new(datanodes), Arc::new(encoded)])?)
}
