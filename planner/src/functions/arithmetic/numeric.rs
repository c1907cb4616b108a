//! numeric: exact, or 22003.

use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::{common::Result, logical_expr::ColumnarValue};

use super::{Arithmetic, types::Class};
use crate::{
    error::to_datafusion,
    functions::{
        decimal::{self, MAX_VALUE, fits, overflow, power},
        operand::{Operand, division_by_zero, try_zip, zip},
    },
};

type Numbers = Operand<Decimal128Type>;

/// Evaluates over two numerics of the given precision and scale.
pub(super) fn evaluate(
    op: Arithmetic,
    (left, right): (&ColumnarValue, &ColumnarValue),
    result: &DataType,
) -> Result<ColumnarValue> {
    let (t1, t2) = (precision_scale(&left.data_type())?, precision_scale(&right.data_type())?);
    let (_, scale) = precision_scale(result)?;
    let (left, right) = (Numbers::of(left)?, Numbers::of(right)?);
    let values = match op {
        Arithmetic::Add | Arithmetic::Subtract => {
            let integers = (digits_before_point(t1)).max(digits_before_point(t2));
            let safe = integers + i32::from(scale) < 38;
            let left = rescaled(left, t1, scale)?;
            let right = rescaled(right, t2, scale)?;
            sum(op, &left, &right, safe)?
        }
        Arithmetic::Multiply => product(&left, &right, (t1, t2), scale)?,
        Arithmetic::Divide => {
            let up = i32::from(scale) + i32::from(t2.1) - i32::from(t1.1);
            try_zip(
                &left,
                &right,
                |a, b| match b {
                    0 => (0, true),
                    b => decimal::divide(a, b, up).map_or((0, true), |v| (v, false)),
                },
                |_, b| if b == 0 { division_by_zero() } else { overflow() },
            )?
        }
        Arithmetic::Modulo => {
            let same_scale = t1.1 == t2.1;
            try_zip(
                &left,
                &right,
                |a, b| match b {
                    0 => (0, true),
                    b if same_scale => (a.wrapping_rem(b), false),
                    b => decimal::remainder((a, t1.1), (b, t2.1)).map_or((0, true), |v| (v, false)),
                },
                |_, b| if b == 0 { division_by_zero() } else { overflow() },
            )?
        }
    };
    values.finish(result)
}

/// Precision and scale; any other type is a bug in the type resolution.
pub(crate) fn precision_scale(data_type: &DataType) -> Result<(u8, i8)> {
    match Class::of(data_type) {
        Some(Class::Numeric(precision, scale)) => Ok((precision, scale)),
        _ => Err(crate::functions::operand::wrong_type(data_type, &DataType::Decimal128(38, 0))),
    }
}

fn digits_before_point((precision, scale): (u8, i8)) -> i32 {
    i32::from(precision) - i32::from(scale)
}

/// The operand in a larger scale.
fn rescaled(operand: Numbers, from: (u8, i8), scale: i8) -> Result<Numbers> {
    let up = i32::from(scale) - i32::from(from.1);
    if up == 0 {
        return Ok(operand);
    }
    if i32::from(from.0) + up <= 38 {
        let factor = power(up.unsigned_abs());
        return Ok(operand.map(|v| v.wrapping_mul(factor)));
    }
    operand.try_map(|v| decimal::rescale(v, from.1, scale).ok_or_else(overflow))
}

fn sum(op: Arithmetic, left: &Numbers, right: &Numbers, safe: bool) -> Result<Numbers> {
    let add = op == Arithmetic::Add;
    Ok(match (safe, add) {
        (true, true) => zip(left, right, i128::wrapping_add),
        (true, false) => zip(left, right, i128::wrapping_sub),
        // The sum of two numbers of 38 digits fits into 128 bits.
        (false, true) => try_zip(
            left,
            right,
            |a, b| {
                let v = a.wrapping_add(b);
                (v, !fits(v))
            },
            |_, _| overflow(),
        )?,
        (false, false) => try_zip(
            left,
            right,
            |a, b| {
                let v = a.wrapping_sub(b);
                (v, !fits(v))
            },
            |_, _| overflow(),
        )?,
    })
}

fn product(
    left: &Numbers,
    right: &Numbers,
    (t1, t2): ((u8, i8), (u8, i8)),
    scale: i8,
) -> Result<Numbers> {
    let surplus = i32::from(t1.1) + i32::from(t2.1) - i32::from(scale);
    if surplus > 0 {
        let divisor = power_of_surplus(surplus)?;
        return try_zip(
            left,
            right,
            |a, b| decimal::multiply_divide(a, b, divisor).map_or((0, true), |v| (v, false)),
            |_, _| overflow(),
        );
    }
    // Real numbers are far shorter than their declared types: products of values of 64 bits need
    // one machine multiplication and cannot leave 38 digits.
    if narrow(left.values()) && narrow(right.values()) {
        return Ok(zip(left, right, |a, b| i128::from(a as i64) * i128::from(b as i64)));
    }
    if u32::from(t1.0) + u32::from(t2.0) <= 38 {
        return Ok(zip(left, right, i128::wrapping_mul));
    }
    try_zip(
        left,
        right,
        |a, b| {
            let (v, wrapped) = a.overflowing_mul(b);
            (v, wrapped | !(-MAX_VALUE..=MAX_VALUE).contains(&v))
        },
        |_, _| overflow(),
    )
}

/// Ten to the digits that a product has too many.
fn power_of_surplus(surplus: i32) -> Result<i128> {
    if surplus > 38 {
        return Err(to_datafusion(overflow()));
    }
    Ok(power(surplus.unsigned_abs()))
}

/// Whether 64 bits hold every value.
fn narrow(values: &[i128]) -> bool {
    values.iter().fold(0, |all, v| all | (v ^ i128::from(*v as i64))) == 0
}
