//! `json_to_recordset(j) AS x(a int, b text)`: rows whose columns only the alias tells.
//!
//! | SQL | read as |
//! |---|---|
//! | `FROM json_to_record(j) AS x(a int, b text[])` | `FROM (SELECT unnest(kestrel_json_fields(j, 'a', 'text', …))::int AS a, …) AS x` |

use datafusion::sql::sqlparser::ast::{CastKind, DataType, Expr, TableAlias, Value};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::SqlType,
    functions::sql_call,
    parse::{fold_ident, sql_type},
};

const FUNCTIONS: &[&str] =
    &["json_to_record", "json_to_recordset", "jsonb_to_record", "jsonb_to_recordset"];

/// The columns of a call in FROM; `None`: it is another function.
///
/// Errors: 42601 without a list of columns, or with WITH ORDINALITY.
pub(super) fn columns(
    name: &str,
    arguments: &[Expr],
    alias: Option<&TableAlias>,
    with_ordinality: bool,
) -> Result<Option<Vec<(String, Expr)>>> {
    let ([json], true) = (arguments, FUNCTIONS.contains(&name)) else { return Ok(None) };
    let given = alias.map_or(&[][..], |alias| alias.columns.as_slice());
    let mut columns = Vec::with_capacity(given.len());
    for column in given {
        let Some(data_type) = &column.data_type else { return Err(no_columns()) };
        let field = fold_ident(&column.name);
        let value = value(name, json, &field, data_type);
        columns.push((field, value));
    }
    if columns.is_empty() {
        return Err(no_columns());
    }
    if with_ordinality {
        let message = "WITH ORDINALITY cannot be used with a column definition list";
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message)
            .hint("Put the column definition list inside ROWS FROM()."));
    }
    Ok(Some(columns))
}

fn no_columns() -> ErrorReport {
    let message = "a column definition list is required for functions returning \"record\"";
    ErrorReport::new(SqlState::SYNTAX_ERROR, message)
}

fn value(function: &str, json: &Expr, field: &str, data_type: &DataType) -> Expr {
    let form = match sql_type(data_type) {
        Ok(SqlType::Json | SqlType::Jsonb) => "json",
        Ok(SqlType::Array(_)) => "array",
        _ => "text",
    };
    let text = |text: &str| Expr::Value(Value::SingleQuotedString(text.into()).into());
    // What is not typed is JSON.
    let json = match json {
        Expr::Value(_) => cast(json.clone(), &json_type(function)),
        json => json.clone(),
    };
    let fields = vec![json, text(field), text(form), text(function)];
    cast(sql_call("unnest", vec![sql_call("kestrel_json_fields", fields)]), data_type)
}

fn json_type(function: &str) -> DataType {
    if function.starts_with("jsonb") { DataType::JSONB } else { DataType::JSON }
}

fn cast(expr: Expr, data_type: &DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: data_type.clone(),
        array: false,
        format: None,
    }
}
