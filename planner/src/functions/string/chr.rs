//! `chr(n)`: the character of a code point.

use std::sync::Arc;

use arrow::{array::StringViewBuilder, datatypes::DataType};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::arguments::{Kind, coerced, integers, rows};
use crate::{error::to_datafusion, functions::operand::finish};

/// Texts hold no NUL and nothing that is no character.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Chr {
    signature: Signature,
}

impl Chr {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Chr {
    fn name(&self) -> &str {
        "chr"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerced("chr", &[Kind::Integer], 0, arguments)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let codes = integers(&args.args[0])?;
        let (rows, constant) = rows(&args);
        let mut result = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            match codes.get(row) {
                Some(code) => {
                    let c = character(code).map_err(to_datafusion)?;
                    result.append_value(c.encode_utf8(&mut [0; 4]));
                }
                None => result.append_null(),
            }
        }
        finish(Arc::new(result.finish()), constant)
    }
}

fn character(code: i64) -> Result<char, ErrorReport> {
    let invalid = |message: String| ErrorReport::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
    if code == 0 {
        return Err(invalid("null character not permitted".into()));
    }
    if code < 0 {
        return Err(invalid("character number must be positive".into()));
    }
    u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(|| invalid(format!("requested character too large for encoding: {code}")))
}
