//! How DataFusion's plans and expressions become messages: with the values of init plans in their
//! places, and in pieces where they are deep.
//!
//! prost refuses messages nested more than 100 levels, which a join of 25 tables is. So below every
//! few levels the next one is encoded by itself, as the bytes of an extension.

use std::{cell::Cell, sync::Arc};

use arrow::datatypes::Schema;
use datafusion::{error::Result, physical_expr::PhysicalExpr, physical_plan::ExecutionPlan};
use datafusion_proto::{
    physical_plan::{
        PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalPlanNodeExt,
        PhysicalProtoConverterExtension, to_proto::serialize_physical_expr_with_converter,
    },
    protobuf::{self, physical_expr_node::ExprType, physical_plan_node::PhysicalPlanType},
};
use kestrel_proto::message::{PlanNode, plan_node::Node};
use prost::Message;

use super::init_values::{narrowed, with_values};

/// Levels of operators in one piece: each is two or three levels of messages.
const PLAN_LEVELS: usize = 12;
/// Levels of expressions in one piece, beside those of the plan around them.
const EXPR_LEVELS: usize = 12;

/// For one encoding.
#[derive(Default)]
pub(super) struct Converter {
    plan_level: Cell<usize>,
    expr_level: Cell<usize>,
}

/// What `encode` makes one level further down, and whether a new piece begins there.
fn deeper<T>(
    level: &Cell<usize>,
    piece: usize,
    encode: impl FnOnce() -> Result<T>,
) -> Result<(T, bool)> {
    let here = level.get() + 1;
    level.set(here);
    let encoded = encode();
    level.set(here - 1);
    Ok((encoded?, here.is_multiple_of(piece)))
}

impl PhysicalProtoConverterExtension for Converter {
    fn proto_to_execution_plan(
        &self,
        proto: &protobuf::PhysicalPlanNode,
        ctx: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.default_proto_to_execution_plan(proto, ctx)
    }

    fn execution_plan_to_proto(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<protobuf::PhysicalPlanNode> {
        let narrowed = narrowed(plan)?;
        let plan = narrowed.as_ref().unwrap_or(plan);
        let encode = || {
            protobuf::PhysicalPlanNode::try_from_physical_plan_with_converter(
                Arc::clone(plan),
                codec,
                self,
            )
        };
        let (node, is_piece) = deeper(&self.plan_level, PLAN_LEVELS, encode)?;
        if !is_piece {
            return Ok(node);
        }
        let piece = PlanNode { node: Some(Node::Piece(node.encode_to_vec().into())) };
        let extension =
            protobuf::PhysicalExtensionNode { node: piece.encode_to_vec(), inputs: Vec::new() };
        Ok(protobuf::PhysicalPlanNode {
            physical_plan_type: Some(PhysicalPlanType::Extension(extension)),
        })
    }

    fn proto_to_physical_expr(
        &self,
        proto: &protobuf::PhysicalExprNode,
        schema: &Schema,
        ctx: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        self.default_proto_to_physical_expr(proto, schema, ctx)
    }

    fn physical_expr_to_proto(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<protobuf::PhysicalExprNode> {
        // The values are put in once, for the whole expression.
        let whole = if self.expr_level.get() == 0 { with_values(expr)? } else { Arc::clone(expr) };
        let encode = || serialize_physical_expr_with_converter(&whole, codec, self);
        let (node, is_piece) = deeper(&self.expr_level, EXPR_LEVELS, encode)?;
        if !is_piece {
            return Ok(node);
        }
        let extension =
            protobuf::PhysicalExtensionExprNode { expr: node.encode_to_vec(), inputs: Vec::new() };
        Ok(protobuf::PhysicalExprNode {
            expr_id: None,
            expr_type: Some(ExprType::Extension(extension)),
        })
    }
}
