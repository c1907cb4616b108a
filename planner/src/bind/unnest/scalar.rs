//! Scalar subqueries: their values beside the rows that they are for.
//!
//! ```text
//!   Projection: (subquery)        Projection: value
//!     t                     =>      Left join: t.a = d.a
//!                                     t
//!                                     the subquery for all values of t.a
//! ```

use std::sync::Arc;

use datafusion::{
    common::{
        Column, Result,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::DataFusionError,
    functions_aggregate::count::count_all_window,
    logical_expr::{
        Aggregate, Distinct, DistinctOn, Expr, ExprFunctionExt, FetchType, Filter, Join,
        LogicalPlan, LogicalPlanBuilder, Projection, Sort, Subquery, Window,
        expr::WindowFunction,
        expr_rewriter::NamePreserver,
        lit,
        utils::{conjunction, split_conjunction_owned},
    },
};
use kestrel_proto::ErrorReport;

use super::{
    Names,
    dependent::{Pushed, or_of_no_rows, pushed, pushed_groups},
    domain::Domain,
    joinable::scalar_by_join,
    references::{free_in, free_references, is_same, subquery_of},
};
use crate::{
    bind::subquery_values::condition_on_subqueries,
    error::to_datafusion,
    functions::{row_number, sql_single_row},
};

/// What was put in must not be rewritten again.
const JUMP: TreeNodeRecursion = TreeNodeRecursion::Jump;

/// Which subqueries are taken out of an expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Those that DataFusion cannot join.
    Unjoinable,
    /// All that read the outer query.
    Correlated,
    All,
}

/// Rows, joined with the values of subqueries over them.
struct Beside<'a> {
    rows: Arc<LogicalPlan>,
    joined: LogicalPlan,
    wanted: Wanted,
    known: Vec<(Subquery, Expr)>,
    names: &'a Names,
}

/// A filter whose subqueries are joins below it.
pub(super) fn in_condition(filter: Filter, names: &Names) -> Result<Transformed<LogicalPlan>> {
    let Filter { predicate, input, .. } = filter;
    let columns = input.schema().columns();
    // A subquery that was a join's may have become none by what was done to subqueries within.
    let asks = |expr: &Expr| Ok(matches!(expr, Expr::Exists(_) | Expr::InSubquery(_)));
    let predicate = match predicate.exists(asks)? {
        true => condition_on_subqueries(predicate, input.schema())?,
        false => predicate,
    };
    let finder = Beside::new(&input, Wanted::Unjoinable, names);
    if !finder.is_any_wanted(&predicate)? {
        return Ok(Transformed::no(LogicalPlan::Filter(Filter::try_new(predicate, input)?)));
    }
    let (mut below, mut above) = (Vec::new(), Vec::new());
    for conjunct in split_conjunction_owned(predicate) {
        // What reads a query further out stays where a join can be made of it.
        let is_above =
            finder.is_any_wanted(&conjunct)? || !free_in(&conjunct, &[&input])?.is_empty();
        if is_above { above.push(conjunct) } else { below.push(conjunct) }
    }
    let input = match conjunction(below) {
        Some(predicate) => Arc::new(LogicalPlan::Filter(Filter::try_new(predicate, input)?)),
        None => input,
    };
    let mut beside = Beside::new(&input, Wanted::Unjoinable, names);
    let above = above.into_iter().map(|conjunct| beside.replaced(conjunct));
    let above = above.collect::<Result<Vec<_>>>()?;
    let predicate = conjunction(above).unwrap_or_else(|| lit(true));
    let plan = LogicalPlanBuilder::from(beside.joined).filter(predicate)?;
    let plan = plan.project(columns.into_iter().map(Expr::Column))?;
    plan.build().map(Transformed::yes)
}

/// An operator that computes values, with those of subqueries from joins below it.
pub(super) fn in_values(node: LogicalPlan, names: &Names) -> Result<Transformed<LogicalPlan>> {
    let columns = node.schema().columns();
    let (node, wanted, adds_columns) = match node {
        LogicalPlan::Projection(_) => (node, Wanted::Unjoinable, false),
        LogicalPlan::Sort(sort) => {
            (LogicalPlan::Sort(with_missing_columns(sort)?), Wanted::Correlated, true)
        }
        LogicalPlan::Window(_) => (node, Wanted::Correlated, true),
        _ => (node, Wanted::Correlated, false),
    };
    let input = node.inputs().first().map(|input| Arc::new((*input).clone()));
    let Some(input) = input else { return Ok(Transformed::no(node)) };
    let mut beside = Beside::new(&input, wanted, names);
    let mut is_wanted = false;
    node.apply_expressions(|expr| {
        is_wanted |= beside.is_any_wanted(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !is_wanted {
        return Ok(Transformed::no(node));
    }
    let preserver = NamePreserver::new(&node);
    let node = node.map_expressions(|expr| {
        let name = preserver.save(&expr);
        Ok(Transformed::yes(name.restore(beside.replaced(expr)?)))
    })?;
    let plan = over(node.data, Arc::new(beside.joined))?;
    if !adds_columns {
        return Ok(Transformed::yes(plan));
    }
    let plan = LogicalPlanBuilder::from(plan).project(columns.into_iter().map(Expr::Column))?;
    plan.build().map(Transformed::yes)
}

/// The operator over another input.
fn over(node: LogicalPlan, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    Ok(match node {
        LogicalPlan::Projection(Projection { expr, .. }) => {
            LogicalPlan::Projection(Projection::try_new(expr, input)?)
        }
        LogicalPlan::Aggregate(Aggregate { group_expr, aggr_expr, .. }) => {
            LogicalPlan::Aggregate(Aggregate::try_new(input, group_expr, aggr_expr)?)
        }
        LogicalPlan::Sort(sort) => LogicalPlan::Sort(Sort { input, ..sort }),
        LogicalPlan::Window(Window { window_expr, .. }) => {
            LogicalPlan::Window(Window::try_new(window_expr, input)?)
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let on = DistinctOn::try_new(on.on_expr, on.select_expr, on.sort_expr, input)?;
            LogicalPlan::Distinct(Distinct::On(on))
        }
        other => return Err(internal(&format!("values computed by {}", other.display()))),
    })
}

/// A join whose condition takes the values of its subqueries from its sides; its columns are more
/// then. `None`: its condition has no subqueries.
///
/// Errors: 0A000 for a subquery that reads both sides.
pub(super) fn in_join(join: &Join, names: &Names) -> Result<Option<Join>> {
    let is_scalar = |expr: &Expr| Ok(matches!(expr, Expr::ScalarSubquery(_)));
    let Some(filter) = &join.filter else { return Ok(None) };
    if !filter.exists(is_scalar)? {
        return Ok(None);
    }
    let mut left = Beside::new(&join.left, Wanted::All, names);
    let mut right = Beside::new(&join.right, Wanted::All, names);
    let filter = filter.clone().transform_down(|expr| {
        let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
        let read = free_references(&subquery.subquery)?;
        let reads = |side: &LogicalPlan| read.iter().any(|c| side.schema().has_column(c));
        let value = match (reads(&join.left), reads(&join.right)) {
            (true, true) => {
                let message = "a subquery over both sides of an outer join in its condition";
                return Err(to_datafusion(ErrorReport::unsupported(message)));
            }
            (_, true) => right.value(subquery)?,
            (_, false) => left.value(subquery)?,
        };
        Ok(Transformed::new(value, true, JUMP))
    });
    Join::try_new(
        Arc::new(left.joined),
        Arc::new(right.joined),
        join.on.clone(),
        Some(filter.data()?),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
    .map(Some)
}

/// A subquery of ORDER BY may read what the SELECT list does not show.
fn with_missing_columns(sort: Sort) -> Result<Sort> {
    let LogicalPlan::Projection(shown) = sort.input.as_ref() else { return Ok(sort) };
    let below = shown.input.schema();
    let mut exprs = shown.expr.clone();
    for key in &sort.expr {
        for column in free_in(&key.expr, &[&sort.input])? {
            let is_hidden = below.has_column(&column)
                && !shown.schema.has_column_with_unqualified_name(&column.name);
            let column = Expr::Column(column);
            if is_hidden && !exprs.contains(&column) {
                exprs.push(column);
            }
        }
    }
    if exprs.len() == shown.expr.len() {
        return Ok(sort);
    }
    let shown = Projection::try_new(exprs, Arc::clone(&shown.input))?;
    Ok(Sort { input: Arc::new(LogicalPlan::Projection(shown)), ..sort })
}

impl<'a> Beside<'a> {
    fn new(rows: &Arc<LogicalPlan>, wanted: Wanted, names: &'a Names) -> Self {
        let joined = rows.as_ref().clone();
        Self { rows: Arc::clone(rows), joined, wanted, known: Vec::new(), names }
    }

    fn is_any_wanted(&self, expr: &Expr) -> Result<bool> {
        expr.exists(|expr| match expr {
            Expr::ScalarSubquery(subquery) => self.is_wanted(subquery),
            _ => Ok(false),
        })
    }

    fn is_wanted(&self, subquery: &Subquery) -> Result<bool> {
        let is_correlated = || Ok(!free_references(&subquery.subquery)?.is_empty());
        match self.wanted {
            Wanted::All => Ok(true),
            Wanted::Correlated => is_correlated(),
            Wanted::Unjoinable => {
                Ok(is_correlated()? && !scalar_by_join(&subquery.subquery, self.rows.schema())?)
            }
        }
    }

    /// The expression over the joined rows.
    fn replaced(&mut self, expr: Expr) -> Result<Expr> {
        let replaced = expr.transform_down(|expr| match expr {
            Expr::ScalarSubquery(subquery) if self.is_wanted(&subquery)? => {
                Ok(Transformed::new(self.value(subquery)?, true, JUMP))
            }
            other => Ok(Transformed::no(other)),
        });
        replaced.data()
    }

    /// Joins with a subquery; gives what stands for its value then.
    fn value(&mut self, subquery: Subquery) -> Result<Expr> {
        if let Some((_, value)) = self.known.iter().find(|(known, _)| *known == subquery) {
            return Ok(value.clone());
        }
        let domain = Domain::of(&subquery.subquery, &self.rows)?;
        let value = match shown_aggregate(&subquery.subquery) {
            Some((shown, aggregate)) if !domain.is_empty() => {
                self.aggregate_value(&domain, shown, aggregate)?
            }
            _ => self.row_value(&domain, &subquery.subquery)?,
        };
        self.known.push((subquery, value.clone()));
        Ok(value)
    }

    /// Joins with the groups alone: where there is none, the aggregates are those of no rows.
    fn aggregate_value(
        &mut self,
        domain: &Domain,
        shown: Expr,
        aggregate: &Aggregate,
    ) -> Result<Expr> {
        let Pushed { plan, keys } = pushed_groups(aggregate, domain, self.names)?;
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for (call, (qualifier, field)) in aggregate.aggr_expr.iter().zip(aggregate.schema.iter()) {
            let name = self.names.fresh("value");
            columns.push(Expr::from((qualifier, field)).alias(&name));
            let joined = Expr::Column(Column::from_name(name));
            let value = or_of_no_rows(call, joined, field.data_type())?;
            values.push((Column::from((qualifier, field)), value));
        }
        columns.extend(keys.iter().cloned().map(Expr::Column));
        let found = LogicalPlanBuilder::from(plan).project(columns)?;
        self.join(domain, found.build()?, &keys)?;
        let own = self.rows.schema();
        let value = shown.transform_down(|expr| match &expr {
            Expr::Column(column) => match values.iter().find(|(known, _)| is_same(known, column)) {
                Some((_, value)) => Ok(Transformed::new(value.clone(), true, JUMP)),
                None => Ok(Transformed::no(expr)),
            },
            Expr::OuterReferenceColumn(_, column) if own.has_column(column) => {
                Ok(Transformed::yes(Expr::Column(column.clone())))
            }
            _ => Ok(Transformed::no(expr)),
        });
        value.data()
    }

    fn row_value(&mut self, domain: &Domain, plan: &Arc<LogicalPlan>) -> Result<Expr> {
        let Pushed { plan: found, keys } = pushed(plan, domain, self.names)?;
        let name = self.names.fresh("value");
        let shown = plan.schema().iter().next().ok_or_else(no_column)?;
        let mut columns = vec![Expr::from(shown).alias(&name)];
        columns.extend(keys.iter().cloned().map(Expr::Column));
        let mut found = LogicalPlanBuilder::from(found).project(columns)?;
        let mut value = Expr::Column(Column::from_name(name));
        if !is_at_most_one_row(plan) {
            let rows = self.names.fresh("rows");
            found = self.first_of_each(found, &keys, &rows)?;
            value = sql_single_row(value, Expr::Column(Column::from_name(rows)));
        }
        self.join(domain, found.build()?, &keys)?;
        Ok(value)
    }

    fn join(&mut self, domain: &Domain, found: LogicalPlan, keys: &[Column]) -> Result<()> {
        let joined = std::mem::take(&mut self.joined);
        self.joined = domain.left_join(joined, found, keys)?;
        Ok(())
    }

    /// One row for all keys, and in the column `rows` how many there were.
    fn first_of_each(
        &self,
        found: LogicalPlanBuilder,
        keys: &[Column],
        rows: &str,
    ) -> Result<LogicalPlanBuilder> {
        let keys = || keys.iter().cloned().map(Expr::Column).collect::<Vec<_>>();
        let number = self.names.fresh("number");
        let numbered = Expr::from(WindowFunction::new(row_number()?, Vec::new()));
        let calls = vec![
            count_all_window().partition_by(keys()).build()?.alias(rows),
            numbered.partition_by(keys()).build()?.alias(&number),
        ];
        let mut columns: Vec<Expr> = found.schema().iter().map(Expr::from).collect();
        columns.push(Expr::Column(Column::from_name(rows)));
        let is_first = Expr::Column(Column::from_name(number)).eq(lit(1_i64));
        found.window(calls)?.filter(is_first)?.project(columns)
    }
}

/// An aggregate without GROUP BY, and what is shown of it.
fn shown_aggregate(plan: &LogicalPlan) -> Option<(Expr, &Aggregate)> {
    let (shown, input) = match plan {
        LogicalPlan::Projection(projection) => {
            (projection.expr.first()?.clone().unalias_nested().data, projection.input.as_ref())
        }
        other => (Expr::from(other.schema().iter().next()?), other),
    };
    let LogicalPlan::Aggregate(aggregate) = input else { return None };
    let has_subquery = shown.exists(|expr| Ok(subquery_of(expr).is_some())).unwrap_or(true);
    (aggregate.group_expr.is_empty() && !has_subquery).then_some((shown, aggregate))
}

/// Whether a subquery has at most one row by its form, for each row of the outer query.
fn is_at_most_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(Aggregate { group_expr, .. }) => group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        LogicalPlan::Limit(limit) => {
            matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(0 | 1))))
                || is_at_most_one_row(&limit.input)
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Distinct(_) => plan.inputs().into_iter().all(is_at_most_one_row),
        _ => false,
    }
}

fn no_column() -> DataFusionError {
    internal("a scalar subquery without a column")
}

fn internal(message: &str) -> DataFusionError {
    to_datafusion(ErrorReport::internal(message))
}
