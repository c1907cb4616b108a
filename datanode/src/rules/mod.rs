//! Kestrel's own physical rules on a datanode: they come after DataFusion's.
//!
//! [`crate::runtime_filter`] filters scans by the keys of joins; [`direct_aggregate`] takes
//! aggregates over a scan together with their arithmetic, those of few groups and those of dense keys;
//! [`narrow`] computes in 64 bits what is left of arithmetic on numerics whose values cannot need
//! more. Both rest on [`ranges`]: what values can come out of an operator. [`crate::spilling_join`] lets
//! joins go on without memory.

mod direct_aggregate;
mod narrow;
mod ranges;
mod raw_scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::{config::ConfigOptions, error::Result, physical_plan::ExecutionPlan};

use kestrel_planner::rule_switches::enabled;
use raw_scan::{FindScan, find_scan};

use crate::{
    runtime_filter::{ShardScans, with_runtime_filters},
    spilling_join::with_spilling_joins,
};

/// A rule, and the setting that switches it (`kestrel.enable_<name>`).
struct Rule {
    name: &'static str,
    apply: Apply,
}

/// Gives the plan that comes in a plan's place.
type Apply = fn(Arc<dyn ExecutionPlan>, FindScan) -> Result<Arc<dyn ExecutionPlan>>;

/// In the order in which they are applied: what an aggregate takes over is not there for the next.
const RULES: &[Rule] = &[
    Rule { name: "runtime_filters", apply: filter_joins },
    Rule { name: "direct_aggregate", apply: direct_aggregate::apply },
    Rule { name: "dense_aggregate", apply: direct_aggregate::apply_dense },
    Rule { name: "narrow_decimals", apply: narrow::apply },
    Rule { name: "spilling_joins", apply: let_joins_spill },
];

/// Applies the rules that are switched on.
pub(crate) fn apply(
    plan: Arc<dyn ExecutionPlan>,
    options: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    RULES.iter().filter(|rule| enabled(options, rule.name)).try_fold(plan, |plan, rule| {
        (rule.apply)(plan, find_scan).map_err(|error| error.context(rule.name))
    })
}

/// Before the others, which take scans apart.
fn filter_joins(plan: Arc<dyn ExecutionPlan>, _: FindScan) -> Result<Arc<dyn ExecutionPlan>> {
    with_runtime_filters(plan, &ShardScans)
}

/// After the others, which look into joins.
fn let_joins_spill(plan: Arc<dyn ExecutionPlan>, _: FindScan) -> Result<Arc<dyn ExecutionPlan>> {
    with_spilling_joins(plan)
}
