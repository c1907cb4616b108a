//! What the operators of a fragment did.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, displayable};
use kestrel_proto::message::OperatorReport;

use crate::pass_through::PassThroughExec;

/// The operators of a plan that has run, in pre-order.
pub(super) fn operators(plan: &Arc<dyn ExecutionPlan>) -> Vec<OperatorReport> {
    let mut reports = Vec::new();
    visit(plan, 0, &mut reports);
    reports
}

fn visit(plan: &Arc<dyn ExecutionPlan>, depth: u32, reports: &mut Vec<OperatorReport>) {
    if plan.is::<PassThroughExec>() {
        // Does nothing to the rows.
        return plan.children().into_iter().for_each(|child| visit(child, depth, reports));
    }
    let metrics = plan.metrics().unwrap_or_default();
    let detail = displayable(plan.as_ref()).one_line().to_string();
    reports.push(OperatorReport {
        depth,
        name: plan.name().to_string(),
        detail: detail.trim_end().to_string(),
        rows_out: metrics.output_rows().unwrap_or_default() as u64,
        elapsed_compute_ns: metrics.elapsed_compute().unwrap_or_default() as u64,
        spilled_bytes: metrics.spilled_bytes().unwrap_or_default() as u64,
    });
    for child in plan.children() {
        visit(child, depth + 1, reports);
    }
}
