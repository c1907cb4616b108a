//! `mod(a, b)`, which is `a % b`, and `div(a, b)`, the quotient of numerics cut to an integer.

use arrow::datatypes::{DataType, Decimal128Type, FieldRef};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::{as_numeric, is_exact, no_function, numbers};
use crate::functions::{
    Arithmetic,
    arithmetic::{ArithmeticFunction, precision_scale, strict_field},
    decimal,
    operand::{Operand, division_by_zero, try_zip},
};

/// `mod`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Mod {
    operator: ArithmeticFunction,
}

impl Mod {
    pub(super) fn new() -> Self {
        Self { operator: ArithmeticFunction::new(Arithmetic::Modulo) }
    }
}

impl ScalarUDFImpl for Mod {
    fn name(&self) -> &str {
        "mod"
    }

    fn signature(&self) -> &Signature {
        self.operator.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if !numbers("mod", arguments, &[2])?.iter().all(is_exact) {
            return Err(no_function("mod", arguments));
        }
        self.operator.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.operator.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.operator.invoke_with_args(args)
    }
}

/// `div`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Div {
    signature: Signature,
}

impl Div {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Div {
    fn name(&self) -> &str {
        "div"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let classes = numbers("div", arguments, &[2])?;
        if !classes.iter().all(is_exact) {
            return Err(no_function("div", arguments));
        }
        Ok(classes
            .into_iter()
            .map(as_numeric)
            .map(|(precision, scale)| DataType::Decimal128(precision, scale))
            .collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(decimal::MAX_PRECISION, 0))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = args.args.as_slice() else { return Err(no_function("div", &[])) };
        let s1 = precision_scale(&a.data_type())?.1;
        let s2 = precision_scale(&b.data_type())?.1;
        let (a, b) = (Operand::<Decimal128Type>::of(a)?, Operand::<Decimal128Type>::of(b)?);
        let quotient: Operand<Decimal128Type> = try_zip(
            &a,
            &b,
            |a, b| match b {
                0 => (0, true),
                b => truncated((a, s1), (b, s2)).map_or((0, true), |v| (v, false)),
            },
            |_, b| if b == 0 { division_by_zero() } else { decimal::overflow() },
        )?;
        quotient.finish(args.return_field.data_type())
    }
}

/// The quotient without its fraction: what is left after taking the remainder off divides evenly.
fn truncated(a: (i128, i8), b: (i128, i8)) -> Option<i128> {
    let rest = decimal::remainder(a, b)?;
    let scale = a.1.max(b.1);
    let whole = decimal::rescale(a.0, a.1, scale)?.checked_sub(rest)?;
    Some(whole / decimal::rescale(b.0, b.1, scale)?)
}
