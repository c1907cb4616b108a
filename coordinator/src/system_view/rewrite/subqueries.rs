//! Subqueries that the planner cannot take.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArguments, GroupByExpr, LimitClause, Query, Select, SelectItem,
    SetExpr, UnaryOperator, Visitor, VisitorMut,
};
use kestrel_planner::parse::Walk;

use super::{
    arrays,
    build::{all_of, array, call, call_ordered, case_when, conjuncts, null, number},
    scope::{Scope, column, is_always_empty},
};

/// Functions that make one row of many.
const AGGREGATES: &[&str] = &[
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "first_value",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// Scalar subqueries over system relations, EXISTS in a select list, and what makes arrays of rows
/// and rows of arrays.
pub(super) struct Subqueries;

impl VisitorMut for Subqueries {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if is_always_empty(select) && !select.projection.iter().any(is_aggregate) {
            // No row will ever be shown: what each would show does not matter.
            let _ = select.projection.walk_mut(&mut Without);
        }
        let _ = select.projection.walk_mut(&mut Counted::default());
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replacement = match expr {
            Expr::Function(function) => arrays::array_of(function),
            Expr::CompoundFieldAccess { root, access_chain } => arrays::field(root, access_chain),
            Expr::Subquery(query) => first_in_order(query).or_else(|| scalar(query)),
            _ => None,
        };
        if let Some(replacement) = replacement {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

/// Puts NULL, or an empty array, in the place of every subquery.
struct Without;

impl VisitorMut for Without {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(_) => *expr = null(),
            Expr::Function(f) if matches!(f.args, FunctionArguments::Subquery(_)) => {
                *expr = array(vec![]);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The planner takes EXISTS only as a condition: elsewhere it becomes a count.
#[derive(Default)]
struct Counted {
    depth: u32,
}

impl VisitorMut for Counted {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Exists { subquery, negated } = expr
            && let Some(counted) = count(subquery, *negated)
        {
            *expr = counted;
        }
        ControlFlow::Continue(())
    }
}

/// `(SELECT count(1) FROM …) > 0`
fn count(subquery: &mut Query, negated: bool) -> Option<Expr> {
    let conditions = correlate(subquery)?;
    *shown(subquery)? = call("count", vec![number(1)]);
    let found = Expr::BinaryOp {
        left: Box::new(Expr::Subquery(Box::new(subquery.clone()))),
        op: BinaryOperator::Gt,
        right: Box::new(number(0)),
    };
    let conditions = conditions.into_iter().map(|c| Expr::IsTrue(Box::new(c)));
    let exists = Expr::Nested(Box::new(all_of(conditions.chain([found]))?));
    Some(match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(exists) },
        false => exists,
    })
}

/// Whether an expression makes one row of many; those of queries inside do not count.
fn is_aggregate(item: &impl Walk) -> bool {
    #[derive(Default)]
    struct Search {
        depth: u32,
    }
    impl Visitor for Search {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
            let name = function.name.to_string().to_lowercase();
            match self.depth == 0 && AGGREGATES.contains(&name.as_str()) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    item.walk(&mut Search::default()).is_break()
}

/// A correlated scalar subquery that finds at most one row by a key: PostgreSQL takes the row, the
/// planner wants an aggregate.
fn scalar(query: &mut Query) -> Option<Expr> {
    if query.order_by.is_some() || is_aggregate(shown(query)?) || !is_correlated(plain(query)?) {
        return None;
    }
    let conditions = correlate(query)?;
    let scope = Scope::of(plain(query)?);
    let value = shown(query)?;
    let value = std::mem::replace(value, null());
    if References::of(&value, &scope).outer {
        return of_each_column(query, conditions, value, &scope);
    }
    let subquery = first_value(query, value)?;
    Some(match all_of(conditions) {
        Some(condition) => case_when(condition, subquery),
        None => subquery,
    })
}

/// `(WITH RECURSIVE … SELECT value FROM … ORDER BY order LIMIT 1)` is the first value in this order:
/// the planner takes an aggregate where the query is correlated.
fn first_in_order(query: &Query) -> Option<Expr> {
    query.with.as_ref().filter(|with| with.recursive)?;
    let Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) =
        &query.limit_clause
    else {
        return None;
    };
    let order = arrays::order_of(query);
    let is_output = |expr: &Expr| matches!(expr, Expr::Value(_));
    if limit.to_string() != "1" || order.is_empty() || order.iter().any(|key| is_output(&key.expr))
    {
        return None;
    }
    let mut first = query.clone();
    (first.limit_clause, first.order_by) = (None, None);
    let value = shown(&mut first)?;
    if is_aggregate(value) {
        return None;
    }
    *value = call_ordered("first_value", vec![value.clone()], order);
    Some(Expr::Subquery(Box::new(first)))
}

/// `(SELECT first_value(value) FROM …)`
fn first_value(query: &Query, value: Expr) -> Option<Expr> {
    let mut query = query.clone();
    *shown(&mut query)? = call("first_value", vec![value]);
    Some(Expr::Subquery(Box::new(query)))
}

/// What is shown of the row found is made of the outer row's columns, too: those of the row found
/// are looked up one by one, and the outer query makes the value, if there is a row.
fn of_each_column(
    query: &Query,
    mut conditions: Vec<Expr>,
    mut value: Expr,
    scope: &Scope,
) -> Option<Expr> {
    let mut found = query.clone();
    *shown(&mut found)? = call("count", vec![number(1)]);
    conditions.push(Expr::BinaryOp {
        left: Box::new(Expr::Subquery(Box::new(found))),
        op: BinaryOperator::Gt,
        right: Box::new(number(0)),
    });
    let _ = value.walk_mut(&mut Looked { query, scope });
    Some(case_when(all_of(conditions)?, value))
}

/// Puts a subquery in the place of each column of the row found.
struct Looked<'a> {
    query: &'a Query,
    scope: &'a Scope,
}

impl VisitorMut for Looked<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if column(expr).is_some_and(|column| self.scope.has_column(column))
            && let Some(looked_up) = first_value(self.query, expr.clone())
        {
            *expr = looked_up;
        }
        ControlFlow::Continue(())
    }
}

/// A SELECT of one expression without grouping, limits, …
pub(super) fn plain(query: &Query) -> Option<&Select> {
    let SetExpr::Select(select) = &*query.body else { return None };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(e, _) if e.is_empty());
    let limited = query.limit_clause.is_some() || query.fetch.is_some();
    let special = select.distinct.is_some() || select.having.is_some();
    (!grouped && !limited && !special && select.projection.len() == 1).then_some(select)
}

/// The one expression of a plain SELECT.
pub(super) fn shown(query: &mut Query) -> Option<&mut Expr> {
    plain(query)?;
    let SetExpr::Select(select) = &mut *query.body else { return None };
    match select.projection.first_mut()? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

fn is_correlated(select: &Select) -> bool {
    let scope = Scope::of(select);
    select.selection.as_ref().is_some_and(|s| References::of(s, &scope).outer)
}

/// Brings the conditions of a subquery over system relations into the form that the planner can
/// decorrelate: `inner = outer`, and no other that mixes both. Returns the conditions that are
/// about the outer row alone; `None`: it is left as it is.
pub(super) fn correlate(query: &mut Query) -> Option<Vec<Expr>> {
    plain(query)?;
    let SetExpr::Select(select) = &mut *query.body else { return None };
    let scope = Scope::of(select);
    if !scope.is_system() {
        return None;
    }
    let mut all = vec![];
    if let Some(selection) = select.selection.take() {
        conjuncts(selection, &mut all);
    }
    let is_outer = |e: &Expr| {
        let found = References::of(e, &scope);
        found.outer && !found.inner
    };
    let (outer, mut inner): (Vec<_>, Vec<_>) = all.into_iter().partition(is_outer);
    // `c.oid = a.attcollation`: inside, the one stands for the other.
    let equal: Vec<(Expr, Expr)> =
        inner.iter().filter_map(|condition| equality(condition, &scope)).collect();
    for condition in &mut inner {
        if equality(condition, &scope).is_none() {
            let _ = condition.walk_mut(&mut Substitute(&equal));
        }
    }
    select.selection = all_of(inner);
    Some(outer)
}

/// (outer column, inner column) of `inner = outer`.
fn equality(condition: &Expr, scope: &Scope) -> Option<(Expr, Expr)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
    let is_inner = |e: &Expr| column(e).map(|c| scope.has_column(c));
    match (is_inner(left)?, is_inner(right)?) {
        (true, false) => Some(((**right).clone(), (**left).clone())),
        (false, true) => Some(((**left).clone(), (**right).clone())),
        _ => None,
    }
}

struct Substitute<'a>(&'a [(Expr, Expr)]);

impl VisitorMut for Substitute<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some((_, inner)) = self.0.iter().find(|(outer, _)| outer == expr) {
            *expr = inner.clone();
        }
        ControlFlow::Continue(())
    }
}

/// Whose columns an expression looks at.
#[derive(Default)]
struct References {
    inner: bool,
    outer: bool,
}

impl References {
    fn of(expr: &Expr, scope: &Scope) -> Self {
        struct Collect<'a>(&'a Scope, References);
        impl Visitor for Collect<'_> {
            type Break = ();
            fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
                match (expr, column(expr)) {
                    (Expr::Nested(_), _) | (_, None) => {}
                    (_, Some(column)) if self.0.has_column(column) => self.1.inner = true,
                    _ => self.1.outer = true,
                }
                ControlFlow::Continue(())
            }
            // The columns of a query inside are its own affair: such a condition is mixed.
            fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
                self.1 = References { inner: true, outer: true };
                ControlFlow::Break(())
            }
        }
        let mut collect = Collect(scope, Self::default());
        let _ = expr.walk(&mut collect);
        collect.1
    }
}
