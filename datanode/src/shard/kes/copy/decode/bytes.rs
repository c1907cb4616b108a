//! Values of any length: text and bytea.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BinaryViewBuilder, StringArray, StringViewArray, StringViewBuilder},
    buffer::OffsetBuffer,
};
use kestrel_planner::wire_binary::{JSONB_VERSION, utf8};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::column::Column;

/// A text of so many bytes at most is held in its view.
const VIEW_BYTES: usize = 12;

/// What of a field's bytes is held: all.
pub(super) fn as_they_are(bytes: &[u8]) -> Result<&[u8]> {
    Ok(bytes)
}

/// Of char(n), which comes with blanks up to its length.
pub(super) fn without_blanks(mut bytes: &[u8]) -> Result<&[u8]> {
    while let [front @ .., b' '] = bytes {
        bytes = front;
    }
    Ok(bytes)
}

/// Of jsonb.
///
/// # Errors
/// 08P01: it begins with another version.
pub(super) fn without_version(bytes: &[u8]) -> Result<&[u8]> {
    match bytes {
        [JSONB_VERSION, text @ ..] => Ok(text),
        _ => {
            let message = "unsupported jsonb version number";
            Err(ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message))
        }
    }
}

/// A column's texts.
///
/// # Errors
/// 22021: one is not UTF-8. And those of `held`.
pub(super) fn text(column: &Column<'_>, held: impl Fn(&[u8]) -> Result<&[u8]>) -> Result<ArrayRef> {
    let bytes: usize = column.fields.iter().map(|field| field.len.max(0) as usize).sum();
    let is_long = bytes > VIEW_BYTES * column.fields.len();
    match is_long && i32::try_from(bytes).is_ok() {
        true => long_texts(column, held, bytes),
        false => short_texts(column, held),
    }
}

/// Texts that mostly are not held inline: they are collected and looked at as one, which is twice as
/// fast as one by one.
fn long_texts(
    column: &Column<'_>,
    held: impl Fn(&[u8]) -> Result<&[u8]>,
    total_bytes: usize,
) -> Result<ArrayRef> {
    let mut texts = Vec::with_capacity(total_bytes);
    let mut offsets = Vec::with_capacity(column.fields.len() + 1);
    offsets.push(0);
    for field in column.fields {
        if field.len >= 0 {
            texts.extend_from_slice(held(column.bytes(*field))?);
        }
        // They are no more than 32 bits count.
        offsets.push(texts.len() as i32);
    }
    let offsets = OffsetBuffer::new(offsets.into());
    match StringArray::try_new(offsets, texts.into(), column.nulls()) {
        Ok(texts) => Ok(Arc::new(StringViewArray::from(&texts))),
        // It tells which one is not UTF-8.
        Err(_) => short_texts(column, held),
    }
}

fn short_texts(column: &Column<'_>, held: impl Fn(&[u8]) -> Result<&[u8]>) -> Result<ArrayRef> {
    let mut values = StringViewBuilder::with_capacity(column.fields.len());
    for field in column.fields {
        if field.len < 0 {
            values.append_null();
            continue;
        }
        let bytes = held(column.bytes(*field))?;
        match std::str::from_utf8(bytes) {
            Ok(text) => values.append_value(text),
            Err(_) => values.append_value(utf8(bytes)?),
        }
    }
    Ok(Arc::new(values.finish()))
}

/// A column's strings of bytes.
pub(super) fn bytea(column: &Column<'_>) -> ArrayRef {
    let mut values = BinaryViewBuilder::with_capacity(column.fields.len());
    for field in column.fields {
        match field.len {
            ..0 => values.append_null(),
            _ => values.append_value(column.bytes(*field)),
        }
    }
    Arc::new(values.finish())
}
