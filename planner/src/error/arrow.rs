//! Arrow's errors in PostgreSQL's words.

use arrow::error::ArrowError;
use kestrel_proto::{ErrorReport, SqlState};

use super::{carried, io_error};

/// The report of an Arrow error.
pub(super) fn report(error: &ArrowError) -> ErrorReport {
    match error {
        ArrowError::NotYetImplemented(message) => {
            ErrorReport::unsupported(format!("not supported yet: {message}"))
        }
        ArrowError::ExternalError(error) => {
            carried(error.as_ref()).unwrap_or_else(|| ErrorReport::internal(error.to_string()))
        }
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::InvalidArgumentError(message) => of_value(message, error),
        ArrowError::DivideByZero => {
            ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero")
        }
        ArrowError::ArithmeticOverflow(_) => {
            ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range")
        }
        ArrowError::MemoryError(message) => {
            ErrorReport::new(SqlState::OUT_OF_MEMORY, "out of memory").detail(format!("{message}."))
        }
        ArrowError::OffsetOverflowError(_) => ErrorReport::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "a batch of values is larger than 2 GB",
        )
        .hint("Shorten the values, or aggregate fewer of them."),
        ArrowError::IoError(message, _) => io_error(message),
        ArrowError::CsvError(message) => ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message),
        ArrowError::ParquetError(message) => {
            ErrorReport::new(SqlState::DATA_CORRUPTED, format!("cannot read a segment: {message}"))
        }
        ArrowError::SchemaError(_)
        | ArrowError::JsonError(_)
        | ArrowError::AvroError(_)
        | ArrowError::IpcError(_)
        | ArrowError::CDataInterface(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError => ErrorReport::internal(error.to_string()),
    }
}

/// What Arrow's cast, parse and decimal kernels say about a value, by what is in the message.
///
/// Kestrel's own casts make PostgreSQL's reports; this is for the casts that DataFusion adds.
fn of_value(message: &str, error: &ArrowError) -> ErrorReport {
    const OUT_OF_RANGE: &[&str] = &[
        "is too large to store",
        "is too small to store",
        "Can't cast value",
        "out of range",
        "overflow",
        "Overflow",
    ];
    const DATETIME: &[&str] =
        &["timestamp", "Timestamp", "Date32", "Date64", "Time64", "Time32", "Interval", "interval"];
    let report = |sqlstate, text: String| ErrorReport::new(sqlstate, text);
    if let Some((value, name)) = unparsed(message) {
        let sqlstate = if DATETIME.iter().any(|word| name.contains(word)) {
            SqlState::INVALID_DATETIME_FORMAT
        } else {
            SqlState::INVALID_TEXT_REPRESENTATION
        };
        return report(
            sqlstate,
            format!("invalid input syntax for type {}: \"{value}\"", sql_name(name)),
        );
    }
    if OUT_OF_RANGE.iter().any(|words| message.contains(words)) {
        let what = if message.contains("Decimal") || message.contains("precision") {
            "numeric field overflow"
        } else {
            "value out of range"
        };
        return report(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, what.into()).detail(sentence(message));
    }
    if DATETIME.iter().any(|word| message.contains(word)) {
        return report(SqlState::INVALID_DATETIME_FORMAT, message.into());
    }
    if matches!(error, ArrowError::CastError(_) | ArrowError::ParseError(_)) {
        return report(SqlState::INVALID_TEXT_REPRESENTATION, message.into());
    }
    ErrorReport::internal(error.to_string())
}

/// The value and the Arrow type of `Cannot cast string 'abc' to value of Int32 type`.
fn unparsed(message: &str) -> Option<(&str, &str)> {
    let rest = message.strip_prefix("Cannot cast string '")?;
    let (value, rest) = rest.rsplit_once("' to value of ")?;
    Some((value, rest.strip_suffix(" type")?))
}

/// A full sentence of a message.
fn sentence(message: &str) -> String {
    format!("{}.", message.trim_end_matches('.'))
}

/// PostgreSQL's name of an Arrow type that stands in a message.
pub(super) fn sql_name(arrow_name: &str) -> &str {
    const NAMES: &[(&str, &str)] = &[
        ("Int8", "smallint"),
        ("Int16", "smallint"),
        ("Int32", "integer"),
        ("Int64", "bigint"),
        ("UInt", "bigint"),
        ("Float16", "real"),
        ("Float32", "real"),
        ("Float64", "double precision"),
        ("Decimal", "numeric"),
        ("Boolean", "boolean"),
        ("Utf8", "text"),
        ("LargeUtf8", "text"),
        ("Date", "date"),
        ("Timestamp(µs, \"", "timestamp with time zone"),
        ("Timestamp", "timestamp without time zone"),
        ("Time", "time without time zone"),
        ("Interval", "interval"),
        ("Duration", "interval"),
        ("Binary", "bytea"),
        ("LargeBinary", "bytea"),
        ("FixedSizeBinary", "uuid"),
        ("Null", "unknown"),
    ];
    NAMES
        .iter()
        .find(|(prefix, _)| arrow_name.starts_with(prefix))
        .map_or(arrow_name, |(_, name)| name)
}
