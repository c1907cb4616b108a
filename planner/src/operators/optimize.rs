//! DataFusion's physical rules where a slice runs: which ones, and what has to be put right around
//! them.

use std::sync::Arc;

use datafusion::{
    error::Result,
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
    physical_plan::ExecutionPlan,
};

use super::{materialize, offset, replay, union_input, yielding};

/// DataFusion's rules, but for those that push filters down: they find columns by their names, which
/// are not unique above a join, and so filter the wrong table. The logical optimizer has pushed the
/// filters of the query already; a datanode's joins filter its scans by a rule of its own.
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| !rule.name().starts_with("FilterPushdown"));
    rules
}

/// Lets the rules decide on a slice, and puts right what they and DataFusion's operators cannot
/// know: what a motion gives once is not read twice, a query can be cancelled.
pub fn optimized(
    plan: Arc<dyn ExecutionPlan>,
    optimize: impl FnOnce(Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = optimize(union_input::with_plain_unions(offset::with_offsets(plan)?)?)?;
    yielding::with_yields(replay::with_replays(materialize::with_materialized(plan)?)?)
}
