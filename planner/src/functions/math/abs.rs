//! `abs(x)`: keeps the type; the smallest integer has no absolute value (22003).

use arrow::datatypes::{
    DataType, Decimal128Type, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::{no_function, numbers};
use crate::functions::{
    arithmetic::strict_field,
    operand::{Operand, out_of_range},
};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Abs {
    signature: Signature,
}

impl Abs {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Abs {
    fn name(&self) -> &str {
        "abs"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(numbers("abs", arguments, &[1])?.into_iter().map(|c| c.arrow()).collect())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(|| no_function("abs", arguments))
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
            DataType::Int16 => Operand::<Int16Type>::of(x)?
                .try_map(|v| v.checked_abs().ok_or_else(|| out_of_range("smallint")))?
                .finish(result),
            DataType::Int32 => Operand::<Int32Type>::of(x)?
                .try_map(|v| v.checked_abs().ok_or_else(|| out_of_range("integer")))?
                .finish(result),
            DataType::Int64 => Operand::<Int64Type>::of(x)?
                .try_map(|v| v.checked_abs().ok_or_else(|| out_of_range("bigint")))?
                .finish(result),
            DataType::Float32 => Operand::<Float32Type>::of(x)?.map(f32::abs).finish(result),
            DataType::Float64 => Operand::<Float64Type>::of(x)?.map(f64::abs).finish(result),
            _ => Operand::<Decimal128Type>::of(x)?.map(i128::wrapping_abs).finish(result),
        }
    }
}
