//! `substring(text FROM start [FOR length])`, also `substr(text, start [, length])`
//! (`text_substring` in PostgreSQL's varlena.c).

use std::sync::Arc;

use arrow::{array::StringViewBuilder, datatypes::DataType};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::arguments::{Kind, coerced, integers, of_bytea, rows, texts};
use crate::{error::to_datafusion, functions::operand::finish};

/// Positions before 1 count against the length; a negative length is 22011.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Substring {
    signature: Signature,
    aliases: Vec<String>,
}

impl Substring {
    /// The function.
    pub(crate) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["substring".into()],
        }
    }
}

impl ScalarUDFImpl for Substring {
    fn name(&self) -> &str {
        "substr"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View);
        // `substring(text FROM pattern)` becomes another function when the call has its types.
        if let [first, pattern] = arguments
            && text(first)
            && text(pattern)
        {
            return Ok(vec![DataType::Utf8View; 2]);
        }
        if let Some(types) = of_bytea(arguments) {
            return Ok(types);
        }
        coerced("substring", &[Kind::Text, Kind::Integer, Kind::Integer], 1, arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(of_bytea(arguments).map_or(DataType::Utf8View, |_| DataType::BinaryView))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, start, rest @ ..] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("substring takes two arguments")));
        };
        let (text, start) = (texts(text)?, integers(start)?);
        let length = rest.first().map(integers).transpose()?;
        let (rows, constant) = rows(&args);
        let mut result = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            let length = match &length {
                Some(length) => length.get(row).map(Some),
                None => Some(None),
            };
            match (text.get(row), start.get(row), length) {
                (Some(text), Some(start), Some(length)) => {
                    result.append_value(substring(text, start, length).map_err(to_datafusion)?);
                }
                _ => result.append_null(),
            }
        }
        finish(Arc::new(result.finish()), constant)
    }
}

fn substring(text: &str, start: i64, length: Option<i64>) -> Result<&str, ErrorReport> {
    if length.is_some_and(|length| length < 0) {
        return Err(ErrorReport::new(
            SqlState::SUBSTRING_ERROR,
            "negative substring length not allowed",
        ));
    }
    // First and one past the last position; both may lie before the text.
    let first = start.max(1);
    let end = length.map(|length| start.saturating_add(length));
    let skip = usize::try_from(first - 1).unwrap_or(usize::MAX);
    let take = end.map(|end| usize::try_from((end - first).max(0)).unwrap_or(usize::MAX));
    if text.is_ascii() {
        let from = skip.min(text.len());
        let to = take.map_or(text.len(), |take| from.saturating_add(take).min(text.len()));
        return Ok(&text[from..to]);
    }
    let mut places = text.char_indices().map(|(at, _)| at);
    let Some(from) = places.nth(skip) else { return Ok("") };
    let to = match take {
        None => text.len(),
        Some(0) => from,
        Some(take) => places.nth(take - 1).unwrap_or(text.len()),
    };
    Ok(&text[from..to])
}
