//! Changes rows of a table in segments: notes which rows are to be deleted, and writes what takes
//! their place.
//!
//! Which rows is known by their addresses, so that this may run wherever the rows have come: each
//! datanode tells the coordinator what it has seen, and that has delete vectors written where the
//! segments are. New rows must have come to where the table has them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use arrow::{
    array::{Array, AsArray, BinaryArray, BooleanArray, Int64Array, RecordBatch, UInt32Array},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, UInt32Type},
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
use futures::{StreamExt, TryStreamExt, stream};
use kestrel_proto::{DatanodeId, ErrorReport, TableId, message::SegmentRef};
use parking_lot::Mutex;
use prost::Message;

use super::{Address, Hands, SegmentTarget, WrittenSegment, conform};
use crate::{
    catalog::Segment,
    error::{report, to_datafusion},
    row_set::RowSet,
};

/// What becomes of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowChangeKind {
    /// The input is their addresses.
    Delete,
    /// The input is their addresses, and behind them the columns of the rows that take their place.
    Update,
}

/// Rows of segments, by datanode and segment.
#[derive(Clone, Debug, Default)]
pub struct ChangedRows(pub BTreeMap<(DatanodeId, u64), RowSet>);

/// What [`RowChangeExec`] has done, on all datanodes.
#[derive(Clone, Debug, Default)]
pub struct RowChanges {
    /// The rows that are to be deleted.
    pub deleted: ChangedRows,
    /// New segments.
    pub written: Vec<WrittenSegment>,
}

/// Reads its input to the end; puts out [`row_change_schema`].
#[derive(Debug)]
pub struct RowChangeExec {
    /// The table.
    pub table_id: TableId,
    /// Its name.
    pub table: String,
    /// All columns; those of new rows have this schema.
    pub table_schema: SchemaRef,
    /// Their ids.
    pub column_ids: Vec<u32>,
    /// What becomes of the rows.
    pub kind: RowChangeKind,
    /// The ids of the columns by which the new rows of each segment are sorted.
    pub cluster_by: Vec<u32>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

/// (datanode, segment, rows): the numbers of rows that are to be deleted, as a set. Where the
/// segment is NULL, `rows` is the encoded SegmentRef of a new one.
pub fn row_change_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("datanode", DataType::UInt32, false),
        Field::new("segment", DataType::Int64, true),
        Field::new("rows", DataType::Binary, false),
    ]))
}

/// Reads back what a [`RowChangeExec`] put out, and adds it to `changes`.
///
/// # Errors
/// XX000: it has another form.
pub fn row_changes(batch: &RecordBatch, changes: &mut RowChanges) -> Result<(), ErrorReport> {
    let malformed = || ErrorReport::internal("a change reported its rows in another form");
    let datanodes = batch.column(0).as_primitive_opt::<UInt32Type>().ok_or_else(malformed)?;
    let segments = batch.column(1).as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
    let rows = batch.column(2).as_binary_opt::<i32>().ok_or_else(malformed)?;
    for at in 0..batch.num_rows() {
        let (datanode, bytes) = (DatanodeId(datanodes.value(at)), rows.value(at));
        if segments.is_null(at) {
            let segment = SegmentRef::decode(bytes).map_err(|_| malformed())?;
            changes.written.push(Segment::from_message(datanode, segment));
            continue;
        }
        let segment = u64::try_from(segments.value(at)).map_err(|_| malformed())?;
        let rows = RowSet::decode(bytes).ok_or_else(malformed)?;
        changes.deleted.0.entry((datanode, segment)).or_default().add(&rows);
    }
    Ok(())
}

impl ChangedRows {
    /// Adds the rows whose addresses are the first columns of a batch; the batch without those that
    /// were there already.
    ///
    /// # Errors
    /// XX000: they are no addresses.
    pub fn note(&mut self, batch: RecordBatch) -> Result<RecordBatch, ErrorReport> {
        let is_new = self.insert(&batch)?;
        if is_new.iter().all(|is_new| *is_new) {
            return Ok(batch);
        }
        let is_new = BooleanArray::from(is_new);
        filter_record_batch(&batch, &is_new).map_err(|error| report(error.into()))
    }

    /// Of each row, whether it was not there.
    fn insert(&mut self, batch: &RecordBatch) -> Result<Vec<bool>, ErrorReport> {
        let malformed = || ErrorReport::internal("rows to be changed have no addresses");
        if batch.num_columns() < Address::ALL.len() || batch.num_rows() == 0 {
            return if batch.num_rows() == 0 { Ok(Vec::new()) } else { Err(malformed()) };
        }
        let datanodes = batch.column(0).as_primitive_opt::<Int32Type>().ok_or_else(malformed)?;
        let segments = batch.column(1).as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
        let rows = batch.column(2).as_primitive_opt::<Int32Type>().ok_or_else(malformed)?;
        if datanodes.null_count() + segments.null_count() + rows.null_count() > 0 {
            return Err(malformed());
        }
        let key = |at: usize| (datanodes.value(at), segments.value(at));
        let mut is_new = Vec::with_capacity(batch.num_rows());
        let mut from = 0;
        // Rows of one segment come together, as a rule.
        while from < batch.num_rows() {
            let first = key(from);
            let until = (from..batch.num_rows()).find(|at| key(*at) != first);
            let until = until.unwrap_or(batch.num_rows());
            let datanode = u32::try_from(first.0).map_err(|_| malformed())?;
            let segment = u64::try_from(first.1).map_err(|_| malformed())?;
            let set = self.0.entry((DatanodeId(datanode), segment)).or_default();
            for at in from..until {
                let row = u32::try_from(rows.value(at)).map_err(|_| malformed())?;
                is_new.push(set.insert(row));
            }
            from = until;
        }
        Ok(is_new)
    }

    /// How many there are on each datanode that has some.
    pub fn counts(&self) -> BTreeMap<DatanodeId, u64> {
        let mut counts = BTreeMap::new();
        for ((datanode, _), rows) in &self.0 {
            *counts.entry(*datanode).or_default() += rows.len();
        }
        counts
    }
}

impl RowChangeExec {
    /// Changes the rows of `input`.
    pub fn new(
        (table_id, table): (TableId, String),
        table_schema: SchemaRef,
        column_ids: Vec<u32>,
        kind: RowChangeKind,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(row_change_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        let cluster_by = Vec::new();
        Self { table_id, table, table_schema, column_ids, kind, cluster_by, input, properties }
    }

    /// With these clustering columns.
    pub fn clustered(self, cluster_by: Vec<u32>) -> Self {
        Self { cluster_by, ..self }
    }

    fn target(&self, hands: &Hands) -> SegmentTarget {
        SegmentTarget {
            transaction: hands.transaction,
            coordinator_epoch: hands.coordinator_epoch,
            table_id: self.table_id,
            table: self.table.clone(),
            schema: Arc::clone(&self.table_schema),
            column_ids: self.column_ids.clone(),
            // No database holds rows that have addresses.
            relation: None,
            cluster_by: self.cluster_by.clone(),
            is_sorted: false,
            continues: false,
            in_block: hands.in_block,
            reads_own_writes: false,
        }
    }
}

impl DisplayAs for RowChangeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowChangeExec: {:?} {}", self.kind, self.table)
    }
}

impl ExecutionPlan for RowChangeExec {
    fn name(&self) -> &str {
        "RowChangeExec"
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
            (self.table_id, self.table.clone()),
            Arc::clone(&self.table_schema),
            self.column_ids.clone(),
            self.kind,
            super::only_child(children)?,
        );
        Ok(Arc::new(new.clustered(self.cluster_by.clone())))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let hands = Hands::of(&context).map_err(to_datafusion)?;
        let rows = self.input.execute(0, context)?;
        let changed = match self.kind {
            RowChangeKind::Delete => stream::once(noted(rows)).boxed(),
            RowChangeKind::Update => {
                stream::once(written(self.target(&hands), hands, rows)).boxed()
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(row_change_schema(), changed)))
    }
}

/// Notes the addresses of all rows.
async fn noted(mut rows: SendableRecordBatchStream) -> Result<RecordBatch> {
    let mut deleted = ChangedRows::default();
    while let Some(batch) = rows.try_next().await? {
        deleted.note(batch).map_err(to_datafusion)?;
    }
    reported(deleted, Vec::new(), DatanodeId(0))
}

/// The same, while what stands behind the addresses is written: of a row that comes more than once,
/// what comes first.
async fn written(
    target: SegmentTarget,
    hands: Arc<Hands>,
    rows: SendableRecordBatchStream,
) -> Result<RecordBatch> {
    let no_store = || to_datafusion(ErrorReport::internal("rows were written where no shard is"));
    let store = hands.store.as_ref().ok_or_else(no_store)?;
    let deleted = Arc::new(Mutex::new(ChangedRows::default()));
    let noting = Arc::clone(&deleted);
    let (schema, table) = (Arc::clone(&target.schema), target.table.clone());
    let new_rows = rows.map(move |batch| {
        let batch = noting.lock().note(batch?).map_err(to_datafusion)?;
        let columns: Vec<_> = (Address::ALL.len()..batch.num_columns()).collect();
        conform(&batch.project(&columns)?, &schema, &table).map_err(to_datafusion)
    });
    let schema = Arc::clone(&target.schema);
    let new_rows = Box::pin(RecordBatchStreamAdapter::new(schema, new_rows));
    let segments = store.write(&target, new_rows).await.map_err(to_datafusion)?;
    let deleted = std::mem::take(&mut *deleted.lock());
    reported(deleted, segments, hands.datanode)
}

/// [`row_change_schema`]; `segments` are new ones of `datanode`.
fn reported(
    deleted: ChangedRows,
    segments: Vec<SegmentRef>,
    datanode: DatanodeId,
) -> Result<RecordBatch> {
    let (mut datanodes, mut ids, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for ((datanode, segment), set) in deleted.0 {
        datanodes.push(datanode.0);
        ids.push(Some(segment.cast_signed()));
        rows.push(set.encode());
    }
    for segment in segments {
        datanodes.push(datanode.0);
        ids.push(None);
        rows.push(segment.encode_to_vec());
    }
    Ok(RecordBatch::try_new(
        row_change_schema(),
        vec![
            Arc::new(UInt32Array::from(datanodes)),
            Arc::new(Int64Array::from(ids)),
            Arc::new(BinaryArray::from_iter_values(rows)),
        ],
    )?)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;

    use super::*;
    use crate::operators::addressed;

    fn addresses(rows: &[(i32, i64, i32)]) -> RecordBatch {
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.2))),
        ];
        RecordBatch::try_new(addressed(&Schema::empty()), columns).unwrap()
    }

    #[test]
    fn what_two_datanodes_report_is_put_together() {
        let mut first = ChangedRows::default();
        let rows = addresses(&[(0, 7, 1), (0, 7, 2), (1, 7, 1), (0, 7, 5)]);
        assert_eq!(first.note(rows.clone()).unwrap(), rows);
        // Those that have come before are not new.
        let again = addresses(&[(0, 7, 2), (0, 7, 3), (0, 7, 3), (1, 7, 1)]);
        assert_eq!(first.note(again).unwrap(), addresses(&[(0, 7, 3)]));
        first.note(addresses(&[])).unwrap();
        let mut second = ChangedRows::default();
        second.note(addresses(&[(0, 7, 5), (0, 8, 0)])).unwrap();
        let segment = SegmentRef { id: 9, rows: 3, ..SegmentRef::default() };
        let mut changes = RowChanges::default();
        for batch in [
            reported(first, Vec::new(), DatanodeId(0)).unwrap(),
            reported(second, vec![segment], DatanodeId(1)).unwrap(),
        ] {
            row_changes(&batch, &mut changes).unwrap();
        }
        let counts = [(DatanodeId(0), 5), (DatanodeId(1), 1)].into();
        assert_eq!(changes.deleted.counts(), counts);
        let set = changes.deleted.0.get(&(DatanodeId(0), 7)).unwrap();
        assert_eq!(*set, [1, 2, 3, 5].into_iter().collect());
        let written: Vec<_> = changes.written.iter().map(|s| (s.datanode, s.id, s.rows)).collect();
        assert_eq!(written, [(1, 9, 3)]);
    }

    #[test]
    fn rows_without_addresses_are_refused() {
        let negative = addresses(&[(0, 7, -1)]);
        let narrow = negative.project(&[0, 1]).unwrap();
        assert!(ChangedRows::default().note(negative).is_err());
        assert!(ChangedRows::default().note(narrow).is_err());
    }
}
