//! Arrays of rows, and rows of arrays.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    OrderByExpr, OrderByKind, Query, SelectItem, TableFactor, Value,
};

use super::{
    super::functions::{PREFIXED, SUBSCRIPTS},
    build::{all_of, array, call, call_ordered, case_when, literal_text, text},
    scope::{column, folded},
    subqueries::{correlate, plain, shown},
};

/// `ARRAY(SELECT x FROM …)`, and functions that make rows of an array.
pub(super) fn array_of(function: &mut Function) -> Option<Expr> {
    let name = function.name.to_string().to_lowercase();
    if name == "_pg_expandarray" {
        return expanded(function);
    }
    let FunctionArguments::Subquery(query) = &mut function.args else { return None };
    if name != "array" {
        return None;
    }
    if let Some(list) = list_of(query) {
        return Some(list);
    }
    let (order, element) = (order_of(query), shown(query)?.clone());
    let order = order.into_iter().map(|mut o| {
        // ORDER BY 1
        if matches!(&o.expr, Expr::Value(v) if matches!(&v.value, Value::Number(n, _) if n == "1"))
        {
            o.expr = element.clone();
        }
        o
    });
    let aggregate = call_ordered("array_agg", vec![element.clone()], order.collect());
    query.order_by = None;
    let conditions = correlate(query);
    *shown(query)? = aggregate;
    let subquery = Expr::Subquery(query.clone());
    let subquery = match conditions.and_then(all_of) {
        Some(condition) => case_when(condition, subquery),
        None => subquery,
    };
    // No row is an empty array.
    Some(call("coalesce", vec![subquery, array(vec![])]))
}

/// `ARRAY(SELECT x FROM unnest(list) x)` is the list, `SELECT 'prefix' || x` the list with each
/// element prefixed.
fn list_of(query: &Query) -> Option<Expr> {
    let select = plain(query)?;
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::UNNEST { array_exprs, alias: Some(alias), .. } = &from.relation else {
        return None;
    };
    let [list] = array_exprs.as_slice() else { return None };
    if !from.joins.is_empty() || select.selection.is_some() || query.order_by.is_some() {
        return None;
    }
    let element = folded(alias.columns.first().map_or(&alias.name, |c| &c.name));
    let is_element =
        |e: &Expr| column(e).and_then(|c| c.last()).is_some_and(|name| folded(name) == element);
    let [SelectItem::UnnamedExpr(shown) | SelectItem::ExprWithAlias { expr: shown, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let prefix = match shown {
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } if is_element(right) => {
            literal_text(left)?
        }
        shown if is_element(shown) => "",
        _ => return None,
    };
    Some(call(PREFIXED, vec![text(prefix), list.clone()]))
}

/// `_pg_expandarray(list)` is a row (x, n) per element, n counted from 1.
fn expanded(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(arguments) = &function.args else { return None };
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(list)) = arguments.args.first()? else {
        return None;
    };
    let subscripts = call("unnest", vec![call(SUBSCRIPTS, vec![list.clone()])]);
    let elements = call("unnest", vec![list.clone()]);
    Some(call("named_struct", vec![text("x"), elements, text("n"), subscripts]))
}

/// `(row).name`; a row of `aclexplode` is the binder's.
pub(super) fn field(root: &Expr, access: &[AccessExpr]) -> Option<Expr> {
    match access {
        [AccessExpr::Dot(Expr::Identifier(name))] if !is_of_acl(root) => {
            Some(call("get_field", vec![root.clone(), text(&folded(name))]))
        }
        _ => None,
    }
}

fn is_of_acl(root: &Expr) -> bool {
    match root {
        Expr::Nested(inner) => is_of_acl(inner),
        Expr::Function(function) => {
            let last = function.name.0.last().and_then(|part| part.as_ident());
            last.is_some_and(|last| folded(last) == "aclexplode")
        }
        _ => false,
    }
}

pub(super) fn order_of(query: &Query) -> Vec<OrderByExpr> {
    match query.order_by.as_ref().map(|o| &o.kind) {
        Some(OrderByKind::Expressions(order)) => order.clone(),
        _ => vec![],
    }
}
