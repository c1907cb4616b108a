//! `concat(a, …)` and `concat_ws(separator, a, …)`: texts of any values, NULLs left out
//! (`text_concat` in PostgreSQL's varlena.c).

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, StringViewArray, StringViewBuilder},
    datatypes::DataType,
};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};

use super::arguments::rows;
use crate::functions::{cast::text_of, formats::SessionFormats, operand::finish};

/// One of the two.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Concat {
    with_separator: bool,
    signature: Signature,
}

impl Concat {
    /// `concat_ws` or `concat`.
    pub(super) fn new(with_separator: bool) -> Self {
        Self { with_separator, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &str {
        if self.with_separator { "concat_ws" } else { "concat" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let formats = SessionFormats::of_session(&args.config_options);
        let columns: Vec<(StringViewArray, bool)> =
            args.args.iter().map(|a| texts(a, &formats)).collect::<Result<_>>()?;
        let (rows, constant) = rows(&args);
        let mut result = StringViewBuilder::with_capacity(rows);
        let mut text = String::new();
        for row in 0..rows {
            let mut values = columns.iter().map(|(column, constant)| {
                let row = if *constant { 0 } else { row };
                column.is_valid(row).then(|| column.value(row))
            });
            let separator = if self.with_separator { values.next().flatten() } else { Some("") };
            let Some(separator) = separator else {
                result.append_null();
                continue;
            };
            text.clear();
            for (at, value) in values.flatten().enumerate() {
                if at > 0 {
                    text.push_str(separator);
                }
                text.push_str(value);
            }
            result.append_value(&text);
        }
        finish(Arc::new(result.finish()), constant)
    }
}

/// Values as their types' output functions write them: booleans as `t` and `f`.
fn texts(value: &ColumnarValue, formats: &SessionFormats) -> Result<(StringViewArray, bool)> {
    let (array, constant) = match value {
        ColumnarValue::Array(array) => (Arc::clone(array), false),
        ColumnarValue::Scalar(value) => (value.to_array()?, true),
    };
    if *array.data_type() == DataType::Boolean {
        let words = array.as_boolean().iter().map(|b| b.map(|b| if b { "t" } else { "f" }));
        return Ok((words.collect(), constant));
    }
    Ok((text_of(&array, formats)?, constant))
}
