//! Where in the statement an error is.

use std::error::Error;

use datafusion::{
    common::SchemaError, error::DataFusionError, sql::sqlparser::parser::ParserError,
};

/// The 1-based character position that the error names, by a parser's `at Line: l, Column: c` or
/// by a span.
pub(super) fn of(error: &DataFusionError, sql: &str) -> Option<u32> {
    let (line, column) = place(error)?;
    character(sql, line, column)
}

/// Line and column, both from 1.
fn place(error: &DataFusionError) -> Option<(u64, u64)> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::Diagnostic(diagnostic, _)) => {
                if let Some(span) = diagnostic.span {
                    return Some((span.start.line, span.start.column));
                }
            }
            Some(DataFusionError::SQL(error, _)) => return of_parser(error),
            Some(DataFusionError::SchemaError(error, _)) => return of_schema_error(error),
            _ => {}
        }
        next = error.source();
    }
    None
}

fn of_schema_error(error: &SchemaError) -> Option<(u64, u64)> {
    match error {
        SchemaError::AmbiguousReference { field } | SchemaError::FieldNotFound { field, .. } => {
            field.spans().first().map(|span| (span.start.line, span.start.column))
        }
        SchemaError::DuplicateQualifiedField { .. }
        | SchemaError::DuplicateUnqualifiedField { .. } => None,
    }
}

fn of_parser(error: &ParserError) -> Option<(u64, u64)> {
    match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            let (_, place) = message.rsplit_once(" at Line: ")?;
            let (line, column) = place.split_once(", Column: ")?;
            Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
        }
        ParserError::RecursionLimitExceeded => None,
    }
}

/// Counts characters, as PostgreSQL's `position` field does.
fn character(sql: &str, line: u64, column: u64) -> Option<u32> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let before: usize = sql.split('\n').take(line).map(|l| l.chars().count() + 1).sum();
    u32::try_from(before as u64 + column).ok()
}
