//! WITH RECURSIVE, in the form that DataFusion's SQL planner takes.
//!
//! PostgreSQL lets an item refer to later ones, and has a WITH of its own around both terms; the
//! planner knows neither. Its recursive term also gets the static term's types before PostgreSQL's
//! are known: it is marked, so that [`crate::functions::postgresql_plan`] finds it as it was written.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    CastKind, Cte, DataType, Expr, LimitClause, Offset, OffsetRows, Query, SelectItem, SetExpr,
    SetOperator, Value, VisitorMut, With,
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    provider::Names,
    recursion_rules::{check_rules, refers, unwrapped},
};
use crate::parse::{Walk, fold_ident, select_query};

/// Checks and settles every WITH RECURSIVE of a query.
///
/// Errors: 42P19; 0A000 for what PostgreSQL has not built either.
pub(super) fn recursive_queries(query: &mut Query, names: Names<'_>) -> Result<()> {
    let mut withs = Withs { names, result: Ok(()) };
    // It breaks off at an error.
    let _ = query.walk_mut(&mut withs);
    withs.result
}

struct Withs<'a> {
    names: Names<'a>,
    result: Result<()>,
}

impl VisitorMut for Withs<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Some(with) = query.with.as_mut().filter(|with| with.recursive) else {
            return ControlFlow::Continue(());
        };
        self.result = settle(with, self.names);
        match self.result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn settle(with: &mut With, names: Names<'_>) -> Result<()> {
    for cte in &mut with.cte_tables {
        unwrapped(&mut cte.query);
    }
    let ctes = &with.cte_tables;
    let uses = |cte: &Cte| -> BTreeSet<usize> {
        let used = |other: &Cte| refers(&cte.query, &fold_ident(&other.alias.name)).is_some();
        ctes.iter().enumerate().filter(|(_, other)| used(other)).map(|(at, _)| at).collect()
    };
    let uses: Vec<_> = ctes.iter().map(uses).collect();
    let order = in_order(&uses).map_err(|at| {
        let error =
            ErrorReport::unsupported("mutual recursion between WITH items is not implemented");
        names.at(error, ctes.get(at).map(|cte| cte.alias.name.span.start))
    })?;
    let mut settled = Vec::with_capacity(order.len());
    for at in order {
        let (Some(cte), Some(uses)) = (ctes.get(at), uses.get(at)) else { continue };
        let mut cte = cte.clone();
        if uses.contains(&at) {
            check_rules(&cte, names)?;
            mark_terms(&mut cte.query);
        } else {
            close(&mut cte.query);
        }
        settled.push(cte);
    }
    with.cte_tables = settled;
    Ok(())
}

/// Every item after those that it refers to (`TopologicalSort` in parse_cte.c); the first one of a
/// circle, if there is one.
fn in_order(uses: &[BTreeSet<usize>]) -> std::result::Result<Vec<usize>, usize> {
    let mut left: Vec<usize> = (0..uses.len()).collect();
    let mut order = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let is_ready = |at: &usize| {
            uses.get(*at).is_none_or(|uses| uses.iter().all(|on| on == at || order.contains(on)))
        };
        let ready = left.iter().position(is_ready).ok_or(*first)?;
        order.push(left.remove(ready));
    }
    Ok(order)
}

/// A UNION that refers not to itself: the planner would take it for a recursive query, and forget
/// what is around the UNION.
fn close(query: &mut Query) {
    if matches!(query.body.as_ref(), SetExpr::SetOperation { op: SetOperator::Union, .. }) {
        let around = around(SetExpr::Query(Box::new(query.clone())));
        *query = around;
    }
}

/// A query that is this body alone.
fn around(body: SetExpr) -> Query {
    Query { body: Box::new(body), ..select_query(vec![], vec![]) }
}

/// Both terms with what was around them; the recursive one under `OFFSET 0`, which lets all rows
/// pass. The planner puts its casts above that.
fn mark_terms(query: &mut Query) {
    let with = query.with.take();
    let SetExpr::SetOperation { left, right, .. } = query.body.as_mut() else { return };
    nulls_are_texts(left);
    if with.is_some() {
        let inner = std::mem::replace(left.as_mut(), SetExpr::Values(no_values()));
        **left = SetExpr::Query(Box::new(Query { with: with.clone(), ..around(inner) }));
    }
    let inner = std::mem::replace(right.as_mut(), SetExpr::Values(no_values()));
    let zero = Expr::Value(Value::Number("0".into(), false).into());
    let offset = Some(Offset { value: zero, rows: OffsetRows::None });
    let limit_clause = Some(LimitClause::LimitOffset { limit: None, offset, limit_by: vec![] });
    **right = SetExpr::Query(Box::new(Query { with, limit_clause, ..around(inner) }));
}

fn no_values() -> datafusion::sql::sqlparser::ast::Values {
    datafusion::sql::sqlparser::ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows: vec![],
    }
}

/// A column of the static term that is NULL is a text (`analyzeCTETargetList`). The cast is one that
/// nobody writes in PostgreSQL's SQL: the types of the whole query tell it from `NULL::text`.
fn nulls_are_texts(term: &mut SetExpr) {
    let SetExpr::Select(select) = term else { return };
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
            continue;
        };
        if matches!(expr, Expr::Value(value) if value.value == Value::Null) {
            *expr = Expr::Cast {
                kind: CastKind::TryCast,
                expr: Box::new(expr.clone()),
                data_type: DataType::Text,
                array: false,
                format: None,
            };
        }
    }
}
