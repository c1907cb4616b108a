//! `round`, `trunc`, `ceil` and `floor`: numerics stay numerics and are rounded half away from zero,
//! all other numbers become doubles and are rounded half to even.

use std::sync::Arc;

use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};
use kestrel_proto::ErrorReport;

use super::{as_numeric, is_exact, is_float, no_function, numbers};
use crate::functions::{
    arithmetic::{precision_scale, types::Class},
    decimal::{self, MAX_PRECISION, power},
    function,
    operand::{Operand, try_zip},
};

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        function(Round::new(How::Nearest, "round", &[])),
        function(Round::new(How::TowardZero, "trunc", &[])),
        function(Round::new(How::Up, "ceil", &["ceiling"])),
        function(Round::new(How::Down, "floor", &[])),
    ]
}

/// The direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum How {
    Nearest,
    TowardZero,
    Up,
    Down,
}

impl How {
    fn double(self, value: f64) -> f64 {
        match self {
            Self::Nearest => value.round_ties_even(),
            Self::TowardZero => value.trunc(),
            Self::Up => value.ceil(),
            Self::Down => value.floor(),
        }
    }

    /// `value / divisor` as an integer.
    fn divide(self, value: i128, divisor: i128) -> i128 {
        match self {
            Self::Nearest => decimal::divide_rounded(value, divisor),
            Self::TowardZero => value / divisor,
            Self::Up => -(-value).div_euclid(divisor),
            Self::Down => value.div_euclid(divisor),
        }
    }
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Round {
    how: How,
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl Round {
    fn new(how: How, name: &'static str, aliases: &[&str]) -> Self {
        Self {
            how,
            name,
            aliases: aliases.iter().map(|a| (*a).to_string()).collect(),
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// Whether a second argument, the count of digits, is taken.
    fn takes_digits(&self) -> bool {
        matches!(self.how, How::Nearest | How::TowardZero)
    }
}

/// Digits after rounding `(precision, scale)` to `digits`: one more before the point.
fn rounded_type((precision, scale): (u8, i8), digits: i64) -> DataType {
    let kept = digits.clamp(0, i64::from(MAX_PRECISION)) as i8;
    let before = i16::from(precision) - i16::from(scale) + 1;
    let total = (before + i16::from(kept)).clamp(i16::from(kept.max(1)), i16::from(MAX_PRECISION));
    DataType::Decimal128(total.unsigned_abs() as u8, kept)
}

impl ScalarUDFImpl for Round {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let counts: &[usize] = if self.takes_digits() { &[1, 2] } else { &[1] };
        let classes = numbers(self.name, arguments, counts)?;
        match classes.as_slice() {
            [Class::Numeric(p, s)] => Ok(vec![DataType::Decimal128(*p, *s)]),
            [_] => Ok(vec![DataType::Float64]),
            [number, Class::Integer(_)] if is_exact(number) => {
                let (precision, scale) = as_numeric(*number);
                // The digits keep their type: a cast would hide that they are constant.
                Ok(vec![DataType::Decimal128(precision, scale), arguments[1].clone()])
            }
            _ => {
                debug_assert!(classes.iter().any(is_float));
                Err(no_function(self.name, arguments))
            }
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments {
            [DataType::Decimal128(p, s)] => rounded_type((*p, *s), 0),
            [DataType::Decimal128(p, s), _] => rounded_type((*p, *s), i64::from(*s)),
            _ => DataType::Float64,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        // The digits show in the type where they are constant.
        let digits = args.scalar_arguments.get(1).copied().flatten();
        let data_type = match (types.as_slice(), digits) {
            ([DataType::Decimal128(p, s), _], Some(digits)) => {
                match digits.cast_to(&DataType::Int64)? {
                    ScalarValue::Int64(Some(digits)) => rounded_type((*p, *s), digits),
                    _ => self.return_type(&types)?,
                }
            }
            _ => self.return_type(&types)?,
        };
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(Field::new(self.name, data_type, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type();
        let (x, how) = (&args.args[0], self.how);
        let DataType::Decimal128(_, to) = *result else {
            return Operand::<Float64Type>::of(x)?.map(|v| how.double(v)).finish(result);
        };
        let (_, from) = precision_scale(&x.data_type())?;
        let numbers = Operand::<Decimal128Type>::of(x)?;
        let digits = match args.args.get(1) {
            Some(digits) => Operand::<Int64Type>::of(&digits.cast_to(&DataType::Int64, None)?)?,
            None => Operand::<Int64Type>::of(&ColumnarValue::Scalar(ScalarValue::from(0i64)))?,
        };
        let rounded: Operand<Decimal128Type> = try_zip(
            &numbers,
            &digits,
            |v, digits| to_digits(how, v, (from, to), digits).map_or((0, true), |v| (v, false)),
            |_, _| overflow(),
        )?;
        rounded.finish(result)
    }
}

fn overflow() -> ErrorReport {
    decimal::overflow()
}

/// `value` of scale `from` rounded to `digits`, in scale `to`.
fn to_digits(how: How, value: i128, (from, to): (i8, i8), digits: i64) -> Option<i128> {
    let digits = digits.clamp(-38, 38) as i8;
    if digits >= from {
        return decimal::rescale(value, from, to);
    }
    let lost = u32::from(from.abs_diff(digits));
    if lost > 38 {
        return Some(0);
    }
    let kept = how.divide(value, power(lost));
    decimal::rescale(kept, digits, to)
}
