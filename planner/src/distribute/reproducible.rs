//! Are rows the same when they are computed again? Where each datanode has all rows of its inputs,
//! what may differ is made once: copies must not come to differ by it.

use std::sync::Arc;

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    physical_expr::{
        PhysicalExpr, ScalarFunctionExpr, aggregate::AggregateFunctionExpr, expressions::Literal,
    },
    physical_plan::{ExecutionPlan, aggregates::AggregateExec},
};

/// Aggregates that do not care for the order of their rows; sums of floating point numbers do. In
/// small letters: `sum` has a capital one.
const ORDERLESS: &[&str] = &[
    "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "count", "grouping", "max",
    "min", "sum",
];

/// Has an expression another value whenever it is computed: `random()`? `kestrel_nullable` is
/// volatile by name only.
pub(super) fn is_drawn(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let is_nullable = || {
        let call = expr.downcast_ref::<ScalarFunctionExpr>();
        call.is_some_and(|call| call.fun().name() == "kestrel_nullable")
    };
    (expr.is_volatile_node() && !is_nullable()) || expr.children().into_iter().any(is_drawn)
}

/// Is one of an operator's expressions drawn?
pub(super) fn draws(plan: &dyn ExecutionPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(&mut |expr| {
        found |= is_drawn(expr);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Do the same rows, in whatever order, have the same aggregates?
pub(super) fn is_reproducible(aggregate: &AggregateExec) -> Result<bool> {
    let is_same = |expr: &Arc<AggregateFunctionExpr>| is_orderless(expr) || is_ordered(expr);
    Ok(!draws(aggregate)? && aggregate.aggr_expr().iter().all(is_same))
}

fn is_orderless(expr: &AggregateFunctionExpr) -> bool {
    let name = expr.fun().name().to_ascii_lowercase();
    ORDERLESS.contains(&name.as_str()) && !expr.field().data_type().is_floating()
}

/// It has its rows in an order, and those that this leaves equal are the same to it.
fn is_ordered(expr: &AggregateFunctionExpr) -> bool {
    let order = expr.order_bys();
    let is_fixed = |argument: &Arc<dyn PhysicalExpr>| {
        argument.downcast_ref::<Literal>().is_some() || order.iter().any(|by| by.expr.eq(argument))
    };
    !order.is_empty() && expr.expressions().iter().all(is_fixed)
}
