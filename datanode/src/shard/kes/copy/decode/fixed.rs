//! Values of one length.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::column::Column;

/// Reads a column's values of N bytes each; a default stands where there is NULL.
///
/// # Errors
/// 08P01, 22P03: a field is shorter or longer. And what `read` finds wrong.
#[inline]
pub(super) fn decode<const N: usize, T: Default>(
    column: &Column<'_>,
    read: impl Fn([u8; N]) -> Result<T>,
) -> Result<Vec<T>> {
    let mut values = Vec::with_capacity(column.fields.len());
    for field in column.fields {
        let bytes = column.data.get(field.start as usize..).and_then(|rest| rest.first_chunk());
        values.push(match bytes {
            Some(bytes) if field.len == N as i32 => read(*bytes)?,
            _ if field.len < 0 => T::default(),
            _ => return Err(wrong_length(field.len, N)),
        });
    }
    Ok(values)
}

/// As PostgreSQL's receive functions tell it.
#[cold]
fn wrong_length(len: i32, expected: usize) -> ErrorReport {
    match usize::try_from(len) {
        Ok(len) if len > expected => ErrorReport::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            "incorrect binary data format",
        ),
        _ => ErrorReport::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"),
    }
}
