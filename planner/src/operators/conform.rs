//! Rows as a table takes them: NOT NULL and the lengths of varchar(n) and char(n).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder},
    datatypes::{DataType, Field, SchemaRef},
    util::display::{ArrayFormatter, FormatOptions},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::catalog::SqlType;

/// `batch` with exactly the table's schema.
///
/// # Errors
/// 23502 for a NULL where none may be; 22001 for a text that is too long (blanks at its end do
/// not count); XX000 when the columns have other types.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef, table: &str) -> Result<RecordBatch> {
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(null_value(batch, column, field, table));
        }
        match SqlType::of_field(field) {
            Some(SqlType::Varchar(Some(length))) => limited(column, length as usize, field, false),
            Some(SqlType::Char(length)) => limited(column, length as usize, field, true),
            _ => Ok(Arc::clone(column)),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| {
        ErrorReport::internal(format!("rows for table \"{table}\" have another form: {error}"))
    })
}

fn null_value(batch: &RecordBatch, column: &ArrayRef, field: &Field, table: &str) -> ErrorReport {
    let name = field.name();
    let message = format!(
        "null value in column \"{name}\" of relation \"{table}\" violates not-null constraint"
    );
    let report = ErrorReport::new(SqlState::NOT_NULL_VIOLATION, message).about_column(table, name);
    let Some(row) = (0..column.len()).find(|row| column.is_null(*row)) else { return report };
    let options = FormatOptions::new().with_null("null");
    let values = batch.columns().iter().map(|column| {
        ArrayFormatter::try_new(column.as_ref(), &options)
            .map_or_else(|_| "?".into(), |f| f.value(row).to_string())
    });
    let values: Vec<_> = values.collect();
    report.detail(format!("Failing row contains ({}).", values.join(", ")))
}

/// Text of at most `length` characters. Blanks beyond it are cut off, anything else is an error;
/// `trim`: all blanks at the end go (char(n) is held without them).
fn limited(column: &ArrayRef, length: usize, field: &Field, trim: bool) -> Result<ArrayRef> {
    if column.data_type() != &DataType::Utf8View {
        return Ok(Arc::clone(column));
    }
    let texts = column.as_string_view();
    let fits = |text: &str| {
        (text.len() <= length || text.chars().count() <= length) && !(trim && text.ends_with(' '))
    };
    if texts.iter().flatten().all(fits) {
        return Ok(Arc::clone(column));
    }
    let mut limited = StringViewBuilder::with_capacity(texts.len());
    for text in texts {
        let Some(text) = text else {
            limited.append_null();
            continue;
        };
        let end = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
        let (kept, rest) = text.split_at(end);
        if rest.chars().any(|c| c != ' ') {
            let of_type = SqlType::of_field(field).map_or_else(String::new, |t| t.to_string());
            return Err(ErrorReport::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("value too long for type {of_type}"),
            ));
        }
        limited.append_value(if trim { kept.trim_end_matches(' ') } else { kept });
    }
    Ok(Arc::new(limited.finish()))
}
