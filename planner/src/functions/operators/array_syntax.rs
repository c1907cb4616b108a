//! Syntax of arrays, and of aggregates that make arrays and JSON, as calls.
//!
//! | SQL | read as |
//! |---|---|
//! | `ARRAY[a, b]` | `make_array(a, b)` |
//! | `x = ANY (array)`, `x <> ALL (array)` | `kestrel_any(x, array, '=')`, `kestrel_all(x, array, '<>')` |
//! | `x LIKE ANY (array)` | `kestrel_any(x, array, '~~')` |
//! | `a[:2]`, `a[2:]` | `a[-2147483647:2]`, `a[2:2147483647]` |
//! | `ARRAY(SELECT x FROM … ORDER BY y)` | `kestrel_array_or_empty((SELECT array_agg(x ORDER BY y) FROM …))` |
//! | `array_agg(DISTINCT x)` | `array_agg(DISTINCT x ORDER BY x)` |
//! | `json_agg(x)` | `kestrel_json_agg(array_agg(kestrel_json_element(x)))` |
//! | `json_object_agg(k, v)` | `kestrel_json_object_agg(array_agg(k::text), array_agg(kestrel_json_element(v)))` |

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, DuplicateTreatment, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    Ident, ObjectName, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, Query, SelectItem,
    SetExpr, Subscript, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value,
};

use super::syntax::{call, number};
use crate::parse::fold_ident;

/// The expression as one that the SQL planner reads; `None`: it is none of these.
pub(super) fn rewritten(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Array(array) => Some(call("make_array", array.elem.clone())),
        Expr::AnyOp { left, compare_op, right, .. } => {
            quantified("kestrel_any", left, right, &operator(compare_op)?)
        }
        Expr::AllOp { left, compare_op, right } => {
            quantified("kestrel_all", left, right, &operator(compare_op)?)
        }
        Expr::Like { negated, any: true, expr, pattern, .. } => {
            quantified("kestrel_any", expr, pattern, if *negated { "!~~" } else { "~~" })
        }
        Expr::ILike { negated, any: true, expr, pattern, .. } => {
            quantified("kestrel_any", expr, pattern, if *negated { "!~~*" } else { "~~*" })
        }
        Expr::CompoundFieldAccess { root, access_chain } => bounded(root, access_chain),
        Expr::Function(function) => of_function(function),
        _ => None,
    }
}

/// The name under which `kestrel_any` knows an operator.
fn operator(op: &BinaryOperator) -> Option<String> {
    Some(match op {
        BinaryOperator::NotEq => "<>".into(),
        op => op.to_string(),
    })
}

/// Subqueries are the planner's.
fn quantified(name: &str, left: &Expr, right: &Expr, op: &str) -> Option<Expr> {
    let array = match right {
        Expr::Subquery(_) => return None,
        Expr::Nested(inner) => inner.as_ref(),
        array => array,
    };
    if let Expr::Subquery(_) = array {
        return None;
    }
    Some(call(name, vec![left.clone(), array.clone(), text(op)]))
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.into()).into())
}

/// A slice with both of its bounds.
fn bounded(root: &Expr, access_chain: &[AccessExpr]) -> Option<Expr> {
    let is_open = |access: &AccessExpr| match access {
        AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) => {
            lower_bound.is_none() || upper_bound.is_none()
        }
        _ => false,
    };
    if !access_chain.iter().any(is_open) {
        return None;
    }
    let bounded = |access: &AccessExpr| match access {
        AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
            AccessExpr::Subscript(Subscript::Slice {
                lower_bound: lower_bound.clone().or_else(|| Some(number("-2147483647"))),
                upper_bound: upper_bound.clone().or_else(|| Some(number("2147483647"))),
                stride: stride.clone(),
            })
        }
        other => other.clone(),
    };
    let access_chain = access_chain.iter().map(bounded).collect();
    Some(Expr::CompoundFieldAccess { root: Box::new(root.clone()), access_chain })
}

fn of_function(function: &Function) -> Option<Expr> {
    let [name] = function.name.0.as_slice() else { return None };
    let name = fold_ident(name.as_ident()?);
    let list = match &function.args {
        FunctionArguments::Subquery(query) if name == "array" => return of_subquery(query),
        FunctionArguments::List(list) => list,
        _ => return None,
    };
    if function.over.is_some() {
        return None;
    }
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let arguments = arguments.collect::<Option<Vec<_>>>()?;
    let aggregate = |argument: Expr| array_agg(function, list, argument);
    match (name.as_str(), arguments.as_slice()) {
        ("array_agg", [argument])
            if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
                && list.clauses.is_empty() =>
        {
            Some(in_order(function, list, argument))
        }
        ("json_agg", [argument]) => {
            let element = call("kestrel_json_element", vec![argument.clone()]);
            Some(call("kestrel_json_agg", vec![aggregate(element)]))
        }
        ("jsonb_agg", [argument]) => {
            let element = call("kestrel_jsonb_element", vec![argument.clone()]);
            Some(call("kestrel_jsonb_agg", vec![aggregate(element)]))
        }
        ("json_object_agg", [key, value]) => {
            let value = call("kestrel_json_element", vec![value.clone()]);
            let key = cast_to_text(key.clone());
            Some(call("kestrel_json_object_agg", vec![aggregate(key), aggregate(value)]))
        }
        ("jsonb_object_agg", [key, value]) => {
            let value = call("kestrel_jsonb_element", vec![value.clone()]);
            let key = cast_to_text(key.clone());
            Some(call("kestrel_jsonb_object_agg", vec![aggregate(key), aggregate(value)]))
        }
        _ => None,
    }
}

fn cast_to_text(expr: Expr) -> Expr {
    let (kind, expr) = (CastKind::Cast, Box::new(expr));
    Expr::Cast { kind, expr, data_type: DataType::Text, array: false, format: None }
}

/// `array_agg(argument)` with the FILTER and the clauses of another aggregate.
fn array_agg(of: &Function, list: &FunctionArgumentList, argument: Expr) -> Expr {
    let args = FunctionArgumentList {
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))],
        ..list.clone()
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("array_agg")]),
        args: FunctionArguments::List(args),
        ..of.clone()
    })
}

/// PostgreSQL finds the different values by sorting them, and that shows.
fn in_order(function: &Function, list: &FunctionArgumentList, argument: &Expr) -> Expr {
    let order = OrderByExpr {
        expr: argument.clone(),
        options: OrderByOptions { asc: None, nulls_first: None },
        with_fill: None,
    };
    let list = FunctionArgumentList {
        clauses: vec![FunctionArgumentClause::OrderBy(vec![order])],
        ..list.clone()
    };
    array_agg(function, &list, argument.clone())
}

/// `ARRAY(SELECT …)`: no row is an empty array. The query's own order, if it has one, is that of
/// the elements.
fn of_subquery(query: &Query) -> Option<Expr> {
    let aggregated = match ordered(query) {
        Some(query) => query,
        None => over_derived(query),
    };
    let subquery = Expr::Subquery(Box::new(aggregated));
    Some(call("kestrel_array_or_empty", vec![subquery]))
}

fn aggregate_of(argument: Expr, order: Vec<OrderByExpr>) -> Expr {
    let clauses = match order.is_empty() {
        true => vec![],
        false => vec![FunctionArgumentClause::OrderBy(order)],
    };
    let aggregate = call("array_agg", vec![argument]);
    match aggregate {
        Expr::Function(mut function) => {
            if let FunctionArguments::List(list) = &mut function.args {
                list.clauses = clauses;
            }
            Expr::Function(function)
        }
        other => other,
    }
}

/// The aggregate in the place of a plain SELECT's one column.
fn ordered(query: &Query) -> Option<Query> {
    let mut query = query.clone();
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let has_groups = select.having.is_some() || !is_ungrouped(select);
    let [item] = select.projection.as_mut_slice() else { return None };
    let (element, alias) = match item {
        SelectItem::UnnamedExpr(expr) => (expr.clone(), None),
        SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), Some(fold_ident(alias))),
        _ => return None,
    };
    if has_groups || select.distinct.is_some() || calls_a_function(&element) {
        return None;
    }
    let order = match query.order_by.take() {
        None => vec![],
        Some(OrderBy { kind: OrderByKind::Expressions(order), .. }) => order,
        Some(_) => return None,
    };
    let order = order.into_iter().map(|mut key| {
        if is_output(&key.expr, alias.as_deref()) {
            key.expr = element.clone();
        }
        key
    });
    *item = SelectItem::UnnamedExpr(aggregate_of(element.clone(), order.collect()));
    Some(query)
}

fn is_ungrouped(select: &datafusion::sql::sqlparser::ast::Select) -> bool {
    use datafusion::sql::sqlparser::ast::GroupByExpr;
    match &select.group_by {
        GroupByExpr::Expressions(keys, modifiers) => keys.is_empty() && modifiers.is_empty(),
        GroupByExpr::All(_) => false,
    }
}

/// It could be an aggregate, or make rows.
fn calls_a_function(expr: &Expr) -> bool {
    use crate::parse::Walk;
    use datafusion::sql::sqlparser::ast::Visitor;
    use std::ops::ControlFlow;
    struct Calls;
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.walk(&mut Calls).is_break()
}

/// `SELECT array_agg(x ORDER BY o) FROM (query with its keys as columns) AS rows(x, o)`
fn over_derived(query: &Query) -> Query {
    let mut query = query.clone();
    let mut columns = vec![Ident::new("kestrel_element")];
    let mut order = vec![];
    if let (SetExpr::Select(select), Some(OrderBy { kind: OrderByKind::Expressions(keys), .. })) =
        (query.body.as_mut(), &query.order_by)
    {
        let output = select.projection.first().and_then(output_name);
        for key in keys {
            let mut key = key.clone();
            if is_output(&key.expr, output.as_deref()) || select.distinct.is_some() {
                key.expr = Expr::Identifier(columns[0].clone());
            } else {
                let column = Ident::new(format!("kestrel_order_{}", columns.len()));
                let expr = std::mem::replace(&mut key.expr, Expr::Identifier(column.clone()));
                select.projection.push(SelectItem::ExprWithAlias { expr, alias: column.clone() });
                columns.push(column);
            }
            order.push(key);
        }
    }
    let aggregate = aggregate_of(Expr::Identifier(columns[0].clone()), order);
    let columns = columns.into_iter().map(|name| TableAliasColumnDef { name, data_type: None });
    let alias = TableAlias {
        explicit: true,
        name: Ident::new("kestrel_rows"),
        columns: columns.collect(),
        at: None,
    };
    let derived = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias: Some(alias),
        sample: None,
    };
    let from = vec![TableWithJoins { relation: derived, joins: vec![] }];
    crate::parse::select_query(vec![SelectItem::UnnamedExpr(aggregate)], from)
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(fold_ident(alias)),
        _ => None,
    }
}

/// Whether a key of ORDER BY is the first column of the result.
fn is_output(key: &Expr, name: Option<&str>) -> bool {
    match key {
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if digits == "1"),
        Expr::Identifier(key) => name == Some(fold_ident(key).as_str()),
        _ => false,
    }
}
