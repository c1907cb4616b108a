//! `like_escape(pattern, escape)`: a LIKE pattern with `\` for its escape character
//! (PostgreSQL's `MB_do_like_escape`, like_match.c).

use std::sync::Arc;

use arrow::{array::StringViewBuilder, datatypes::DataType};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::arguments::{Kind, coerced, rows, texts};
use crate::{error::to_datafusion, functions::operand::finish};

/// What LIKE … ESCAPE does to a pattern that is not known before it runs.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct LikeEscape {
    signature: Signature,
}

impl LikeEscape {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LikeEscape {
    fn name(&self) -> &str {
        "like_escape"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerced("like_escape", &[Kind::Text, Kind::Text], 0, arguments)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [pattern, escape] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("like_escape takes two arguments")));
        };
        let (patterns, escapes) = (texts(pattern)?, texts(escape)?);
        let (rows, constant) = rows(&args);
        let mut result = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            match (patterns.get(row), escapes.get(row)) {
                (Some(pattern), Some(escape)) => {
                    let escape = one_character(escape).map_err(to_datafusion)?;
                    let pattern = escaped_by_backslash(pattern, escape).map_err(to_datafusion)?;
                    result.append_value(pattern);
                }
                _ => result.append_null(),
            }
        }
        finish(Arc::new(result.finish()), constant)
    }
}

/// The escape character; `None`: there is to be none.
fn one_character(escape: &str) -> Result<Option<char>, ErrorReport> {
    let mut chars = escape.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(ErrorReport::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character.")),
    }
}

/// The pattern with `\` for its escape character, the only one that DataFusion takes.
///
/// # Errors
/// 22025: the pattern ends with it.
pub(crate) fn escaped_by_backslash(
    pattern: &str,
    escape: Option<char>,
) -> Result<String, ErrorReport> {
    let mut rewritten = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (Some(c) == escape, c) {
            (true, _) => match chars.next() {
                Some(next) => rewritten.extend(['\\', next]),
                None => {
                    let message = "LIKE pattern must not end with escape character";
                    return Err(ErrorReport::new(SqlState::INVALID_ESCAPE_SEQUENCE, message));
                }
            },
            (false, '\\') => rewritten.push_str("\\\\"),
            (false, c) => rewritten.push(c),
        }
    }
    Ok(rewritten)
}
