//! A plan that is kept as a whole: what a query without parameters was planned to, for the next time
//! that nothing has changed.
//!
//! Whoever has it knows that its tables are as they were. What else a plan depends on is compared
//! here. Plans with init plans are made anew: the values of these stand in the plan.

use std::sync::Arc;

use datafusion::{error::Result, physical_plan::execution_plan::reset_plan_states};
use kestrel_proto::{BucketMap, DatanodeId};
use parking_lot::Mutex;

use crate::{
    functions::SessionFormats,
    join_order::JoinOrderSettings,
    plan::{Plan, PlanContext},
    rule_switches::RuleSwitches,
};

/// The plan that was made last, if it may be used again.
#[derive(Debug, Default)]
pub(crate) struct FinishedPlan(Mutex<Option<(Circumstances, Plan)>>);

/// What a plan depends on besides its tables.
#[derive(Debug)]
struct Circumstances {
    datanodes: Vec<DatanodeId>,
    bucket_map: Arc<BucketMap>,
    formats: SessionFormats,
    rules: RuleSwitches,
    join_order: JoinOrderSettings,
}

impl FinishedPlan {
    /// The plan, as if it had been made just now; `None`: it is to be made.
    pub(crate) fn get(&self, context: &PlanContext) -> Option<Plan> {
        let kept = self.0.lock();
        let (circumstances, plan) = kept.as_ref()?;
        if !circumstances.are_those_of(context) {
            return None;
        }
        begin_anew(plan.clone()).ok()
    }

    /// Keeps a plan that nobody runs yet, in the place of the one before.
    pub(crate) fn keep(&self, plan: &Plan, context: &PlanContext) {
        if plan.init.is_empty() {
            *self.0.lock() = Some((Circumstances::of(context), plan.clone()));
        }
    }
}

impl Circumstances {
    fn of(context: &PlanContext) -> Self {
        let PlanContext { catalog, now: _, formats, rules, join_order } = context;
        Self {
            datanodes: catalog.datanode_ids(),
            bucket_map: Arc::clone(&catalog.bucket_map),
            formats: *formats,
            rules: rules.clone(),
            join_order: *join_order,
        }
    }

    fn are_those_of(&self, context: &PlanContext) -> bool {
        let PlanContext { catalog, now: _, formats, rules, join_order } = context;
        let datanodes = catalog.datanodes.iter().map(|datanode| DatanodeId(datanode.id));
        Arc::ptr_eq(&self.bucket_map, &catalog.bucket_map)
            && self.datanodes.iter().copied().eq(datanodes)
            && (self.formats, &self.rules, self.join_order) == (*formats, rules, *join_order)
    }
}

/// Slice 0 runs here, and its joins keep what they have built. The others are only encoded.
fn begin_anew(mut plan: Plan) -> Result<Plan> {
    for slice in plan.slices.iter_mut().filter(|slice| slice.id.0 == 0) {
        slice.plan = reset_plan_states(Arc::clone(&slice.plan))?;
    }
    Ok(plan)
}
