//! Plans to bytes and back.
//!
//! Encoding is for one datanode: a scan carries that datanode's segments, and the values of init
//! plans, which have run, stand where the plan refers to them. Decoding on the datanode turns scans
//! into the operators of its shard store.

mod converter;
mod file_scan;
mod init_values;
mod motion;
mod scan_partition;
mod value;

use std::{fmt, sync::Arc};

use arrow::{
    datatypes::{Schema, SchemaRef},
    ipc::convert::{IpcSchemaEncoder, fb_to_schema},
};
use bytes::Bytes;
use datafusion::{
    error::{DataFusionError, Result},
    execution::TaskContext,
    logical_expr::{AggregateUDF, ScalarUDF, WindowUDF},
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr},
    physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx,
    physical_plan::ExecutionPlan,
};
use datafusion_proto::{
    physical_plan::{
        AsExecutionPlan, DefaultPhysicalProtoConverter, PhysicalExtensionCodec,
        PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
        from_proto::{parse_physical_expr_with_converter, parse_physical_sort_exprs},
        to_proto::serialize_physical_sort_exprs,
    },
    protobuf,
};
use kestrel_proto::{
    DatanodeId, ErrorReport, ShardRelation, TableId,
    message::{self, PlanNode, plan_node::Node},
};
use prost::Message;

use converter::Converter;
pub use value::{decode_value, encode_value};

use crate::{
    error::to_datafusion,
    functions::FunctionRegistry,
    operators::{
        FileScanExec, MotionReceiveExec, MotionSendExec, RowChangeExec, RowChangeKind,
        SegmentWriteExec, ShardScan, ShardScanExec, ShardStore,
    },
};

/// Encodes a slice for one datanode. The plan's init plans have their values.
pub fn encode_plan(
    plan: &Arc<dyn ExecutionPlan>,
    executor: DatanodeId,
    functions: &Arc<FunctionRegistry>,
) -> Result<Bytes> {
    let codec = Codec { functions: Arc::clone(functions), executor, store: None };
    let plan = Converter::default().execution_plan_to_proto(plan, &codec)?;
    Ok(plan.encode_to_vec().into())
}

/// Decodes a slice; its scans become operators of `store`.
pub fn decode_plan(
    bytes: &[u8],
    context: &TaskContext,
    store: Option<Arc<dyn ShardStore>>,
    functions: &Arc<FunctionRegistry>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let codec =
        Codec { functions: Arc::clone(functions), executor: kestrel_proto::COORDINATOR, store };
    protobuf::PhysicalPlanNode::try_decode(bytes)?.try_into_physical_plan(context, &codec)
}

/// Kestrel's operators and functions inside DataFusion's messages.
struct Codec {
    functions: Arc<FunctionRegistry>,
    /// For whom a plan is encoded.
    executor: DatanodeId,
    /// What decoded scans read.
    store: Option<Arc<dyn ShardStore>>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec({})", self.executor)
    }
}

type ProtoConverter<'a> = &'a dyn PhysicalProtoConverterExtension;

impl PhysicalExtensionCodec for Codec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let node = if let Some(scan) = node.downcast_ref::<ShardScanExec>() {
            Node::ShardScan(self.encode_scan(scan, converter)?)
        } else if let Some(send) = node.downcast_ref::<MotionSendExec>() {
            Node::MotionSend(self.encode_send(send, converter)?)
        } else if let Some(receive) = node.downcast_ref::<MotionReceiveExec>() {
            Node::MotionReceive(self.encode_receive(receive, converter)?)
        } else if let Some(write) = node.downcast_ref::<SegmentWriteExec>() {
            Node::SegmentWrite(message::SegmentWrite {
                table_id: write.table_id.0,
                table: write.table.clone(),
                table_schema: encode_schema(&write.table_schema),
                column_ids: write.column_ids.clone(),
                relation: write.relation.as_ref().map(ShardRelation::to_message),
                cluster_by: write.cluster_by.clone(),
            })
        } else if let Some(files) = node.downcast_ref::<FileScanExec>() {
            Node::FileScan(file_scan::encode(files.scan(), self.executor)?)
        } else if let Some(change) = node.downcast_ref::<RowChangeExec>() {
            Node::RowChange(message::RowChange {
                table_id: change.table_id.0,
                table: change.table.clone(),
                table_schema: encode_schema(&change.table_schema),
                column_ids: change.column_ids.clone(),
                updates: change.kind == RowChangeKind::Update,
                cluster_by: change.cluster_by.clone(),
            })
        } else {
            let message = format!("operator {} cannot be shipped to a datanode", node.name());
            return Err(to_datafusion(ErrorReport::unsupported(message)));
        };
        PlanNode { node: Some(node) }.encode(buf).map_err(|e| internal(&e.to_string()))
    }

    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node = PlanNode::decode(buf).map_err(|e| internal(&e.to_string()))?.node;
        let input = || inputs.first().cloned().ok_or_else(|| internal("an operator has no input"));
        match node.ok_or_else(|| internal("an operator of a newer version"))? {
            Node::ShardScan(scan) => self.decode_scan(scan, ctx),
            Node::MotionSend(send) => self.decode_send(send, input()?, ctx),
            Node::MotionReceive(receive) => self.decode_receive(receive, ctx),
            Node::Piece(plan) => {
                let plan = protobuf::PhysicalPlanNode::decode(plan);
                plan.map_err(|e| internal(&e.to_string()))?.try_into_physical_plan(ctx, self)
            }
            Node::SegmentWrite(write) => {
                let exec = SegmentWriteExec::new(
                    TableId(write.table_id),
                    write.table,
                    decode_schema(&write.table_schema)?,
                    write.column_ids,
                    write.relation.map(ShardRelation::from_message),
                    input()?,
                );
                Ok(Arc::new(exec.clustered(write.cluster_by)))
            }
            Node::FileScan(scan) => {
                Ok(Arc::new(FileScanExec::new(file_scan::decode(scan, self.executor)?)))
            }
            Node::RowChange(change) => {
                let exec = RowChangeExec::new(
                    (TableId(change.table_id), change.table),
                    decode_schema(&change.table_schema)?,
                    change.column_ids,
                    match change.updates {
                        true => RowChangeKind::Update,
                        false => RowChangeKind::Delete,
                    },
                    input()?,
                );
                Ok(Arc::new(exec.clustered(change.cluster_by)))
            }
        }
    }

    /// An expression that [`Converter`] has encoded by itself.
    fn try_decode_expr(
        &self,
        buf: &[u8],
        _: &[Arc<dyn PhysicalExpr>],
        ctx: &PhysicalExprDecodeCtx<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let piece =
            protobuf::PhysicalExprNode::decode(buf).map_err(|e| internal(&e.to_string()))?;
        ctx.decode(&piece)
    }

    fn try_encode_udf(&self, node: &ScalarUDF, _: &mut Vec<u8>) -> Result<()> {
        if self.functions.scalar(node.name()).is_some() {
            return Ok(());
        }
        let message = format!("function {}() over the rows of a table", node.name());
        let report = ErrorReport::unsupported(message)
            .hint("Only the coordinator has this function: call it without columns of a table.");
        Err(to_datafusion(report))
    }

    fn try_decode_udf(&self, name: &str, _: &[u8]) -> Result<Arc<ScalarUDF>> {
        self.functions.scalar(name).ok_or_else(|| unknown_function(name))
    }

    fn try_decode_udaf(&self, name: &str, _: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.functions.aggregate(name).ok_or_else(|| unknown_function(name))
    }

    fn try_decode_udwf(&self, name: &str, _: &[u8]) -> Result<Arc<WindowUDF>> {
        self.functions.window(name).ok_or_else(|| unknown_function(name))
    }
}

impl Codec {
    fn encode_scan(
        &self,
        scan: &ShardScanExec,
        converter: ProtoConverter<'_>,
    ) -> Result<message::ShardScan> {
        let scan = scan.on(self.executor);
        let filters = scan.filters.iter().map(|f| self.encode_expr(f, converter));
        Ok(message::ShardScan {
            table_id: scan.table_id.0,
            filters: filters.collect::<Result<_>>()?,
            table: scan.table,
            table_schema: encode_schema(&scan.schema),
            column_ids: scan.column_ids,
            projection: scan.projection.iter().map(|p| *p as u32).collect(),
            segments: scan.segments,
            estimated_rows: scan.estimated_rows,
            estimated_bytes: scan.estimated_bytes,
            fetch: scan.fetch.map(|f| f as u64),
            relation: scan.relation.as_ref().map(ShardRelation::to_message),
            partitions: scan
                .partitions
                .iter()
                .map(scan_partition::encode)
                .collect::<Result<_>>()?,
            partitions_left_out: scan.partitions_left_out as u64,
            sample: scan.sample,
        })
    }

    fn decode_scan(
        &self,
        scan: message::ShardScan,
        ctx: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = decode_schema(&scan.table_schema)?;
        let filters = scan.filters.iter().map(|f| self.decode_expr(f, &schema, ctx));
        let scan = ShardScan {
            table_id: TableId(scan.table_id),
            filters: filters.collect::<Result<_>>()?,
            table: scan.table,
            schema,
            column_ids: scan.column_ids,
            projection: scan.projection.iter().map(|p| *p as usize).collect(),
            segments: scan.segments,
            estimated_rows: scan.estimated_rows,
            estimated_bytes: scan.estimated_bytes,
            fetch: scan.fetch.map(|f| f as usize),
            relation: scan.relation.map(ShardRelation::from_message),
            partitions: scan
                .partitions
                .into_iter()
                .map(scan_partition::decode)
                .collect::<Result<_>>()?,
            partitions_left_out: scan.partitions_left_out as usize,
            sample: scan.sample,
        };
        let store = self.store.as_ref().ok_or_else(|| internal("a scan where no shard is"))?;
        store.scan(&scan).map_err(to_datafusion)
    }

    fn encode_expr(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        converter: ProtoConverter<'_>,
    ) -> Result<Bytes> {
        Ok(converter.physical_expr_to_proto(expr, self)?.encode_to_vec().into())
    }

    fn decode_expr(
        &self,
        bytes: &Bytes,
        schema: &SchemaRef,
        ctx: &TaskContext,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let proto = protobuf::PhysicalExprNode::decode(bytes.as_ref())
            .map_err(|e| internal(&e.to_string()))?;
        let ctx = PhysicalPlanDecodeContext::new(ctx, self);
        parse_physical_expr_with_converter(&proto, schema, &ctx, &DefaultPhysicalProtoConverter {})
    }

    fn encode_order(
        &self,
        order: &Option<LexOrdering>,
        converter: ProtoConverter<'_>,
    ) -> Result<Vec<Bytes>> {
        let keys: Vec<PhysicalSortExpr> = order.iter().flatten().cloned().collect();
        let keys = serialize_physical_sort_exprs(keys, self, converter)?;
        Ok(keys.iter().map(|k| k.encode_to_vec().into()).collect())
    }

    fn decode_order(
        &self,
        keys: &[Bytes],
        schema: &SchemaRef,
        ctx: &TaskContext,
    ) -> Result<Option<LexOrdering>> {
        let keys = keys
            .iter()
            .map(|k| protobuf::PhysicalSortExprNode::decode(k.as_ref()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| internal(&e.to_string()))?;
        let ctx = PhysicalPlanDecodeContext::new(ctx, self);
        let converter = DefaultPhysicalProtoConverter {};
        Ok(LexOrdering::new(parse_physical_sort_exprs(&keys, &ctx, schema, &converter)?))
    }
}

/// As the Schema table of Arrow's IPC format.
pub fn encode_schema(schema: &Schema) -> Bytes {
    let mut encoder = IpcSchemaEncoder::new();
    encoder.schema_to_fb(schema).finished_data().to_vec().into()
}

fn decode_schema(bytes: &[u8]) -> Result<SchemaRef> {
    let schema = arrow::ipc::root_as_schema(bytes).map_err(|e| internal(&e.to_string()))?;
    Ok(Arc::new(fb_to_schema(schema)))
}

fn unknown_function(name: &str) -> DataFusionError {
    internal(&format!("function {name} is not known here"))
}

fn internal(message: &str) -> DataFusionError {
    to_datafusion(ErrorReport::internal(format!("a fragment cannot be read: {message}")))
}
