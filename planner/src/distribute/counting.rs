//! Operators that call the functions of sequences: the coordinator alone has those, so that no value
//! is given twice. Their input comes there, and what is above them stays there.

use std::sync::Arc;

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    physical_expr::{PhysicalExpr, ScalarFunctionExpr},
    physical_plan::ExecutionPlan,
};

use super::Placed;
use crate::locus::Locus;

/// The functions whose values are a sequence's.
const FUNCTIONS: [&str; 4] = ["nextval", "currval", "lastval", "setval"];

/// Does this operator call one of them?
fn counts(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(&mut |expr| {
        found |= calls(expr);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Does an operator of the plan call one of them?
pub(super) fn any_counts(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    if counts(plan)? {
        return Ok(true);
    }
    for child in plan.children() {
        if any_counts(child)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn calls(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let function = expr.downcast_ref::<ScalarFunctionExpr>();
    function.is_some_and(|call| FUNCTIONS.contains(&call.fun().name()))
        || expr.children().into_iter().any(calls)
}

/// The operator over its inputs, on the coordinator.
pub(super) fn on_coordinator(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Placed>,
) -> Result<Placed> {
    let rows = children.iter().map(|child| child.estimate.rows).fold(1.0, f64::max);
    let estimate = children.first().map(|child| child.estimate.with(rows, &plan.schema()));
    let gathered = children.into_iter().map(|child| {
        let gathered = child.gather_at_root();
        Placed { locus: Locus::Single, ..gathered }
    });
    let gathered: Vec<_> = gathered.collect();
    match estimate {
        Some(estimate) => Placed::new(plan, gathered, Locus::Single, estimate),
        None => Ok(super::leaf::constant(plan)),
    }
}
