//! Recursive queries run on the coordinator, and so does everything above them: DataFusion's operators
//! for them have no form that travels. What the terms read besides the work table comes there.

use std::sync::Arc;

use datafusion::{
    error::Result,
    physical_plan::{
        ExecutionPlan, recursive_query::RecursiveQueryExec, work_table::WorkTableExec,
    },
};

use super::{Placed, counting, leaf};
use crate::{cardinality::Estimate, locus::Locus};

/// How many rounds a recursive query takes, as PostgreSQL guesses (`cost_recursive_union`).
const ROUNDS: f64 = 10.0;

/// Must this operator be on the coordinator, as all above it?
pub(crate) fn is_on_coordinator(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    Ok(recurs(plan) || counting::any_counts(plan)?)
}

/// Is this a part of a recursive query, or above one?
fn recurs(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<RecursiveQueryExec>()
        || plan.is::<WorkTableExec>()
        || plan.children().into_iter().any(recurs)
}

/// The rows of the last round are where the recursive query is.
pub(super) fn work_table(plan: &Arc<dyn ExecutionPlan>) -> Placed {
    Placed { locus: Locus::Single, ..leaf::constant(plan) }
}

/// The operator over its inputs, on the coordinator.
pub(super) fn on_coordinator(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Placed>,
) -> Result<Placed> {
    let terms = children.iter().map(|child| child.estimate.rows).collect::<Vec<_>>();
    let placed = counting::on_coordinator(plan, children)?;
    match terms.as_slice() {
        [first, next] if plan.is::<RecursiveQueryExec>() => {
            let rows = first + ROUNDS * next;
            let estimate = Estimate { rows, ..placed.estimate.clone() };
            Ok(Placed { estimate, ..placed })
        }
        _ => Ok(placed),
    }
}
