//! Greenplum's `LOG ERRORS SEGMENT REJECT LIMIT`, behind COPY's options (its `VerifyRejectLimit`).

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    copy::CopyDirection,
    copy_options::{CopyFormat, CopyOptions},
    cursor::Cursor,
};
use crate::copy::{RejectLimit, RejectUnit};

/// Does it stand here?
pub(super) fn is_here(cursor: &Cursor<'_>) -> bool {
    cursor.is_word("SEGMENT") || cursor.are_words("LOG ERRORS")
}

/// Reads it, if it stands here.
///
/// # Errors
/// 42601; 0A000: no rows are read as text. 42P16: no such limit.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    direction: CopyDirection,
    options: &CopyOptions,
) -> Result<Option<RejectLimit>> {
    if !is_here(cursor) {
        return Ok(None);
    }
    let is_logged = cursor.eat("LOG ERRORS");
    cursor.expect("SEGMENT REJECT LIMIT")?;
    let count = match cursor.token() {
        Some(Token::Number(number, _)) => number.parse::<u32>().ok(),
        _ => None,
    };
    let Some(count) = count else { return cursor.fail() };
    cursor.advance();
    let unit = match cursor.eat("PERCENT") {
        true => RejectUnit::Percent,
        false => {
            cursor.eat("ROWS");
            RejectUnit::Rows
        }
    };
    if direction == CopyDirection::ToClient {
        let message = "COPY single row error handling only available using COPY FROM";
        return Err(ErrorReport::unsupported(message));
    }
    if !matches!(options.format, CopyFormat::Text | CopyFormat::Csv) {
        let message = "COPY single row error handling only available for text and csv";
        return Err(ErrorReport::unsupported(message));
    }
    let message = match unit {
        RejectUnit::Rows if count < 2 => {
            format!("segment reject limit in ROWS must be 2 or larger (got {count})")
        }
        RejectUnit::Percent if !(1..=100).contains(&count) => {
            format!("segment reject limit in PERCENT must be between 1 and 100 (got {count})")
        }
        RejectUnit::Rows | RejectUnit::Percent => {
            return Ok(Some(RejectLimit { count, unit, is_logged }));
        }
    };
    Err(ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message))
}
