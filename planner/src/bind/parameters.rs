//! The types of `$1`, `$2`, …: those that a statement says outright, and those that operators and
//! functions around a parameter give it while the query is bound.

use std::{collections::BTreeMap, ops::ControlFlow};

use datafusion::{
    common::{
        Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{self, LogicalPlan, expr::Placeholder},
    sql::sqlparser::ast::{
        Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, LimitClause, Query,
        SelectItem, SetExpr, Value, Visitor,
    },
};

use crate::{
    catalog::SqlType,
    parse::{self, Walk, fold_ident},
};

/// `given`, with the types that casts (`$1::date`), LIMIT and OFFSET, and the columns that an
/// INSERT's values go to (`targets`; empty for a query) say of parameters the client left open.
pub fn stated_parameter_types(
    query: &Query,
    given: &[Option<SqlType>],
    targets: &[SqlType],
) -> Vec<Option<SqlType>> {
    let mut stated = Stated(BTreeMap::new());
    // It never breaks off.
    let _ = query.walk(&mut stated);
    stated.targets(query, targets);
    let last = stated.0.keys().next_back().map_or(0, |last| last + 1);
    let given_or_stated =
        |at: usize| given.get(at).copied().flatten().or_else(|| stated.0.get(&at).copied());
    (0..last.max(given.len())).map(given_or_stated).collect()
}

/// The types that parameters have got in a plan, by position from 0; `None`: nothing around the
/// parameter tells. The first place that tells counts, as in PostgreSQL: in the others the
/// parameter is a value of that type (`variable_paramref_hook`, parse_param.c).
pub(super) fn inferred_parameter_types(
    plan: &LogicalPlan,
) -> Result<BTreeMap<usize, Option<SqlType>>> {
    let mut types = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let logical_expr::Expr::Placeholder(Placeholder { id, field }) = expr
                    && let Some(at) = position(id)
                {
                    let inferred = field.as_ref().and_then(|f| SqlType::of_arrow(f.data_type()));
                    let known = types.entry(at).or_insert(inferred);
                    *known = known.or(inferred);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

/// The position of `$1` is 0.
fn position(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

/// By position from 0; the first word counts.
struct Stated(BTreeMap<usize, SqlType>);

impl Stated {
    fn note(&mut self, expr: &Expr, sql_type: SqlType) {
        if let Some(at) = parameter(expr) {
            self.0.entry(at).or_insert(sql_type);
        }
    }

    fn arguments(&mut self, function: &Function) {
        let FunctionArguments::List(list) = &function.args else { return };
        let Some(name) = function.name.0.last().and_then(|part| part.as_ident()) else { return };
        let name = fold_ident(name);
        let Some((_, types)) = ARGUMENTS.iter().find(|(known, _)| *known == name) else { return };
        for (argument, sql_type) in list.args.iter().zip(*types) {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                self.note(expr, *sql_type);
            }
        }
    }

    fn targets(&mut self, query: &Query, targets: &[SqlType]) {
        match query.body.as_ref() {
            SetExpr::Values(values) => {
                for row in &values.rows {
                    row.iter().zip(targets).for_each(|(expr, target)| self.note(expr, *target));
                }
            }
            SetExpr::Select(select) => {
                for (item, target) in select.projection.iter().zip(targets) {
                    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } =
                        item
                    {
                        self.note(expr, *target);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Visitor for Stated {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            limit.iter().for_each(|limit| self.note(limit, SqlType::BigInt));
            offset.iter().for_each(|offset| self.note(&offset.value, SqlType::BigInt));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { expr, data_type, .. } => {
                if let Ok(sql_type) = parse::sql_type(data_type) {
                    self.note(expr, sql_type);
                }
            }
            Expr::Function(function) => self.arguments(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Functions of the system whose arguments are of any type here, and of one type in PostgreSQL:
/// that of each argument.
const ARGUMENTS: &[(&str, &[SqlType])] = &[
    ("col_description", &[SqlType::Oid, SqlType::Integer]),
    ("current_setting", &[SqlType::Text, SqlType::Boolean]),
    ("format_type", &[SqlType::Oid, SqlType::Integer]),
    ("obj_description", &[SqlType::Oid, SqlType::Name]),
    ("pg_cancel_backend", &[SqlType::Integer]),
    ("pg_get_constraintdef", &[SqlType::Oid, SqlType::Boolean]),
    ("pg_get_expr", &[SqlType::Text, SqlType::Oid, SqlType::Boolean]),
    ("pg_get_indexdef", &[SqlType::Oid, SqlType::Integer, SqlType::Boolean]),
    ("pg_get_userbyid", &[SqlType::Oid]),
    ("pg_table_is_visible", &[SqlType::Oid]),
    ("pg_terminate_backend", &[SqlType::Integer, SqlType::BigInt]),
    ("pg_type_is_visible", &[SqlType::Oid]),
    ("set_config", &[SqlType::Text, SqlType::Text, SqlType::Boolean]),
    ("shobj_description", &[SqlType::Oid, SqlType::Name]),
];

fn parameter(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Nested(inner) => parameter(inner),
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => position(name),
            _ => None,
        },
        _ => None,
    }
}
