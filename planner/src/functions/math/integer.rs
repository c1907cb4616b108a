//! `gcd(a, b)`, `lcm(a, b)` and `factorial(n)`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Int32Type, Int64Type};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{no_function, numbers};
use crate::functions::{
    arithmetic::{strict_field, types::Class},
    decimal, function,
    operand::{Operand, out_of_range, try_zip},
};

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![function(Divisor::new(false)), function(Divisor::new(true)), function(Factorial::new())]
}

/// `gcd` and `lcm` of integers; the result has the wider type of the two.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Divisor {
    multiple: bool,
    signature: Signature,
}

impl Divisor {
    fn new(multiple: bool) -> Self {
        Self { multiple, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// `None`: too large.
    fn of(&self, a: i64, b: i64) -> Option<i64> {
        let (mut x, mut y) = (a.unsigned_abs(), b.unsigned_abs());
        while y != 0 {
            (x, y) = (y, x % y);
        }
        let result = if !self.multiple {
            x
        } else {
            // lcm(0, 0) is 0.
            a.unsigned_abs().checked_div(x).unwrap_or(0).checked_mul(b.unsigned_abs())?
        };
        i64::try_from(result).ok()
    }
}

impl ScalarUDFImpl for Divisor {
    fn name(&self) -> &str {
        if self.multiple { "lcm" } else { "gcd" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let widest = numbers(self.name(), arguments, &[2])?
            .into_iter()
            .map(|class| match class {
                // int4 is the narrowest that the functions exist for.
                Class::Integer(bytes) => Some(bytes.max(4)),
                _ => None,
            })
            .reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b)))
            .flatten()
            .ok_or_else(|| no_function(self.name(), arguments))?;
        Ok(vec![Class::Integer(widest).arrow(); 2])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(|| no_function(self.name(), arguments))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type();
        let [a, b] = args.args.as_slice() else { return Err(no_function(self.name(), &[])) };
        if *result == DataType::Int64 {
            let values: Operand<Int64Type> = try_zip(
                &Operand::<Int64Type>::of(a)?,
                &Operand::<Int64Type>::of(b)?,
                |a, b| self.of(a, b).map_or((0, true), |v| (v, false)),
                |_, _| out_of_range("bigint"),
            )?;
            return values.finish(result);
        }
        let of = |a: i32, b: i32| {
            self.of(i64::from(a), i64::from(b)).and_then(|v| i32::try_from(v).ok())
        };
        let values: Operand<Int32Type> = try_zip(
            &Operand::<Int32Type>::of(a)?,
            &Operand::<Int32Type>::of(b)?,
            |a, b| of(a, b).map_or((0, true), |v| (v, false)),
            |_, _| out_of_range("integer"),
        )?;
        values.finish(result)
    }
}

/// `factorial` of a bigint, a numeric.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Factorial {
    signature: Signature,
}

impl Factorial {
    fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Factorial {
    fn name(&self) -> &str {
        "factorial"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(decimal::MAX_PRECISION, 0))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n = Operand::<Int64Type>::of(&args.args[0])?;
        let values: Operand<Decimal128Type> = try_zip(
            &n,
            &n,
            |n, _| factorial(n).map_or((0, true), |v| (v, false)),
            |n, _| factorial(n).err().unwrap_or_else(decimal::overflow),
        )?;
        values.finish(args.return_field.data_type())
    }
}

fn factorial(n: i64) -> Result<i128, ErrorReport> {
    if n < 0 {
        return Err(ErrorReport::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "factorial of a negative number is undefined",
        ));
    }
    (1..=i128::from(n))
        .try_fold(1i128, |product, k| product.checked_mul(k).filter(|v| decimal::fits(*v)))
        .ok_or_else(decimal::overflow)
}
