//! Set-returning functions, in FROM and in the SELECT list.
//!
//! A set-returning function is here a function that gives all its rows as an array, and `unnest`
//! over it:
//!
//! | SQL | read as |
//! |---|---|
//! | `FROM generate_series(1, 3) AS g(x)` | `FROM (SELECT unnest(generate_series(1, 3)) AS x) AS g` |
//! | `… WITH ORDINALITY` | `…, unnest(kestrel_ordinals(generate_series(1, 3))) AS ordinality` |
//! | `FROM t, unnest(t.a) AS u(x)` | `FROM t, LATERAL (SELECT unnest(t.a) AS x) AS u` |
//! | `FROM jsonb_each(j)` | `FROM (SELECT unnest(jsonb_object_keys(j)) AS key, …)` |
//! | `FROM json_to_recordset(j) AS x(a int)` | see `json_records.rs` |
//! | `SELECT (aclexplode(acl)).grantee` | `SELECT unnest(kestrel_acl_grantees(acl))` |
//! | `SELECT generate_series(1, 3)` | `SELECT unnest(generate_series(1, 3))` |
//!
//! A long series of constant integers is a table of its own, whose rows are made as they are read.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, ObjectName, Query, SelectItem, TableAlias, TableFactor,
    TableFunctionArgs, TableWithJoins, UnaryOperator, Value, Visitor, VisitorMut,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{json_records, long_series::LONG_SERIES};
use crate::{
    functions::sql_call,
    parse::{Walk, fold_ident, select_query},
};

/// A column of a function's rows.
struct Column {
    /// `None`: named after the function, or its alias.
    name: Option<&'static str>,
    /// The function that gives the column's values as an array.
    values: &'static str,
    /// What the values are, where their array does not tell.
    data_type: Option<DataType>,
}

const fn column(values: &'static str) -> Column {
    Column { name: None, values, data_type: None }
}

const fn named(name: &'static str, values: &'static str) -> Column {
    Column { name: Some(name), values, data_type: None }
}

const fn cast_to(name: &'static str, values: &'static str, data_type: DataType) -> Column {
    Column { name: Some(name), values, data_type: Some(data_type) }
}

/// The set-returning functions and their columns. `unnest` is not among them: its arguments are
/// arrays already.
const FUNCTIONS: &[(&str, &[Column])] = &[
    (
        "aclexplode",
        &[
            named("grantor", "kestrel_acl_grantors"),
            named("grantee", "kestrel_acl_grantees"),
            named("privilege_type", "kestrel_acl_privileges"),
            cast_to("is_grantable", "kestrel_acl_grantable", DataType::Boolean),
        ],
    ),
    ("generate_series", &[column("generate_series")]),
    ("generate_subscripts", &[column("generate_subscripts")]),
    ("json_array_elements", &[cast_to("value", "json_array_elements", DataType::JSON)]),
    ("json_array_elements_text", &[named("value", "json_array_elements_text")]),
    (
        "json_each",
        &[
            named("key", "json_object_keys"),
            cast_to("value", "kestrel_json_values", DataType::JSON),
        ],
    ),
    (
        "json_each_text",
        &[named("key", "json_object_keys"), named("value", "kestrel_json_value_texts")],
    ),
    ("json_object_keys", &[column("json_object_keys")]),
    ("jsonb_array_elements", &[cast_to("value", "jsonb_array_elements", DataType::JSONB)]),
    ("jsonb_array_elements_text", &[named("value", "jsonb_array_elements_text")]),
    (
        "jsonb_each",
        &[
            named("key", "jsonb_object_keys"),
            cast_to("value", "kestrel_jsonb_values", DataType::JSONB),
        ],
    ),
    (
        "jsonb_each_text",
        &[named("key", "jsonb_object_keys"), named("value", "kestrel_jsonb_value_texts")],
    ),
    ("jsonb_object_keys", &[column("jsonb_object_keys")]),
    ("pg_partition_ancestors", &[named("relid", "kestrel_partition_ancestors")]),
    (
        "pg_partition_tree",
        &[
            named("relid", "kestrel_partition_names"),
            named("parentrelid", "kestrel_partition_parents"),
            cast_to("isleaf", "kestrel_partition_leaves", DataType::Boolean),
            cast_to("level", "kestrel_partition_levels", DataType::Integer(None)),
        ],
    ),
    ("regexp_matches", &[column("regexp_matches")]),
    ("regexp_split_to_table", &[column("regexp_split_to_array")]),
    ("string_to_table", &[column("string_to_array")]),
];

/// Shorter series are arrays.
const LONG: i128 = 100_000;

/// Rewrites all calls of set-returning functions in a query.
///
/// Errors: 42P10 for more column aliases than columns.
pub(super) fn set_returning_functions(query: &mut Query) -> Result<()> {
    let mut functions = Functions { result: Ok(()) };
    // It breaks off at an error.
    let _ = query.walk_mut(&mut functions);
    functions.result
}

struct Functions {
    result: Result<()>,
}

impl VisitorMut for Functions {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match rows_of(factor) {
            Ok(Some(rows)) => *factor = rows,
            Ok(None) => {}
            Err(error) => {
                self.result = Err(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let rows = match expr {
            Expr::Function(function) => in_expression(function),
            Expr::CompoundFieldAccess { root, access_chain } => field_of(root, access_chain),
            _ => None,
        };
        if let Some(rows) = rows {
            *expr = rows;
        }
        ControlFlow::Continue(())
    }
}

/// A call in the SELECT list: one column of rows.
fn in_expression(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let (_, columns) = known(&function_name(&function.name)?)?;
    let [column] = columns else { return None };
    if function.over.is_some() || function.filter.is_some() {
        return None;
    }
    Some(unnested(column, unnamed(&list.args)?))
}

/// `(aclexplode(acl)).grantee`: one of the columns.
fn field_of(root: &Expr, access_chain: &[AccessExpr]) -> Option<Expr> {
    let Expr::Nested(root) = root else { return None };
    let (Expr::Function(function), [AccessExpr::Dot(Expr::Identifier(field))]) =
        (root.as_ref(), access_chain)
    else {
        return None;
    };
    let FunctionArguments::List(list) = &function.args else { return None };
    let (_, columns) = known(&function_name(&function.name)?)?;
    let field = fold_ident(field);
    let column = columns.iter().find(|column| column.name == Some(field.as_str()))?;
    Some(unnested(column, unnamed(&list.args)?))
}

fn unnamed(arguments: &[FunctionArg]) -> Option<Vec<Expr>> {
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    arguments.iter().map(argument).collect()
}

/// Is this the name of a function that gives rows?
pub fn gives_rows(function: &str) -> bool {
    function == "unnest" || known(function).is_some()
}

fn known(name: &str) -> Option<&'static (&'static str, &'static [Column])> {
    FUNCTIONS.iter().find(|(known, _)| *known == name)
}

/// The name without `pg_catalog`.
pub(super) fn function_name(name: &ObjectName) -> Option<String> {
    let parts = name.0.iter().map(|part| part.as_ident().map(fold_ident));
    match parts.collect::<Option<Vec<_>>>()?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == "pg_catalog" => Some(name.clone()),
        _ => None,
    }
}

fn unnested(column: &Column, arguments: Vec<Expr>) -> Expr {
    let rows = sql_call("unnest", vec![sql_call(column.values, arguments)]);
    match &column.data_type {
        None => rows,
        Some(data_type) => Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(rows),
            data_type: data_type.clone(),
            array: false,
            format: None,
        },
    }
}

/// A call in FROM.
struct Call<'a> {
    name: String,
    arguments: Vec<Expr>,
    alias: Option<&'a TableAlias>,
    with_ordinality: bool,
    is_lateral: bool,
}

/// The table factor as a subquery; `None`: it is no call.
fn rows_of(factor: &TableFactor) -> Result<Option<TableFactor>> {
    let Some(call) = call_of(factor) else { return Ok(None) };
    if let Some(series) = series_of(&call)? {
        return Ok(Some(series));
    }
    let records =
        json_records::columns(&call.name, &call.arguments, call.alias, call.with_ordinality)?;
    if let Some(columns) = records {
        return derived(&call, columns, vec![]).map(Some);
    }
    let default = call.alias.map_or(call.name.clone(), |alias| fold_ident(&alias.name));
    let mut columns: Vec<(String, Expr)> = Vec::new();
    let mut list = None;
    if call.name == "unnest" {
        let is_only = call.arguments.len() == 1;
        list = call.arguments.first().cloned();
        columns.extend(call.arguments.iter().map(|array| {
            let name = if is_only { default.clone() } else { "unnest".to_string() };
            (name, sql_call("unnest", vec![array.clone()]))
        }));
    } else if let Some((_, known)) = known(&call.name) {
        list = known.first().map(|first| sql_call(first.values, call.arguments.clone()));
        columns.extend(known.iter().map(|column| {
            let name = column.name.map_or(default.clone(), str::to_string);
            (name, unnested(column, call.arguments.clone()))
        }));
    } else {
        // A function that is not set-returning gives one row.
        columns.push((default, sql_call(&call.name, call.arguments.clone())));
    }
    if call.with_ordinality {
        let ordinality = match list {
            Some(list) => sql_call("unnest", vec![sql_call("kestrel_ordinals", vec![list])]),
            None => cast(Expr::Value(Value::Number("1".into(), false).into()), true),
        };
        columns.push(("ordinality".into(), ordinality));
    }
    derived(&call, columns, vec![]).map(Some)
}

fn call_of(factor: &TableFactor) -> Option<Call<'_>> {
    let (name, arguments, alias, with_ordinality) = match factor {
        TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
            (function_name(name)?, unnamed(&args.args)?, alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            (function_name(name)?, unnamed(args)?, alias, *with_ordinality)
        }
        TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => {
            ("unnest".to_string(), array_exprs.clone(), alias, *with_ordinality)
        }
        _ => return None,
    };
    if name == LONG_SERIES {
        return None;
    }
    let is_lateral = arguments.iter().any(names_a_column);
    Some(Call { name, arguments, alias: alias.as_ref(), with_ordinality, is_lateral })
}

/// Whether something before it in FROM could be meant.
fn names_a_column(expr: &Expr) -> bool {
    struct Names;
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.walk(&mut Names).is_break()
}

/// `(SELECT columns FROM from) AS alias`, the columns with the names of the alias's list.
fn derived(
    call: &Call<'_>,
    columns: Vec<(String, Expr)>,
    from: Vec<TableWithJoins>,
) -> Result<TableFactor> {
    let name = call.alias.map_or(Ident::with_quote('"', &call.name), |alias| alias.name.clone());
    let given = call.alias.map_or(&[][..], |alias| alias.columns.as_slice());
    if given.len() > columns.len() {
        let message = format!(
            "table \"{}\" has {} columns available but {} columns specified",
            fold_ident(&name),
            columns.len(),
            given.len()
        );
        return Err(ErrorReport::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    let projection = columns.into_iter().enumerate().map(|(at, (default, expr))| {
        let alias = given.get(at).map(|column| column.name.clone());
        let alias = alias.unwrap_or_else(|| Ident::with_quote('"', default));
        SelectItem::ExprWithAlias { expr, alias }
    });
    let subquery = Box::new(select_query(projection.collect(), from));
    let alias = TableAlias { explicit: true, name, columns: vec![], at: None };
    Ok(TableFactor::Derived {
        lateral: call.is_lateral,
        subquery,
        alias: Some(alias),
        sample: None,
    })
}

fn cast(expr: Expr, is_big: bool) -> Expr {
    let data_type = if is_big { DataType::BigInt(None) } else { DataType::Int(None) };
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// A long series of constant integers.
fn series_of(call: &Call<'_>) -> Result<Option<TableFactor>> {
    if call.name != "generate_series" || call.with_ordinality {
        return Ok(None);
    }
    let numbers = call.arguments.iter().map(constant).collect::<Option<Vec<_>>>();
    let (start, stop, step) = match numbers.as_deref() {
        Some([start, stop]) => (*start, *stop, 1),
        Some([start, stop, step]) if *step != 0 => (*start, *stop, *step),
        _ => return Ok(None),
    };
    if (i128::from(stop) - i128::from(start)) / i128::from(step) < LONG {
        return Ok(None);
    }
    let is_big = [start, stop, step].iter().any(|number| i32::try_from(*number).is_err());
    // As texts: the numbers of a table function's arguments would be read as other types.
    let argument = |number: i64| {
        let text = Value::SingleQuotedString(number.to_string());
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(text.into())))
    };
    let args = [start, stop, step].map(argument).into();
    let table = TableFactor::Table {
        name: ObjectName::from(vec![Ident::new(LONG_SERIES)]),
        alias: None,
        args: Some(TableFunctionArgs { args, settings: None }),
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    };
    let name = call.alias.map_or(call.name.clone(), |alias| fold_ident(&alias.name));
    let value = cast(Expr::Identifier(Ident::new("value")), is_big);
    let from = vec![TableWithJoins { relation: table, joins: vec![] }];
    derived(call, vec![(name, value)], from).map(Some)
}

fn constant(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => digits.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => constant(expr)?.checked_neg(),
        Expr::Nested(inner) => constant(inner),
        _ => None,
    }
}
