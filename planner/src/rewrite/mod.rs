//! Rules that turn a plan into a cheaper one with the same rows, before its operators are placed.
//!
//! They work on the physical plan as DataFusion first makes it: there every part of it can be placed,
//! so that what a rule would bring is weighed with the rows and bytes of both plans. Where statistics
//! are missing they leave the plan as it is.

pub(crate) mod columns;
mod cost;
mod eager_aggregation;
mod semi_join_reduction;

use std::sync::Arc;

use datafusion::{
    error::Result,
    physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions},
};

use self::{cost::Weigher, eager_aggregation::EagerAggregation, semi_join_reduction::Reduction};
use crate::{distribute::Distributor, rule_switches::RuleSwitches};

type PlanRef = Arc<dyn ExecutionPlan>;

/// The plan after all rules that are on.
pub(crate) fn rewritten(
    plan: PlanRef,
    distributor: &Distributor,
    rules: &RuleSwitches,
) -> Result<PlanRef> {
    applied(plan, &Weigher::by_cost(distributor), rules)
}

/// The same, whatever it costs, and where nothing is known of the tables.
#[cfg(test)]
pub(crate) fn rewritten_anyway(
    plan: PlanRef,
    distributor: &Distributor,
    rules: &RuleSwitches,
) -> Result<PlanRef> {
    applied(plan, &Weigher::taking_all(distributor), rules)
}

fn applied(mut plan: PlanRef, weigher: &Weigher<'_>, rules: &RuleSwitches) -> Result<PlanRef> {
    if rules.is_on("semi_join_reduction") {
        plan = Reduction::new(weigher).of(&plan)?;
    }
    if rules.is_on("eager_aggregation") {
        plan = EagerAggregation::new(weigher).of(&plan)?;
    }
    Ok(plan)
}

/// The operator over other inputs; itself, if they are the same.
fn over(plan: &PlanRef, inputs: Vec<PlanRef>) -> Result<PlanRef> {
    let is_same = plan.children().iter().zip(&inputs).all(|(old, new)| Arc::ptr_eq(old, new));
    if is_same {
        return Ok(Arc::clone(plan));
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(inputs, options)
}
