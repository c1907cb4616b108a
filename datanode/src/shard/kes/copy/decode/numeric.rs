//! Values of numeric.

use kestrel_planner::wire_binary::{Input, NumericReader};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::column::Column;

/// Reads a column's numbers as integers of units of their scale; zeros stand where there is NULL.
///
/// # Errors
/// 22003: a number is NaN or infinite, too great, or has digits that the scale does not hold: to
/// round it would change what the shard holds. 22P03, 08P01: it is none.
pub(super) fn decode(column: &Column<'_>, reader: &NumericReader) -> Result<Vec<i128>> {
    let mut values = Vec::with_capacity(column.fields.len());
    for field in column.fields {
        let bytes = column.bytes(*field);
        values.push(match reader.read_short(bytes) {
            Some(value) => i128::from(value),
            None if field.len < 0 => 0,
            None => read_any(bytes, reader)?,
        });
    }
    Ok(values)
}

#[inline(never)]
fn read_any(bytes: &[u8], reader: &NumericReader) -> Result<i128> {
    let mut input = Input::new(bytes);
    let received = reader.read(&mut input).map_err(|error| match error.sqlstate {
        SqlState::FEATURE_NOT_SUPPORTED => out_of_range(error.message),
        _ => error,
    })?;
    input.end()?;
    match received.is_rounded {
        false => Ok(received.value),
        true => Err(out_of_range("a number has more digits behind the point than its column")),
    }
}

fn out_of_range(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}
