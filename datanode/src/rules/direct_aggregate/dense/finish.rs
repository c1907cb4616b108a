//! The results of groups, from their states: where each group comes once, and no phase follows.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    error::{DataFusionError, Result},
    logical_expr::EmitTo,
    physical_expr::aggregate::AggregateFunctionExpr,
    physical_plan::{ExecutionPlan, aggregates::AggregateExec},
};

/// Does what the last phase of an aggregate would, without looking for groups.
#[derive(Debug)]
pub(in crate::rules::direct_aggregate) struct Finish {
    functions: Vec<Arc<AggregateFunctionExpr>>,
    /// Of the states.
    pub(super) states: SchemaRef,
    results: SchemaRef,
}

impl Finish {
    /// Of an aggregate in one phase, of which `partial` would be the first. `None`: a function cannot
    /// do it.
    pub(in crate::rules::direct_aggregate) fn of(
        partial: &AggregateExec,
        whole: &AggregateExec,
    ) -> Option<Self> {
        let functions = whole.aggr_expr().to_vec();
        let all = functions.iter().all(|function| function.groups_accumulator_supported());
        all.then(|| Self { functions, states: partial.schema(), results: whole.schema() })
    }

    /// The results of groups with these states.
    ///
    /// # Errors
    /// The functions' own.
    pub(super) fn results(&self, states: &RecordBatch) -> Result<RecordBatch> {
        let groups: Vec<usize> = (0..states.num_rows()).collect();
        let mut rest = states.columns();
        let keys = self.results.fields().len().saturating_sub(self.functions.len());
        let mut columns = taken(&mut rest, keys)?.to_vec();
        for function in &self.functions {
            let state = taken(&mut rest, function.state_fields()?.len())?;
            let mut accumulator = function.create_groups_accumulator()?;
            accumulator.merge_batch(state, &groups, groups.len())?;
            columns.push(accumulator.evaluate(EmitTo::All)?);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.results), columns)?)
    }
}

/// The first so many columns of those that are left.
fn taken<'a, T>(rest: &mut &'a [T], count: usize) -> Result<&'a [T]> {
    let (first, others) = rest.split_at_checked(count).ok_or_else(|| {
        DataFusionError::Internal("a direct aggregate has fewer states than its functions".into())
    })?;
    *rest = others;
    Ok(first)
}
