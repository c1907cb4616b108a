//! Are rows the same when they are computed again?
//!
//! The rows around a subquery are computed twice: for the values that the subquery reads, and to
//! be joined with what it found. If the second time brought other values, they would find nothing.

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::DataFusionError,
    logical_expr::{
        Distinct, Expr, ExprSchemable, LogicalPlan, WindowFrameUnits, WindowFunctionDefinition,
        expr::{AggregateFunction, WindowFunction},
        utils::merge_schema,
    },
};
use kestrel_proto::ErrorReport;

use crate::error::to_datafusion;

/// Aggregates that do not care for the order of their rows; sums of floating point numbers do. In
/// small letters: `sum` has a capital one.
const ORDERLESS: &[&str] = &[
    "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "count", "grouping", "max",
    "min", "sum",
];

/// Window functions that give rows which are equal in the order of the window the same.
const PEERS_ALIKE: &[&str] = &["cume_dist", "dense_rank", "percent_rank", "rank"];

/// Errors: 0A000 where rows may differ: a LIMIT, DISTINCT ON, volatile functions, what depends on
/// the order of rows that nothing orders.
pub(super) fn check_reproducible(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let is_cut = match node {
            LogicalPlan::Limit(_) | LogicalPlan::Distinct(Distinct::On(_)) => true,
            LogicalPlan::Sort(sort) => sort.fetch.is_some(),
            _ => false,
        };
        if is_cut {
            return Err(refused("whose number is limited"));
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| check(expr, node).map(|()| TreeNodeRecursion::Continue))
        })
    })?;
    Ok(())
}

fn check(expr: &Expr, node: &LogicalPlan) -> Result<()> {
    let is_same = match expr {
        // Volatile by name only: so that nothing is concluded from it.
        Expr::ScalarFunction(call) if call.name() == "kestrel_nullable" => true,
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            is_orderless(func.name(), &params.args, node)?
        }
        Expr::WindowFunction(window) => is_fixed(window, node)?,
        other => !other.is_volatile_node(),
    };
    if is_same { Ok(()) } else { Err(refused("with values that may differ when computed again")) }
}

fn is_fixed(window: &WindowFunction, node: &LogicalPlan) -> Result<bool> {
    let params = &window.params;
    match &window.fun {
        WindowFunctionDefinition::WindowUDF(function) => Ok(PEERS_ALIKE.contains(&function.name())),
        WindowFunctionDefinition::AggregateUDF(function) => {
            let by_peers =
                params.window_frame.units != WindowFrameUnits::Rows || params.order_by.is_empty();
            Ok(by_peers && is_orderless(function.name(), &params.args, node)?)
        }
    }
}

fn is_orderless(name: &str, arguments: &[Expr], node: &LogicalPlan) -> Result<bool> {
    let name = name.to_ascii_lowercase();
    if !ORDERLESS.contains(&name.as_str()) {
        return Ok(false);
    }
    if !matches!(name.as_str(), "avg" | "sum") {
        return Ok(true);
    }
    let schema = merge_schema(&node.inputs());
    for argument in arguments {
        if matches!(argument.get_type(&schema)?, DataType::Float32 | DataType::Float64) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn refused(which: &str) -> DataFusionError {
    let message = format!("a correlated subquery over rows {which}");
    let hint = "Store the rows in a temporary table first.";
    to_datafusion(ErrorReport::unsupported(message).hint(hint))
}
