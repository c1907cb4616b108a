//! Correlated subqueries that no rule of DataFusion turns into joins, as joins.
//!
//! A subquery is computed once for all distinct values that it reads of the outer query's rows (its
//! domain), and then joined with these rows. So no row starts a query of its own, whatever the
//! subquery looks like, and wherever its tables are.

mod dependent;
mod domain;
mod joinable;
mod lateral;
mod references;
mod reproducible;
mod scalar;

pub(super) use joinable::{exists_by_join, member_by_join};
pub(super) use references::free_references;

use std::cell::Cell;

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TransformedResult},
    },
    logical_expr::{Distinct, Expr, Join, LogicalPlan, LogicalPlanBuilder},
};

/// Rewrites the correlated subqueries of a plan, innermost first, that DataFusion does not.
///
/// Errors: 0A000 for operators that nothing can be pushed through, and where the outer rows may be
/// others when they are computed again.
pub(super) fn correlated_subqueries(plan: LogicalPlan) -> Result<LogicalPlan> {
    let names = Names::default();
    let mut is_changed = false;
    let rewritten = plan.transform_up_with_subqueries(|node| {
        // What comes from a left join may be NULL, and so may what is computed of it.
        let node = if is_changed { node.recompute_schema()? } else { node };
        let rewritten = rewrite(node, &names)?;
        is_changed |= rewritten.transformed;
        Ok(rewritten)
    });
    rewritten.data()
}

fn rewrite(node: LogicalPlan, names: &Names) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Filter(filter) => scalar::in_condition(filter, names),
        LogicalPlan::Join(join) => in_join(join, names),
        LogicalPlan::Projection(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Distinct(Distinct::On(_)) => scalar::in_values(node, names),
        other => Ok(Transformed::no(other)),
    }
}

fn in_join(join: Join, names: &Names) -> Result<Transformed<LogicalPlan>> {
    let with_values = scalar::in_join(&join, names)?;
    let without_lateral = lateral::without_lateral(with_values.as_ref().unwrap_or(&join), names)?;
    let Some(rewritten) = without_lateral.or(with_values) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let columns = join.schema.columns().into_iter().map(Expr::Column);
    let plan = LogicalPlanBuilder::from(LogicalPlan::Join(rewritten)).project(columns)?;
    plan.build().map(Transformed::yes)
}

/// Makes names that no column of a query has.
#[derive(Default)]
struct Names {
    made: Cell<usize>,
}

impl Names {
    fn fresh(&self, what: &str) -> String {
        self.made.set(self.made.get() + 1);
        format!("kestrel_{what}{}", self.made.get())
    }
}
