//! `position(substring IN text)`, also `strpos(text, substring)`.

use arrow::datatypes::DataType;
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use kestrel_proto::ErrorReport;

use super::arguments::{Kind, coerced, int4, of_bytea, rows, texts};
use crate::{error::to_datafusion, functions::operand::finish};

/// The position of the first occurrence; 0: there is none.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    signature: Signature,
    aliases: Vec<String>,
}

impl Position {
    /// The function.
    pub(crate) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["instr".into(), "position".into()],
        }
    }
}

impl ScalarUDFImpl for Position {
    fn name(&self) -> &str {
        "strpos"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if let Some(types) = of_bytea(arguments) {
            return Ok(types);
        }
        coerced("strpos", &[Kind::Text, Kind::Text], 0, arguments)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, part] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("strpos takes two arguments")));
        };
        let (text, part) = (texts(text)?, texts(part)?);
        let (rows, constant) = rows(&args);
        let positions = (0..rows).map(|row| {
            let (text, part) = (text.get(row)?, part.get(row)?);
            Some(text.find(part).map_or(0, |at| text[..at].chars().count() as i32 + 1))
        });
        finish(int4(positions), constant)
    }
}
