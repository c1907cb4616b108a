//! Calls of the functions that are computed row by row: which overload is meant, and its arguments in
//! the types that it takes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    logical_expr::{
        Expr, ExprSchemable,
        expr::{InList, Placeholder, ScalarFunction},
    },
};

use super::{finish::finish_in_list, special::typed_field};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        array::OF_VECTORS,
        cast::cast_to,
        literal::is_untyped_text,
        row::{self, Argument, Function, Type, no_function, resolve},
        sql_name,
    },
};

/// Functions that must know the SQL types of their arguments; what they become is given a type's
/// name with each.
const TYPED: &[(&str, &str)] = &[
    ("to_json", "kestrel_to_json"),
    ("to_jsonb", "kestrel_to_jsonb"),
    ("json_build_array", "kestrel_json_build_array"),
    ("jsonb_build_array", "kestrel_jsonb_build_array"),
    ("json_build_object", "kestrel_json_build_object"),
    ("jsonb_build_object", "kestrel_jsonb_build_object"),
    ("array_to_json", "kestrel_array_to_json"),
    ("kestrel_row", "kestrel_json_row"),
    ("kestrel_row_or_null", "kestrel_json_row_or_null"),
];

/// Elements of a constant array that `x = ANY (array)` compares one by one as `x IN (…)` does.
const MAX_MEMBERS: usize = 1000;

/// `name(arguments)`, before its types are known.
pub(crate) fn row_call(name: &str, arguments: Vec<Expr>) -> Option<Expr> {
    row::named(name).map(|function| called(function, arguments))
}

fn called(function: &'static Function, arguments: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(row::udf(function), arguments))
}

/// The call with its types, or 42883.
pub(super) fn typed(
    function: &'static Function,
    call: ScalarFunction,
    schema: &DFSchema,
) -> Result<Expr> {
    let function = of_vector(function, &call, schema)?;
    if let Some((_, becomes)) = TYPED.iter().find(|(name, _)| *name == function.name)
        && let Some(becomes) = row::named(becomes)
        && (function.name != "array_to_json" || is_of_array(&call, schema))
    {
        return Ok(called(becomes, with_type_names(call.args, schema)?));
    }
    if function.name.ends_with("_element")
        && function.name.starts_with("kestrel_json")
        && call.args.len() == 1
    {
        return Ok(called(function, with_type_names(call.args, schema)?));
    }
    if let ("pg_typeof", [of]) = (function.name, call.args.as_slice()) {
        return type_of(of, schema);
    }
    let arguments = call.args.iter().map(|a| argument(a, schema)).collect::<Result<Vec<_>>>()?;
    let Some(resolved) = resolve(function.overloads, &arguments) else {
        return Err(to_datafusion(no_function(function.name, &arguments)));
    };
    let wanted = resolved.overload.arguments;
    let mut typed = Vec::with_capacity(call.args.len());
    for (at, (expr, to)) in call.args.into_iter().zip(&resolved.arguments).enumerate() {
        let wanted = wanted.get(at).or(wanted.last()).copied().unwrap_or(Type::Any);
        typed.push(converted(expr, &arguments[at], wanted, to)?);
    }
    if let Some(list) = in_list(function.name, &typed) {
        return finish_in_list(list, schema);
    }
    Ok(called(function, typed))
}

/// The function that a function of arrays becomes for a vector, whose subscripts begin with 0.
fn of_vector(
    function: &'static Function,
    call: &ScalarFunction,
    schema: &DFSchema,
) -> Result<&'static Function> {
    let becomes = OF_VECTORS.iter().find(|(name, _)| *name == function.name);
    let (Some((_, becomes)), Some(array)) = (becomes, call.args.first()) else {
        return Ok(function);
    };
    let sql_type = SqlType::of_field(array.to_field(schema)?.1.as_ref());
    Ok(match sql_type.is_some_and(SqlType::is_vector) {
        true => row::named(becomes).unwrap_or(function),
        false => function,
    })
}

/// Of others it is refused.
fn is_of_array(call: &ScalarFunction, schema: &DFSchema) -> bool {
    let first = call.args.first().and_then(|first| first.get_type(schema).ok());
    matches!(first, Some(DataType::List(_))) && call.args.len() <= 2
}

/// Is this a row, as JSON?
fn is_row(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => call.func.name().starts_with("kestrel_json_row"),
        _ => false,
    }
}

/// `pg_typeof(x)`: the name of the type, as a text.
fn type_of(of: &Expr, schema: &DFSchema) -> Result<Expr> {
    let field = of.to_field(schema)?.1;
    let name = match SqlType::of_field(&field) {
        _ if is_untyped_text(of) => "unknown".to_string(),
        Some(sql_type) if *field.data_type() != DataType::Null => sql_type.to_string(),
        _ => "unknown".to_string(),
    };
    // Without the length, precision and scale.
    let bare = match (name.split_once('('), name.split_once(')')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => name,
    };
    Ok(Expr::Literal(ScalarValue::Utf8View(Some(bare)), None))
}

/// What is known of an argument.
fn argument(expr: &Expr, schema: &DFSchema) -> Result<Argument> {
    let field = typed_field(expr, schema)?;
    let data_type = field.data_type().clone();
    let is_untyped = is_untyped_text(expr) || data_type == DataType::Null;
    let json = SqlType::of_field(&field).filter(|t| matches!(t, SqlType::Json | SqlType::Jsonb));
    Ok(Argument { data_type, is_untyped, json })
}

fn converted(expr: Expr, own: &Argument, wanted: Type, to: &DataType) -> Result<Expr> {
    let json = match wanted {
        Type::Json => Some(SqlType::Json),
        Type::Jsonb => Some(SqlType::Jsonb),
        _ => None,
    };
    if own.data_type == DataType::Null {
        return Ok(match (&expr, wanted) {
            (_, Type::Any | Type::Output) => expr,
            (Expr::Placeholder(Placeholder { id, field: None }), _) => {
                let field = Arc::new(Field::new("", to.clone(), true));
                Expr::Placeholder(Placeholder::new_with_field(id.clone(), Some(field)))
            }
            (Expr::Literal(ScalarValue::Null, _), _) => Expr::Literal(row::null(to)?, None),
            _ => expr,
        });
    }
    if let Some(json) = json.filter(|json| own.json != Some(*json)) {
        return cast_to(expr, &own.data_type, json).map_err(to_datafusion);
    }
    if own.data_type == *to {
        return Ok(expr);
    }
    match SqlType::of_arrow(to) {
        Some(target) => cast_to(expr, &own.data_type, target).map_err(to_datafusion),
        None => Ok(expr),
    }
}

/// Each argument, and the name of its type.
fn with_type_names(arguments: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let mut named = Vec::with_capacity(arguments.len() * 2);
    for expr in arguments {
        let known = argument(&expr, schema)?;
        let name = match known.json {
            Some(_) if is_row(&expr) => "record".to_string(),
            Some(json) => json.to_string(),
            None => sql_name(&known.data_type),
        };
        named.push(expr);
        named.push(Expr::Literal(ScalarValue::Utf8View(Some(name)), None));
    }
    Ok(named)
}

/// `x = ANY (ARRAY[…])` as `x IN (…)`, and `x <> ALL (ARRAY[…])` as `x NOT IN (…)`, which scans
/// can use.
fn in_list(name: &str, arguments: &[Expr]) -> Option<InList> {
    let [value, array, Expr::Literal(op, _)] = arguments else { return None };
    let negated = match (name, op.try_as_str().flatten()?) {
        ("kestrel_any", "=") => false,
        ("kestrel_all", "<>") => true,
        _ => return None,
    };
    let members = match array {
        Expr::ScalarFunction(call) if call.func.name() == "make_array" => call.args.clone(),
        Expr::Literal(ScalarValue::List(list), _) => {
            let values = list.values();
            let one = arrow::array::Array::len(list.as_ref()) == 1
                && !arrow::array::Array::is_null(list.as_ref(), 0);
            let count = arrow::array::Array::len(values);
            if !one || count > MAX_MEMBERS {
                return None;
            }
            let member =
                |at| Some(Expr::Literal(ScalarValue::try_from_array(values, at).ok()?, None));
            (0..count).map(member).collect::<Option<Vec<_>>>()?
        }
        _ => return None,
    };
    (!members.is_empty()).then(|| InList::new(Box::new(value.clone()), members, negated))
}
