//! Casts to `regclass` and its like: a number that is written and shown as a name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Query, Select, SelectItem, SetExpr, VisitorMut,
};

use super::{
    super::functions::{REG_OID, REG_TEXT},
    build::{call, null, text},
};

/// Functions that show their arguments; all others look at an OID.
const SHOWING: &[&str] = &[
    "array_agg",
    "btrim",
    "coalesce",
    "concat",
    "concat_ws",
    "format",
    "json_build_object",
    "quote_ident",
    "quote_literal",
    "string_agg",
];

/// Functions of sequences, which take the sequence's name.
const OF_SEQUENCES: &[&str] = &["nextval", "currval", "setval", "lastval"];

/// Decides for every cast to a `reg…` type whether the number or the name is wanted: compared, cast
/// to a number, united with a number or given to a function that takes an OID, the number; the name
/// elsewhere.
pub(super) struct Reg;

impl VisitorMut for Reg {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::SetOperation { .. } = *query.body {
            let mut rows = vec![];
            branches(&mut query.body, &mut rows);
            unite(rows);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // What a select list shows of a `to_regclass` is a name, too.
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                && let Expr::Function(function) = expr
                && let Some(kind) = looked_up(function)
            {
                let shown = std::mem::replace(expr, null());
                *expr = call(REG_TEXT, vec![text(&kind), shown]);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { expr: inner, data_type, .. } => {
                if let Some(kind) = kind(data_type) {
                    *expr = call(REG_TEXT, vec![text(kind), take(inner)]);
                } else if let Some(shown) = is_number(data_type).then(|| as_oid(inner)).flatten() {
                    *expr = shown;
                }
            }
            Expr::BinaryOp { left, op, right } if *op != BinaryOperator::StringConcat => {
                number(left);
                number(right);
            }
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
                number(left);
                number(right);
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                number(left);
                number(right);
            }
            Expr::InList { expr, list, .. } => {
                number(expr);
                list.iter_mut().for_each(number);
            }
            Expr::InSubquery { expr, .. } => number(expr),
            Expr::Function(function) => arguments(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `regclass` for `to_regclass(…)`.
pub(super) fn looked_up(function: &Function) -> Option<String> {
    let name = last_name(function);
    name.strip_prefix("to_").filter(|kind| kind.starts_with("reg")).map(String::from)
}

/// What a SELECT or a line of VALUES gives; `None`: `*`, which is no expression.
type Row<'a> = Vec<Option<&'a mut Expr>>;

/// The rows of a UNION and its like.
fn branches<'a>(body: &'a mut SetExpr, out: &mut Vec<Row<'a>>) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            branches(left, out);
            branches(right, out);
        }
        SetExpr::Select(select) => out.push(select.projection.iter_mut().map(shown).collect()),
        SetExpr::Values(values) => {
            out.extend(
                values.rows.iter_mut().map(|row| row.content.iter_mut().map(Some).collect()),
            );
        }
        SetExpr::Query(query) => branches(&mut query.body, out),
        _ => {}
    }
}

fn shown(item: &mut SelectItem) -> Option<&mut Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// `SELECT classid … UNION SELECT 'pg_class'::regclass …`: what is a number in one row is one in all
/// of them.
fn unite(mut rows: Vec<Row<'_>>) {
    let width = rows.iter().map(Vec::len).min().unwrap_or(0);
    for position in 0..width {
        let column = rows.iter_mut().filter_map(|row| row.get_mut(position)?.as_deref_mut());
        let column: Vec<&mut Expr> = column.collect();
        if column.iter().any(|expr| !is_named(expr)) {
            column.into_iter().for_each(number);
        }
    }
}

/// Is it a cast to a `reg…` type?
fn is_named(expr: &Expr) -> bool {
    matches!(expr, Expr::Cast { data_type, .. } if kind(data_type).is_some())
}

fn last_name(function: &Function) -> String {
    let last = function.name.0.last().and_then(|p| p.as_ident());
    last.map(|i| i.value.to_lowercase()).unwrap_or_default()
}

fn arguments(function: &mut Function) {
    let name = last_name(function);
    let FunctionArguments::List(list) = &mut function.args else { return };
    if SHOWING.contains(&&*name) || name == REG_TEXT {
        return;
    }
    for argument in &mut list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else { continue };
        if OF_SEQUENCES.contains(&&*name) {
            if let Expr::Cast { expr: inner, data_type, .. } = expr
                && kind(data_type).is_some()
            {
                *expr = take(inner);
            }
        } else {
            number(expr);
        }
    }
}

/// `x::regclass` becomes the OID.
fn number(expr: &mut Expr) {
    if let Some(oid) = as_oid(expr) {
        *expr = oid;
    }
}

fn as_oid(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::Nested(inner) => as_oid(inner),
        Expr::Cast { expr: inner, data_type, .. } => {
            let kind = kind(data_type)?;
            Some(call(REG_OID, vec![text(kind), take(inner)]))
        }
        _ => None,
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, null())
}

/// The `reg…` type that a type is; those of functions, operators, … are all `regproc` to us.
pub(super) fn kind(data_type: &DataType) -> Option<&'static str> {
    let written = data_type.to_string().to_ascii_lowercase();
    Some(match written.strip_prefix("pg_catalog.").unwrap_or(&written) {
        "regclass" => "regclass",
        "regtype" => "regtype",
        "regnamespace" => "regnamespace",
        "regrole" => "regrole",
        "regproc" | "regprocedure" | "regoper" | "regoperator" | "regconfig" | "regdictionary"
        | "regcollation" => "regproc",
        _ => return None,
    })
}

fn is_number(data_type: &DataType) -> bool {
    let written = data_type.to_string().to_ascii_lowercase();
    let name = written.strip_prefix("pg_catalog.").unwrap_or(&written);
    ["oid", "int4", "int8", "int", "integer", "bigint"].contains(&name)
}
