//! `sign(x)`: -1, 0 or 1, of a numeric a numeric, else a double.

use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Float64Type};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::numbers;
use crate::functions::{
    arithmetic::{strict_field, types::Class},
    operand::Operand,
};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sign {
    signature: Signature,
    aliases: Vec<String>,
}

impl Sign {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["signum".into()],
        }
    }
}

impl ScalarUDFImpl for Sign {
    fn name(&self) -> &str {
        "sign"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(numbers("sign", arguments, &[1])?
            .into_iter()
            .map(|c| match c {
                Class::Numeric(..) => c.arrow(),
                _ => DataType::Float64,
            })
            .collect())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments.first() {
            Some(DataType::Decimal128(..)) => DataType::Decimal128(1, 0),
            _ => DataType::Float64,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type();
        let x = &args.args[0];
        match result {
            DataType::Decimal128(..) => {
                Operand::<Decimal128Type>::of(x)?.map(i128::signum).finish(result)
            }
            _ => Operand::<Float64Type>::of(x)?
                .map(|v| {
                    if v > 0.0 {
                        1.0
                    } else if v < 0.0 {
                        -1.0
                    } else {
                        v
                    }
                })
                .finish(result),
        }
    }
}
