//! From the engine's errors to the one form a client sees.
//!
//! Kestrel's own code makes an [`ErrorReport`] and sends it through DataFusion with
//! [`to_datafusion`]; [`report`] finds it again, however deep it was wrapped. Errors that DataFusion
//! and Arrow make themselves are translated to PostgreSQL's SQLSTATE and words; what has no
//! translation is a bug (XX000).

mod arrow;
mod column;
mod plan;
mod position;
mod syntax;

pub(crate) use column::OUTER_TABLE;

use std::error::Error;

use datafusion::{common::SchemaError, error::DataFusionError};
use kestrel_proto::{ErrorReport, SqlState};

use crate::memory::is_of_quota;

/// Wraps a report so that it passes through DataFusion; [`report`] unwraps it.
pub fn to_datafusion(report: ErrorReport) -> DataFusionError {
    DataFusionError::External(Box::new(report))
}

/// What the client will see of an error.
pub fn report(error: DataFusionError) -> ErrorReport {
    report_at(error, "")
}

/// Like [`report`]; a place in the SQL text that the error names becomes its `position`.
pub fn report_at(error: DataFusionError, sql: &str) -> ErrorReport {
    let mut report = of_error(&error);
    if report.position.is_none() && !sql.is_empty() {
        report.position = position::of(&error, sql);
    }
    report
}

/// Translates by reference: shared errors cannot be taken apart.
fn of_error(error: &DataFusionError) -> ErrorReport {
    match error {
        DataFusionError::ArrowError(error, _) => arrow::report(error),
        DataFusionError::ParquetError(error) => carried(error.as_ref()).unwrap_or_else(|| {
            ErrorReport::new(SqlState::DATA_CORRUPTED, format!("cannot read a segment: {error}"))
        }),
        DataFusionError::ObjectStore(error) => {
            carried(error.as_ref()).unwrap_or_else(|| io_error(error))
        }
        DataFusionError::IoError(error) => carried(error).unwrap_or_else(|| io_error(error)),
        DataFusionError::SQL(error, _) => syntax::report(error),
        DataFusionError::NotImplemented(message) => {
            ErrorReport::unsupported(format!("not supported yet: {}", first_line(message)))
        }
        DataFusionError::Internal(message) => ErrorReport::internal(message),
        DataFusionError::Plan(message) => plan::report(message),
        DataFusionError::Configuration(message) => {
            ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
        }
        DataFusionError::SchemaError(error, _) => of_schema_error(error),
        DataFusionError::Execution(message) => plan::execution_report(message),
        DataFusionError::ExecutionJoin(error) => {
            ErrorReport::internal(format!("a task of the query has died: {error}"))
        }
        DataFusionError::ResourcesExhausted(message) => {
            let hint = match is_of_quota(message) {
                true => {
                    "Raise kestrel.query_memory_limit, or let the query hold less: filter earlier, aggregate less finely."
                }
                false => {
                    "Raise --memory-limit, or let the query hold less: filter earlier, aggregate less finely."
                }
            };
            ErrorReport::new(SqlState::OUT_OF_MEMORY, "out of memory")
                .detail(format!("{}.", first_line(message).trim_end_matches('.')))
                .hint(hint)
        }
        DataFusionError::External(error) => {
            carried(error.as_ref()).unwrap_or_else(|| plan::execution_report(&error.to_string()))
        }
        // The context is DataFusion's own path through its code; the client needs the cause.
        DataFusionError::Context(_, error) | DataFusionError::Diagnostic(_, error) => {
            of_error(error)
        }
        DataFusionError::Substrait(message) | DataFusionError::Ffi(message) => {
            ErrorReport::internal(message)
        }
        DataFusionError::Collection(errors) => match errors.first() {
            Some(error) => of_error(error),
            None => ErrorReport::internal("an empty collection of errors"),
        },
        DataFusionError::Shared(error) => of_error(error),
    }
}

/// A report, or an error that leads to one, anywhere in the chain of sources.
fn carried(error: &(dyn Error + 'static)) -> Option<ErrorReport> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(report) = error.downcast_ref::<ErrorReport>() {
            return Some(report.clone());
        }
        if let Some(error) = error.downcast_ref::<DataFusionError>() {
            return Some(of_error(error));
        }
        if let Some(error) = error.downcast_ref::<std::sync::Arc<DataFusionError>>() {
            return Some(of_error(error));
        }
        if let Some(error) = error.downcast_ref::<::arrow::error::ArrowError>() {
            return Some(arrow::report(error));
        }
        next = error.source();
    }
    None
}

fn of_schema_error(error: &SchemaError) -> ErrorReport {
    match error {
        SchemaError::AmbiguousReference { field } => ErrorReport::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => ErrorReport::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column name \"{name}\" appears more than once"),
        ),
        SchemaError::FieldNotFound { field, valid_fields } => column::missing(field, valid_fields),
    }
}

/// What DataFusion says when all temporary files together become too long.
const SPILL_LIMIT: &str = "used disk space during the spilling process has exceeded";

fn io_error(error: &dyn std::fmt::Display) -> ErrorReport {
    let text = error.to_string();
    if text.contains(SPILL_LIMIT) {
        return ErrorReport::new(
            SqlState::DISK_FULL,
            "queries have spilled as much as they may to disk",
        );
    }
    let sqlstate =
        if text.contains("No space left") { SqlState::DISK_FULL } else { SqlState::IO_ERROR };
    ErrorReport::new(sqlstate, text)
}

/// Messages of DataFusion go on with lists and advice about itself.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
