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
        Column, DFSchema, JoinType, Result,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    datasource::{provider_as_source, source_as_provider},
    logical_expr::{
        Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Projection, RecursiveQuery,
        expr::BinaryExpr,
        utils::{conjunction, split_conjunction_owned},
    },
};
use kestrel_proto::ErrorReport;

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

/// Whether an expression refers to an outer query. What a lateral subquery refers to is within.
fn refers_outside(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Subquery(_))
        && (plan.contains_outer_reference() || plan.inputs().into_iter().any(refers_outside))
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
    let conditions = keys.into_iter().enumerate().map(|(at, outer)| key(at).eq(outer));
    let columns = query.schema.iter().map(Expr::from).collect::<Vec<_>>();
    let plan = LogicalPlanBuilder::from(LogicalPlan::RecursiveQuery(carrying));
    let plan = match conjunction(conditions) {
        Some(condition) => plan.filter(condition)?,
        None => plan,
    };
    plan.project(columns)?.build().map(Some)
}

/// The column of a key. Nothing that a user names is called so.
fn key_name(at: usize) -> String {
    format!("kestrel\u{1f}key{at}")
}

fn key(at: usize) -> Expr {
    Expr::Column(Column::new_unqualified(key_name(at)))
}

/// The static term without conditions `own = outer`; its own sides are columns at its end, the outer
/// ones are put into `keys`.
fn lifted(plan: &LogicalPlan, keys: &mut Vec<Expr>) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection)
            if !projection.expr.iter().any(Expr::contains_outer) =>
        {
            let Some(input) = lifted(&projection.input, keys)? else { return Ok(None) };
            with_keys(projection, input, keys.len()).map(Some)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = lifted(&alias.input, keys)? else { return Ok(None) };
            plan.with_new_exprs(vec![], vec![input]).map(Some)
        }
        LogicalPlan::Filter(filter) if !refers_outside(&filter.input) => lift(filter, keys),
        _ => Ok(None),
    }
}

fn lift(filter: &Filter, keys: &mut Vec<Expr>) -> Result<Option<LogicalPlan>> {
    let conjuncts = split_conjunction_owned(filter.predicate.clone());
    let (outer, own): (Vec<_>, Vec<_>) =
        conjuncts.into_iter().partition(|conjunct| conjunct.contains_outer());
    let mut columns: Vec<Expr> = filter.input.schema().iter().map(Expr::from).collect();
    for condition in outer {
        let Some((own, outer)) = sides(condition) else { return Ok(None) };
        columns.push(own.alias(key_name(keys.len())));
        keys.push(outer);
    }
    let mut plan = LogicalPlanBuilder::new_from_arc(Arc::clone(&filter.input));
    if let Some(condition) = conjunction(own) {
        plan = plan.filter(condition)?;
    }
    plan.project(columns)?.build().map(Some)
}

/// The own and the outer side of an equality.
fn sides(condition: Expr) -> Option<(Expr, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
        return None;
    };
    let is_outer = |expr: &Expr| expr.contains_outer() && expr.column_refs().is_empty();
    match (left.contains_outer(), right.contains_outer()) {
        (false, true) if is_outer(&right) => Some((*left, *right)),
        (true, false) if is_outer(&left) => Some((*right, *left)),
        _ => None,
    }
}

fn with_keys(projection: &Projection, input: LogicalPlan, keys: usize) -> Result<LogicalPlan> {
    let exprs = projection.expr.iter().cloned().chain((0..keys).map(key));
    LogicalPlanBuilder::from(input).project(exprs.collect::<Vec<_>>())?.build()
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
                with_keys(projection, input, self.keys).map(Some)
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
