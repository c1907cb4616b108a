//! Errors as the engine makes them, and what the client must see.

use std::sync::Arc;

use ::arrow::error::ArrowError;
use datafusion::{
    common::{Column, SchemaError, TableReference},
    sql::sqlparser::parser::ParserError,
};

use super::*;

fn check(error: DataFusionError, sqlstate: &str, message: &str) {
    let shown = format!("{error:?}");
    let report = report(error);
    assert_eq!(report.sqlstate.as_str(), sqlstate, "{shown}");
    assert_eq!(report.message, message, "{shown}");
}

fn plan(message: &str) -> DataFusionError {
    DataFusionError::Plan(message.into())
}

#[test]
fn a_report_is_found_however_deep() {
    let own = || to_datafusion(ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
    let wraps: Vec<fn(DataFusionError) -> DataFusionError> = vec![
        |e| e,
        |e| e.context("while optimizing"),
        |e| DataFusionError::Shared(Arc::new(e)),
        |e| DataFusionError::Collection(vec![e]),
        |e| DataFusionError::External(Box::new(e)),
        |e| DataFusionError::External(Box::new(Arc::new(e))),
        |e| DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(e))), None),
        |e| DataFusionError::from(ArrowError::from(e)),
        |e| DataFusionError::IoError(std::io::Error::other(e)),
    ];
    for outer in &wraps {
        for inner in &wraps {
            check(outer(inner(own())), "22012", "division by zero");
        }
    }
}

#[test]
fn arrow_errors() {
    let cases: Vec<(ArrowError, &str, &str)> = vec![
        (ArrowError::DivideByZero, "22012", "division by zero"),
        (ArrowError::ArithmeticOverflow("1 + 2".into()), "22003", "value out of range"),
        (
            ArrowError::CastError("Cannot cast string 'abc' to value of Int32 type".into()),
            "22P02",
            "invalid input syntax for type integer: \"abc\"",
        ),
        (
            ArrowError::CastError("Cannot cast string 'x' to value of Date32 type".into()),
            "22007",
            "invalid input syntax for type date: \"x\"",
        ),
        (
            ArrowError::InvalidArgumentError(
                "123 is too large to store in a Decimal128 of precision 2. Max is 99".into(),
            ),
            "22003",
            "numeric field overflow",
        ),
    ];
    for (error, sqlstate, message) in cases {
        check(error.into(), sqlstate, message);
    }
}

#[test]
fn planner_messages() {
    let cases = [
        ("table 'kestrel.public.nope' not found", "42P01", "relation \"nope\" does not exist"),
        ("Invalid function 'summ'.\nDid you mean 'sum'?", "42883", "function summ does not exist"),
        (
            "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"t.b\" must appear in the GROUP BY clause or must be part of an aggregate function, currently only \"t.a\" appears in the SELECT clause satisfies this requirement",
            "42803",
            "column \"t.b\" must appear in the GROUP BY clause or be used in an aggregate function",
        ),
        (
            "Cannot coerce arithmetic expression Utf8View + Decimal128(15, 2) to valid types",
            "42883",
            "operator does not exist: text + numeric",
        ),
        (
            "Cannot infer common argument type for comparison operation Decimal128(15, 2) < Date32",
            "42883",
            "operator does not exist: numeric < date",
        ),
        (
            "Failed to coerce arguments to satisfy a call to 'sum' function: coercion from Utf8View, Decimal128(15, 2) to the signature UserDefined failed",
            "42883",
            "function sum(text, numeric) does not exist",
        ),
        (
            "UNION queries have different number of columns",
            "42601",
            "each UNION query must have the same number of columns",
        ),
        (
            "Order by column out of bounds, specified: 3, max: 1",
            "42P10",
            "ORDER BY position 3 is not in select list",
        ),
        ("something new.\nwith more", "42000", "something new"),
    ];
    for (text, sqlstate, message) in cases {
        check(plan(text), sqlstate, message);
    }
    check(
        DataFusionError::Execution("Scalar subquery returned more than one row".into()),
        "21000",
        "more than one row returned by a subquery used as an expression",
    );
    check(DataFusionError::ResourcesExhausted("no 1 MB".into()), "53200", "out of memory");
    check(DataFusionError::Internal("broken".into()), "XX000", "broken");
}

#[test]
fn columns() {
    let missing = |field: Column, valid: &[(&str, &str)]| {
        let valid_fields = valid
            .iter()
            .map(|(table, name)| Column::new(Some(TableReference::bare(*table)), *name))
            .collect();
        let error = SchemaError::FieldNotFound { field: Box::new(field), valid_fields };
        report(DataFusionError::SchemaError(Box::new(error), Box::new(None)))
    };
    let valid = [("t", "amount"), ("t", "id"), ("u", "id2")];
    let column = Column::new_unqualified;
    let found = missing(column("amont"), &valid);
    assert_eq!(
        (found.sqlstate.as_str(), found.message.as_str()),
        ("42703", "column \"amont\" does not exist")
    );
    assert_eq!(
        found.hint.as_deref(),
        Some("Perhaps you meant to reference the column \"t.amount\".")
    );
    assert_eq!(missing(column("zzzz"), &valid).hint, None);
    let of = |table: &str, name: &str| Column::new(Some(TableReference::bare(table)), name);
    assert_eq!(missing(of("t", "x"), &valid).message, "column t.x does not exist");
    let no_table = missing(of("v", "id"), &valid);
    assert_eq!(
        (no_table.sqlstate.as_str(), no_table.message.as_str()),
        ("42P01", "missing FROM-clause entry for table \"v\"")
    );
    let outer = Column::new(Some(TableReference::partial(OUTER_TABLE, "v")), "id");
    assert_eq!(missing(outer, &valid).message, "column v.id does not exist");
}

#[test]
fn syntax_errors_have_a_position() {
    let sql = "SELECT 'é',\n  FROM t";
    let error = |message: &str| report_at(ParserError::ParserError(message.into()).into(), sql);
    let found = error("Expected: an expression, found: FROM at Line: 2, Column: 3");
    assert_eq!(found.message, "syntax error at or near \"FROM\"");
    assert_eq!(found.sqlstate, SqlState::SYNTAX_ERROR);
    assert_eq!(found.position, Some(15));
    assert_eq!(
        error("Expected: an expression, found: EOF").message,
        "syntax error at end of input"
    );
}
