//! Rows as JSON: `row_to_json(t)`, `json_agg(t.*)`, `to_jsonb(ROW(1, 'a'))`.
//!
//! | SQL | read as |
//! |---|---|
//! | `row_to_json(ROW(1, 'a'))`, `row_to_json((1, 'a'))` | `row_to_json(kestrel_row('f1', 1, 'f2', 'a'))` |
//! | `ROW(a, b)` | `(a, b)` |
//! | `json_agg(t.*)` | `json_agg(kestrel_row(t.*))` |
//! | `json_agg(t)` | `json_agg(kestrel_row_or_column(t.*))`: a column t comes first |
//!
//! When the relations' columns are known, a second step puts `'a', t.a, 'b', t.b` in the place of
//! `t.*`. Where an outer join may have no row of `t`, a row of NULLs alone is NULL.

use std::ops::ControlFlow;

use datafusion::{
    common::{
        DFSchema, JoinType, Result as DataFusionResult, ScalarValue, TableReference,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr as BoundExpr, LogicalPlan, expr_rewriter::NamePreserver, utils::merge_schema,
    },
    sql::sqlparser::ast::{
        Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Query, Select,
        TableFactor, TableWithJoins, Value, VisitorMut,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::set_returning::function_name;
use crate::{
    error::to_datafusion,
    functions::{row_call, sql_call},
    operators::Address,
    parse::{Walk, fold_ident},
};

/// The functions that make JSON of their arguments, rows among them.
const FUNCTIONS: &[&str] = &[
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "kestrel_row",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// Writes all rows in one way, and marks those in the calls of such functions. Whether there are
/// rows of relations, whose columns [`with_columns`] must name.
pub(super) fn marked_rows(query: &mut Query) -> bool {
    let mut rows = Rows { scopes: Vec::new(), has_relations: false };
    let _ = query.walk_mut(&mut rows);
    rows.has_relations
}

struct Rows {
    /// The relations that FROM names, by SELECT: what they are called there, and in full.
    scopes: Vec<Vec<(String, ObjectName)>>,
    has_relations: bool,
}

impl VisitorMut for Rows {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut scope = Vec::new();
        for from in &select.from {
            for_each_relation(from, &mut |factor, name, path| {
                if has_rows(factor) {
                    scope.push((name, path));
                }
            });
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Function(_))
            && let Some(values) = fields(expr)
            && values.len() > 1
        {
            *expr = Expr::Tuple(values);
        }
        if let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr
            && let Some(name) = function_name(name)
            && FUNCTIONS.contains(&name.as_str())
        {
            let is_marked = |argument: &FunctionArg| {
                matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(_)))
            };
            if name != "kestrel_row" || !list.args.iter().any(is_marked) {
                list.args.iter_mut().for_each(|argument| self.mark(argument));
            }
        }
        ControlFlow::Continue(())
    }
}

impl Rows {
    fn mark(&mut self, argument: &mut FunctionArg) {
        let FunctionArg::Unnamed(argument) = argument else { return };
        let row = match argument {
            FunctionArgExpr::QualifiedWildcard(name) => {
                let relation = match name.0.as_slice() {
                    [part] => part.as_ident().and_then(|ident| self.relation(&fold_ident(ident))),
                    _ => None,
                };
                self.of_relation("kestrel_row", relation.unwrap_or_else(|| name.clone()))
            }
            FunctionArgExpr::Expr(Expr::Identifier(ident)) => {
                match self.relation(&fold_ident(ident)) {
                    Some(relation) => self.of_relation("kestrel_row_or_column", relation),
                    None => return,
                }
            }
            FunctionArgExpr::Expr(expr) => match fields(expr) {
                Some(fields) => of_values(fields),
                None => return,
            },
            FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_) => return,
        };
        *argument = FunctionArgExpr::Expr(row);
    }

    fn relation(&self, name: &str) -> Option<ObjectName> {
        let scope = self.scopes.last()?;
        scope.iter().find(|(known, _)| known == name).map(|(_, relation)| relation.clone())
    }

    fn of_relation(&mut self, function: &str, relation: ObjectName) -> Expr {
        self.has_relations = true;
        let mut row = sql_call(function, vec![]);
        if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut row {
            list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(relation))];
        }
        row
    }
}

/// Shows the relations that FROM names: what each is called there, and in full.
pub(super) fn for_each_relation(
    from: &TableWithJoins,
    visit: &mut dyn FnMut(&TableFactor, String, ObjectName),
) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                for_each_relation(table_with_joins, visit);
            }
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. } => {
                let path = ObjectName::from(vec![alias.name.clone()]);
                visit(factor, fold_ident(&alias.name), path);
            }
            TableFactor::Table { name, alias: None, .. }
            | TableFactor::Function { name, alias: None, .. } => {
                if let Some(last) = name.0.last().and_then(|part| part.as_ident()) {
                    visit(factor, fold_ident(last), name.clone());
                }
            }
            _ => {}
        }
    }
}

/// Whether what FROM names here is a relation, and no function whose values are no rows.
fn has_rows(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { name, args: Some(_), with_ordinality: false, .. }
        | TableFactor::Function { name, with_ordinality: false, .. } => is_of_rows(name),
        _ => true,
    }
}

/// Whether a function in FROM gives rows; what others give is a value, not a row of one column.
fn is_of_rows(name: &ObjectName) -> bool {
    let name = name.0.last().and_then(|part| part.as_ident()).map(fold_ident);
    name.is_some_and(|name| {
        name.starts_with("json") && (name.contains("_each") || name.contains("_to_record"))
            || ["aclexplode", "pg_partition_tree"].contains(&name.as_str())
    })
}

/// The values of `(a, b)` and `ROW(a, b)`.
fn fields(expr: &Expr) -> Option<Vec<Expr>> {
    let (name, args) = match expr {
        Expr::Tuple(values) => return Some(values.clone()),
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => {
            (name, &list.args)
        }
        _ => return None,
    };
    let is_row = matches!(name.0.as_slice(), [part]
        if part.as_ident().is_some_and(|i| i.quote_style.is_none() && fold_ident(i) == "row"));
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
        _ => None,
    };
    if is_row { args.iter().map(value).collect() } else { None }
}

fn of_values(values: Vec<Expr>) -> Expr {
    let named = values.into_iter().zip(1..).flat_map(|(value, number)| {
        let name = Value::SingleQuotedString(format!("f{number}"));
        [Expr::Value(name.into()), value]
    });
    sql_call("kestrel_row", named.collect())
}

/// Puts the columns of relations in the place of their marks.
///
/// Errors: 42803 for a row after GROUP BY.
pub(super) fn with_columns(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let preserver = NamePreserver::new(&node);
        let source = node.clone();
        node.map_expressions(|expr| {
            let name = preserver.save(&expr);
            let expr = expr.transform_up(|expr| match marked(&expr) {
                Some((relation, or_column)) => {
                    let row = row(&source, &schema, &relation, or_column)?;
                    Ok(Transformed::yes(row))
                }
                None => Ok(Transformed::no(expr)),
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(plan.data)
}

/// The relation whose row this is, and whether a column of its name comes first.
fn marked(expr: &BoundExpr) -> Option<(TableReference, bool)> {
    let BoundExpr::ScalarFunction(call) = expr else { return None };
    #[expect(deprecated, reason = "the planner still gives it for t.* in a call")]
    let [BoundExpr::Wildcard { qualifier: Some(relation), .. }] = call.args.as_slice() else {
        return None;
    };
    match call.func.name() {
        "kestrel_row" => Some((relation.clone(), false)),
        "kestrel_row_or_column" => Some((relation.clone(), true)),
        _ => None,
    }
}

fn row(
    node: &LogicalPlan,
    schema: &DFSchema,
    relation: &TableReference,
    or_column: bool,
) -> DataFusionResult<BoundExpr> {
    let name = relation.table();
    if or_column && let Some(column) = schema.iter().find(|(_, field)| field.name() == name) {
        return Ok(BoundExpr::from(column));
    }
    if is_grouped(node) {
        let message = format!(
            "column \"{name}.*\" must appear in the GROUP BY clause or be used in an aggregate \
             function"
        );
        return Err(to_datafusion(ErrorReport::new(SqlState::GROUPING_ERROR, message)));
    }
    let columns = schema.iter().filter(|(qualifier, field)| {
        *qualifier == Some(relation) && !Address::is_named(field.name())
    });
    let named = columns.flat_map(|(qualifier, field)| {
        let name = ScalarValue::Utf8View(Some(field.name().clone()));
        [BoundExpr::Literal(name, None), BoundExpr::from((qualifier, field))]
    });
    let may_be_missing = node.inputs().into_iter().any(|input| is_nullable(input, relation));
    let function = if may_be_missing { "kestrel_row_or_null" } else { "kestrel_row" };
    row_call(function, named.collect())
        .ok_or_else(|| to_datafusion(ErrorReport::internal("there is no function for rows")))
}

/// Whether the node's rows are groups of its SELECT.
fn is_grouped(node: &LogicalPlan) -> bool {
    node.inputs().into_iter().any(|input| match input {
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Unnest(_) => is_grouped(input),
        _ => false,
    })
}

/// Whether an outer join may have rows without one of the relation.
fn is_nullable(plan: &LogicalPlan, relation: &TableReference) -> bool {
    let has =
        |plan: &LogicalPlan| plan.schema().iter().any(|(qualifier, _)| qualifier == Some(relation));
    match plan {
        LogicalPlan::SubqueryAlias(_) => false,
        LogicalPlan::Join(join) => {
            let (left, right) = (has(&join.left), has(&join.right));
            match join.join_type {
                JoinType::Left if right => true,
                JoinType::Right if left => true,
                JoinType::Full if left || right => true,
                _ => is_nullable(&join.left, relation) || is_nullable(&join.right, relation),
            }
        }
        other => other.inputs().into_iter().any(|input| is_nullable(input, relation)),
    }
}
