//! What is done for each group of rows is done for each value of the domain: aggregates, windows,
//! DISTINCT ON, LIMIT.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        Column, Result, ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::{
        Aggregate, Distinct, DistinctOn, Expr, ExprFunctionExt, FetchType, Limit, LogicalPlan,
        LogicalPlanBuilder, Projection, SkipType, Sort, SortExpr, SubqueryAlias, Window,
        expr::{AggregateFunction, WindowFunction},
        lit,
        utils::conjunction,
        when,
    },
};

use super::{Push, Pushed, columns, refused};
use crate::{bind::unnest::domain::joined_left, functions::row_number};

impl Push<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Pushed> {
        let grouped = self.groups(aggregate)?;
        match aggregate.group_expr.is_empty() {
            true => self.with_empty_groups(aggregate, grouped),
            false => Ok(grouped),
        }
    }

    /// The groups that have rows.
    pub(super) fn groups(&mut self, aggregate: &Aggregate) -> Result<Pushed> {
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(refused("grouping sets in a subquery that reads the outer query"));
        }
        if aggregate.aggr_expr.iter().any(is_of_outer_query) {
            return Err(refused("an aggregate of the outer query in a subquery"));
        }
        let Pushed { plan, keys } = self.node(&aggregate.input)?;
        let mut groups = self.named(&aggregate.group_expr, &keys)?;
        groups.extend(columns(&keys));
        let values = self.named(&aggregate.aggr_expr, &keys)?;
        let grouped = Aggregate::try_new(Arc::new(plan), groups, values)?;
        Ok(Pushed { plan: LogicalPlan::Aggregate(grouped), keys })
    }

    /// Without GROUP BY there is a row of no rows, too: what counts is 0, the rest is NULL.
    fn with_empty_groups(&mut self, aggregate: &Aggregate, grouped: Pushed) -> Result<Pushed> {
        let (values, keys) = self.domain.values(self.names)?;
        let on = self.domain.equalities(&keys, &grouped.keys)?;
        let joined = joined_left(values, grouped.plan, on)?;
        let mut exprs = Vec::new();
        for (expr, (qualifier, field)) in aggregate.aggr_expr.iter().zip(aggregate.schema.iter()) {
            let value = or_of_no_rows(expr, Expr::from((qualifier, field)), field.data_type())?;
            exprs.push(value.alias_qualified(qualifier.cloned(), field.name()));
        }
        exprs.extend(columns(&keys));
        let plan = LogicalPlanBuilder::from(joined).project(exprs)?.build()?;
        Ok(Pushed { plan, keys })
    }

    pub(super) fn window(&mut self, window: &Window) -> Result<Pushed> {
        let Pushed { plan, keys } = self.node(&window.input)?;
        let exprs = window.window_expr.iter().zip(self.named(&window.window_expr, &keys)?);
        let exprs = exprs.map(|(before, now)| {
            let (_, name) = before.qualified_name();
            Ok(partitioned(now.unalias(), &keys)?.alias(name))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?);
        Ok(Pushed { plan, keys })
    }

    pub(super) fn distinct_on(&mut self, distinct: &DistinctOn) -> Result<Pushed> {
        let Pushed { plan, keys } = self.node(&distinct.input)?;
        let mut on: Vec<Expr> = columns(&keys).collect();
        for expr in &distinct.on_expr {
            on.push(self.domain.bound(expr.clone(), &keys)?);
        }
        let mut select = self.named(&distinct.select_expr, &keys)?;
        select.extend(columns(&keys));
        let sort = match &distinct.sort_expr {
            None => None,
            Some(sort) => {
                let mut all: Vec<_> = columns(&keys).map(|key| key.sort(true, false)).collect();
                all.extend(self.sort_exprs(sort, &keys)?);
                Some(all)
            }
        };
        let distinct = Distinct::On(DistinctOn::try_new(on, select, sort, Arc::new(plan))?);
        Ok(Pushed { plan: LogicalPlan::Distinct(distinct), keys })
    }

    /// So many rows for each value: those of the first numbers.
    pub(super) fn limit(&mut self, limit: &Limit) -> Result<Pushed> {
        if let Some(swapped) = below_columns(limit)? {
            return self.node(&Arc::new(swapped));
        }
        let (input, order) = match limit.input.as_ref() {
            LogicalPlan::Sort(Sort { input, expr, fetch: None }) => (input, expr.as_slice()),
            _ => (&limit.input, &[][..]),
        };
        let Pushed { plan, keys } = self.node(input)?;
        let order = self.sort_exprs(order, &keys)?;
        let name = self.names.fresh("number");
        let kept: Vec<Expr> = plan.schema().iter().map(Expr::from).collect();
        let number = numbered(&keys, order)?.alias(&name);
        let number_of_row = Expr::Column(Column::from_name(name));
        let conditions = self.within(limit, &number_of_row, &keys)?;
        let mut rows = LogicalPlanBuilder::from(plan);
        if let Some(condition) = conjunction(conditions) {
            rows = rows.window(vec![number])?.filter(condition)?.project(kept)?;
        }
        Ok(Pushed { plan: rows.build()?, keys })
    }

    /// The conditions that a row's number satisfies.
    fn within(&self, limit: &Limit, number: &Expr, keys: &[Column]) -> Result<Vec<Expr>> {
        let bound = |expr: &Option<Box<Expr>>| match expr {
            Some(expr) => self.domain.bound(expr.as_ref().clone(), keys),
            None => Ok(lit(ScalarValue::Int64(None))),
        };
        let skip = match limit.get_skip_type()? {
            SkipType::Literal(skip) => lit(count(skip)),
            SkipType::UnsupportedExpr => {
                let skip = bound(&limit.skip)?;
                when(skip.clone().is_null(), lit(0_i64)).otherwise(skip)?
            }
        };
        let number = match limit.skip {
            None => number.clone(),
            Some(_) => number.clone() - skip,
        };
        let mut conditions = Vec::new();
        if limit.skip.is_some() {
            conditions.push(number.clone().gt(lit(0_i64)));
        }
        match limit.get_fetch_type()? {
            FetchType::Literal(None) => {}
            FetchType::Literal(Some(fetch)) => conditions.push(number.lt_eq(lit(count(fetch)))),
            FetchType::UnsupportedExpr => {
                let fetch = bound(&limit.fetch)?;
                conditions.push(fetch.clone().is_null().or(number.lt_eq(fetch)));
            }
        }
        Ok(conditions)
    }
}

/// The value of an aggregate that is NULL in `column` where there was no row to make a group.
pub(in crate::bind::unnest) fn or_of_no_rows(
    aggregate: &Expr,
    column: Expr,
    data_type: &DataType,
) -> Result<Expr> {
    let of_none = match aggregate.clone().unalias_nested().data {
        Expr::AggregateFunction(call) => call.func.default_value(data_type)?,
        _ => ScalarValue::Null,
    };
    match of_none.is_null() {
        true => Ok(column),
        false => when(column.clone().is_null(), lit(of_none)).otherwise(column),
    }
}

/// A LIMIT above projections of sorted rows is one of the sorted rows.
fn below_columns(limit: &Limit) -> Result<Option<LogicalPlan>> {
    let limited = |input: &Arc<LogicalPlan>| {
        Arc::new(LogicalPlan::Limit(Limit { input: Arc::clone(input), ..limit.clone() }))
    };
    Ok(match limit.input.as_ref() {
        LogicalPlan::Projection(projection) if is_sorted(&projection.input) => {
            let input = limited(&projection.input);
            let projection = Projection::try_new(projection.expr.clone(), input)?;
            Some(LogicalPlan::Projection(projection))
        }
        LogicalPlan::SubqueryAlias(aliased) if is_sorted(&aliased.input) => {
            let aliased = SubqueryAlias::try_new(limited(&aliased.input), aliased.alias.clone())?;
            Some(LogicalPlan::SubqueryAlias(aliased))
        }
        _ => None,
    })
}

fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::Projection(projection) => is_sorted(&projection.input),
        LogicalPlan::SubqueryAlias(aliased) => is_sorted(&aliased.input),
        _ => false,
    }
}

/// The number of each row among those of the same keys.
fn numbered(keys: &[Column], order: Vec<SortExpr>) -> Result<Expr> {
    let call = Expr::from(WindowFunction::new(row_number()?, Vec::new()));
    let call = call.partition_by(columns(keys).collect());
    if order.is_empty() { call.build() } else { call.order_by(order).build() }
}

/// The window function within each value of the domain.
fn partitioned(expr: Expr, keys: &[Column]) -> Result<Expr> {
    let partitioned = expr.transform(|expr| match expr {
        Expr::WindowFunction(mut window) => {
            window.params.partition_by.extend(columns(keys));
            Ok(Transformed::yes(Expr::WindowFunction(window)))
        }
        other => Ok(Transformed::no(other)),
    });
    partitioned.data()
}

/// `SELECT (SELECT sum(t.a) FROM u) FROM t` sums up the rows of t, says the standard.
fn is_of_outer_query(expr: &Expr) -> bool {
    let is_one = |expr: &Expr| match expr {
        Expr::AggregateFunction(AggregateFunction { params, .. }) => {
            params.args.iter().any(Expr::contains_outer)
                && params.args.iter().all(|argument| argument.column_refs().is_empty())
        }
        _ => false,
    };
    expr.exists(|expr| Ok(is_one(expr))).unwrap_or(true)
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
