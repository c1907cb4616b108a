//! Recursive queries of a subquery whose static term refers to the outer query.
//!
//! DataFusion joins a correlated subquery to its outer query, and takes the condition that refers to
//! that from above its operators; it takes none out of a recursive query. So this is computed for all
//! values that the outer query may have, and each row carries the one that it comes from:
//!
//! ```text
//!   RecursiveQuery: id                    Projection: id
//!     Filter: a.id = outer(t.id)            Filter: key = outer(t.id)
//!       a                          =>         RecursiveQuery: id, key
//!     Join: a.boss = work.id                    Projection: id, id AS key
//!       a                                         a
//!       work                                    Join: a.boss = work.id
//!                                                 a
//!                                                 work
//! ```

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::{
    catalog::cte_worktable::CteWorkTable,
    common::{
        DFSchema, JoinType, Result,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    datasource::{provider_as_source, source_as_provider},
    logical_expr::{LogicalPlan, LogicalPlanBuilder, RecursiveQuery},
};
use kestrel_proto::ErrorReport;

use super::correlated_conditions::{lifted, refers_outside, restored, with_keys};
use crate::error::to_datafusion;

/// Rewrites the recursive queries that are of this form.
///
/// Errors: 0A000 where one refers to an outer query in another form.
pub(super) fn correlated_recursion(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query) if refers_outside(&query.static_term) => {
            match carrying(&query)? {
                Some(plan) => Ok(Transformed::yes(plan)),
                None => Ok(Transformed::no(LogicalPlan::RecursiveQuery(query))),
            }
        }
        node => Ok(Transformed::no(node)),
    })?;
    plan.data.apply_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query)
            if refers_outside(&query.static_term) || refers_outside(&query.recursive_term) =>
        {
            let message = "this form of correlated recursive query is not supported";
            let hint = "In its static term, compare a column with the outer query's by equality.";
            Err(to_datafusion(ErrorReport::unsupported(message).hint(hint)))
        }
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(plan.data)
}

/// The query without the conditions on the outer one, which are above it; `None`: it is not of this
/// form.
fn carrying(query: &RecursiveQuery) -> Result<Option<LogicalPlan>> {
    if refers_outside(&query.recursive_term) {
        return Ok(None);
    }
    let mut keys = Vec::new();
    let Some(first) = lifted(&query.static_term, &mut keys)? else { return Ok(None) };
    if keys.is_empty() || refers_outside(&first) {
        return Ok(None);
    }
    let carry = Carry { name: &query.name, schema: first.schema(), keys: keys.len() };
    let Some(next) = carry.through(&query.recursive_term)? else { return Ok(None) };
    let (first, next) = (Arc::new(first), Arc::new(next));
    let name = query.name.clone();
    let carrying = RecursiveQuery::try_new(name, first, next, query.is_distinct)?;
    let plan = LogicalPlan::RecursiveQuery(carrying);
    restored(plan, keys, &query.schema).map(Some)
}

/// Takes the keys from the work table to the top of the recursive term.
struct Carry<'a> {
    /// The recursive query's.
    name: &'a str,
    /// The work table's, with the keys.
    schema: &'a DFSchema,
    keys: usize,
}

impl Carry<'_> {
    /// Through operators that make each row of one of the work table.
    fn through(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        match plan {
            LogicalPlan::TableScan(scan) if self.is_work_table(plan) => {
                let fields = self.schema.fields().iter();
                let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
                let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                let source = provider_as_source(Arc::new(CteWorkTable::new(self.name, schema)));
                LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build().map(Some)
            }
            LogicalPlan::Projection(projection) => {
                let Some(input) = self.through(&projection.input)? else { return Ok(None) };
                with_keys(projection, input, 0..self.keys).map(Some)
            }
            LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => self.through_one(plan, 0),
            LogicalPlan::Join(join) => {
                let side = match (self.is_below(&join.left), self.is_below(&join.right)) {
                    (true, false) => 0,
                    (false, true) => 1,
                    _ => return Ok(None),
                };
                match (join.join_type, side) {
                    (JoinType::Inner, _)
                    | (JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti, 0)
                    | (JoinType::Right, 1) => self.through_one(plan, side),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Through the input at this position.
    fn through_one(&self, plan: &LogicalPlan, at: usize) -> Result<Option<LogicalPlan>> {
        let mut inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
        let Some(input) = inputs.get_mut(at) else { return Ok(None) };
        let Some(carried) = self.through(input)? else { return Ok(None) };
        *input = carried;
        plan.with_new_exprs(plan.expressions(), inputs)?.recompute_schema().map(Some)
    }

    fn is_below(&self, plan: &LogicalPlan) -> bool {
        self.is_work_table(plan) || plan.inputs().into_iter().any(|input| self.is_below(input))
    }

    fn is_work_table(&self, plan: &LogicalPlan) -> bool {
        let LogicalPlan::TableScan(scan) = plan else { return false };
        source_as_provider(&scan.source).is_ok_and(|provider| {
            provider.downcast_ref::<CteWorkTable>().is_some_and(|table| table.name() == self.name)
        })
    }
}
