//! `sqrt` and `power` over doubles and numerics.
//!
//! Over numerics the results have 16 fractional digits: `sqrt` exactly rounded, `power` exactly for
//! whole exponents and from double precision (15 digits) for others.

use std::sync::Arc;

use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Float64Type, i256};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{as_numeric, is_float, no_function, numbers};
use crate::functions::{
    arithmetic::{float_overflow, float_underflow, precision_scale, strict_field, types::Class},
    cast::double_of_decimal,
    decimal::{self, MAX_PRECISION},
    function,
    operand::{Operand, try_zip},
};

/// Fractional digits of irrational results.
pub(super) const SCALE: i8 = 16;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![function(Sqrt::new()), function(Power::new())]
}

/// Argument types: numerics if one is and none is a float, else doubles.
pub(super) fn coerced(
    name: &str,
    arguments: &[DataType],
    counts: &[usize],
) -> Result<Vec<DataType>> {
    let classes = numbers(name, arguments, counts)?;
    let numeric = classes.iter().any(|c| matches!(c, Class::Numeric(..)));
    if !numeric || classes.iter().any(is_float) {
        return Ok(vec![DataType::Float64; classes.len()]);
    }
    Ok(classes
        .into_iter()
        .map(as_numeric)
        .map(|(precision, scale)| DataType::Decimal128(precision, scale))
        .collect())
}

/// The result for such arguments.
pub(super) fn result(arguments: &[DataType]) -> DataType {
    match arguments.first() {
        Some(DataType::Decimal128(_, scale)) => {
            DataType::Decimal128(MAX_PRECISION, SCALE.max(*scale))
        }
        _ => DataType::Float64,
    }
}

fn negative_root() -> ErrorReport {
    ErrorReport::new(
        SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
        "cannot take square root of a negative number",
    )
}

/// `sqrt(x)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sqrt {
    signature: Signature,
}

impl Sqrt {
    fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Sqrt {
    fn name(&self) -> &str {
        "sqrt"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerced("sqrt", arguments, &[1])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(result(arguments))
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
        let DataType::Decimal128(_, to) = *result else {
            return Operand::<Float64Type>::of(x)?
                .try_map(|v| if v < 0.0 { Err(negative_root()) } else { Ok(v.sqrt()) })?
                .finish(result);
        };
        let (_, from) = precision_scale(&x.data_type())?;
        Operand::<Decimal128Type>::of(x)?
            .try_map(|v| match v {
                v if v < 0 => Err(negative_root()),
                v => root(v, from, to).ok_or_else(decimal::overflow),
            })?
            .finish(result)
    }
}

/// The square root in scale `to`, rounded half up, by Newton's method on integers.
fn root(value: i128, from: i8, to: i8) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let steps = u32::try_from(2 * i32::from(to) - i32::from(from)).ok()?;
    let power = i256::from_i128(10).checked_pow(steps)?;
    let square = i256::from_i128(value).checked_mul(power)?;
    let two = i256::from_i128(2);
    let guess = double_of_decimal(value, from).sqrt() * 10f64.powi(i32::from(to));
    let mut root = i256::from_i128(guess as i128).max(i256::ONE);
    for _ in 0..200 {
        let next = root.wrapping_add(square.checked_div(root)?).checked_div(two)?;
        let settled = next == root || next == root.wrapping_add(i256::ONE);
        root = next;
        if settled {
            break;
        }
    }
    while root.checked_mul(root)? > square {
        root = root.wrapping_sub(i256::ONE);
    }
    // (root + 1/2)^2 = root^2 + root + 1/4
    let rest = square.wrapping_sub(root.wrapping_mul(root));
    let rounded = if rest > root { root.wrapping_add(i256::ONE) } else { root };
    rounded.to_i128().filter(|v| decimal::fits(*v))
}

/// `power(x, y)`, also `x ^ y`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Power {
    signature: Signature,
    aliases: Vec<String>,
}

impl Power {
    fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["pow".into()],
        }
    }
}

impl ScalarUDFImpl for Power {
    fn name(&self) -> &str {
        "power"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerced("power", arguments, &[2])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(result(arguments))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type();
        let [x, y] = args.args.as_slice() else { return Err(no_function("power", &[])) };
        let DataType::Decimal128(_, to) = *result else {
            let (x, y) = (Operand::<Float64Type>::of(x)?, Operand::<Float64Type>::of(y)?);
            let powers: Operand<Float64Type> = try_zip(
                &x,
                &y,
                |x, y| double_power(x, y).map_or((0.0, true), |v| (v, false)),
                |x, y| double_power(x, y).err().unwrap_or_else(float_overflow),
            )?;
            return powers.finish(result);
        };
        let s1 = precision_scale(&x.data_type())?.1;
        let s2 = precision_scale(&y.data_type())?.1;
        let (x, y) = (Operand::<Decimal128Type>::of(x)?, Operand::<Decimal128Type>::of(y)?);
        let power = |x: i128, y: i128| numeric_power((x, s1), (y, s2), to);
        let powers: Operand<Decimal128Type> = try_zip(
            &x,
            &y,
            |x, y| power(x, y).map_or((0, true), |v| (v, false)),
            |x, y| power(x, y).err().unwrap_or_else(decimal::overflow),
        )?;
        powers.finish(result)
    }
}

fn invalid_power(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

fn check_power(zero: bool, negative: bool, exponent: f64) -> Result<(), ErrorReport> {
    if zero && exponent < 0.0 {
        return Err(invalid_power("zero raised to a negative power is undefined"));
    }
    if negative && exponent.fract() != 0.0 {
        return Err(invalid_power(
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    Ok(())
}

/// `dpow` in PostgreSQL's float.c.
fn double_power(x: f64, y: f64) -> Result<f64, ErrorReport> {
    check_power(x == 0.0, x < 0.0, y)?;
    let power = x.powf(y);
    if power.is_infinite() && !x.is_infinite() && !y.is_infinite() {
        return Err(float_overflow());
    }
    if power == 0.0 && x != 0.0 && !x.is_infinite() && !y.is_infinite() {
        return Err(float_underflow());
    }
    Ok(power)
}

fn numeric_power(x: (i128, i8), y: (i128, i8), to: i8) -> Result<i128, ErrorReport> {
    let (base, exponent) = (double_of_decimal(x.0, x.1), double_of_decimal(y.0, y.1));
    check_power(x.0 == 0, x.0 < 0, exponent)?;
    if exponent.fract() == 0.0 && exponent.abs() <= 1000.0 {
        let steps = exponent.abs() as u32;
        let whole = whole_power(x, steps, to).ok_or_else(decimal::overflow)?;
        if exponent >= 0.0 {
            return Ok(whole);
        }
        if whole != 0 {
            let one = decimal::power(u32::from(to.unsigned_abs()));
            return decimal::divide(one, whole, i32::from(to)).ok_or_else(decimal::overflow);
        }
    }
    decimal::from_f64(base.powf(exponent), 15, to).ok_or_else(decimal::overflow)
}

/// By repeated squaring, every step rounded to `to` digits.
fn whole_power((base, from): (i128, i8), exponent: u32, to: i8) -> Option<i128> {
    let one = decimal::power(u32::from(to.unsigned_abs()));
    let mut result = one;
    let mut square = decimal::rescale(base, from, to)?;
    let mut rest = exponent;
    while rest > 0 {
        if rest & 1 == 1 {
            result = decimal::multiply_divide(result, square, one)?;
        }
        rest >>= 1;
        if rest > 0 {
            square = decimal::multiply_divide(square, square, one)?;
        }
    }
    Some(result)
}
