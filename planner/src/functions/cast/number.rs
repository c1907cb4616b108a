//! Numbers to numbers: rounding and range as PostgreSQL's int.c, float.c and numeric.c.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{
        DataType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    },
};
use datafusion::common::Result;
use kestrel_proto::ErrorReport;

use crate::{
    error::to_datafusion,
    functions::{
        arithmetic::{float_overflow, float_underflow, precision_scale},
        decimal::{self, divide_rounded, field_overflow, power},
        operand::{out_of_range, wrong_type},
    },
};

type Made<T> = std::result::Result<T, ErrorReport>;

/// An integer type and its name in `… out of range`.
pub(super) trait Target: ArrowPrimitiveType {
    const NAME: &'static str;
    fn of_i128(value: i128) -> Option<Self::Native>;
}

macro_rules! targets {
    ($($arrow:ty, $native:ty, $name:literal;)*) => {$(
        impl Target for $arrow {
            const NAME: &'static str = $name;
            fn of_i128(value: i128) -> Option<$native> {
                <$native>::try_from(value).ok()
            }
        }
    )*};
}

targets! {
    Int16Type, i16, "smallint";
    Int32Type, i32, "integer";
    Int64Type, i64, "bigint";
}

/// To an integer: numerics round half away from zero, floats half to even.
pub(super) fn to_integer<T: Target>(array: &ArrayRef) -> Result<ArrayRef> {
    let of = |value: i128| T::of_i128(value).ok_or_else(|| out_of_range(T::NAME));
    let of_float = |value: f64| {
        let rounded = value.round_ties_even();
        if rounded.is_nan() || rounded.abs() > 1e19 {
            return Err(out_of_range(T::NAME));
        }
        of(rounded as i128)
    };
    match array.data_type() {
        DataType::Int16 => map::<Int16Type, T>(array, |v| of(i128::from(v))),
        DataType::Int32 => map::<Int32Type, T>(array, |v| of(i128::from(v))),
        DataType::Int64 => map::<Int64Type, T>(array, |v| of(i128::from(v))),
        DataType::Float32 => map::<Float32Type, T>(array, |v| of_float(f64::from(v))),
        DataType::Float64 => map::<Float64Type, T>(array, of_float),
        other => {
            let (_, scale) = precision_scale(other)?;
            let divisor = power(u32::from(scale.max(0).unsigned_abs()));
            let factor = power(u32::from(scale.min(0).unsigned_abs()));
            map::<Decimal128Type, T>(array, |v| {
                let whole = if divisor == 1 { v } else { divide_rounded(v, divisor) };
                whole.checked_mul(factor).ok_or_else(|| out_of_range(T::NAME)).and_then(of)
            })
        }
    }
}

/// To `numeric(precision, scale)`, or `numeric field overflow`.
pub(super) fn to_numeric(array: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let limit = power(u32::from(precision));
    let checked = |value: Option<i128>| {
        value
            .filter(|v| (-limit + 1..limit).contains(v))
            .ok_or_else(|| field_overflow(precision, scale))
    };
    let of_integer = |value: i128| checked(decimal::rescale(value, 0, scale));
    let of_float = |value: f64, digits: usize| {
        if value.is_nan() || value.is_infinite() {
            return Err(ErrorReport::unsupported(
                "numeric values NaN and infinity are not supported",
            ));
        }
        checked(decimal::from_f64(value, digits, scale))
    };
    let result = match array.data_type() {
        DataType::Int16 => map::<Int16Type, Decimal128Type>(array, |v| of_integer(i128::from(v))),
        DataType::Int32 => map::<Int32Type, Decimal128Type>(array, |v| of_integer(i128::from(v))),
        DataType::Int64 => map::<Int64Type, Decimal128Type>(array, |v| of_integer(i128::from(v))),
        // FLT_DIG and DBL_DIG significant digits, as float4_numeric and float8_numeric.
        DataType::Float32 => {
            map::<Float32Type, Decimal128Type>(array, |v| of_float(f64::from(v), 6))
        }
        DataType::Float64 => map::<Float64Type, Decimal128Type>(array, |v| of_float(v, 15)),
        other => {
            let (_, from) = precision_scale(other)?;
            map::<Decimal128Type, Decimal128Type>(array, |v| {
                checked(decimal::rescale(v, from, scale))
            })
        }
    }?;
    let numbers = primitive::<Decimal128Type>(&result)?.clone();
    Ok(Arc::new(numbers.with_data_type(DataType::Decimal128(precision, scale))))
}

/// To double precision.
pub(super) fn to_double(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Int16 => map::<Int16Type, Float64Type>(array, |v| Ok(f64::from(v))),
        DataType::Int32 => map::<Int32Type, Float64Type>(array, |v| Ok(f64::from(v))),
        DataType::Int64 => map::<Int64Type, Float64Type>(array, |v| Ok(v as f64)),
        DataType::Float32 => map::<Float32Type, Float64Type>(array, |v| Ok(f64::from(v))),
        DataType::Float64 => Ok(Arc::clone(array)),
        other => {
            let (_, scale) = precision_scale(other)?;
            map::<Decimal128Type, Float64Type>(array, |v| Ok(double_of_decimal(v, scale)))
        }
    }
}

/// To real.
pub(super) fn to_real(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Int16 => map::<Int16Type, Float32Type>(array, |v| Ok(f32::from(v))),
        DataType::Int32 => map::<Int32Type, Float32Type>(array, |v| Ok(v as f32)),
        DataType::Int64 => map::<Int64Type, Float32Type>(array, |v| Ok(v as f32)),
        DataType::Float32 => Ok(Arc::clone(array)),
        DataType::Float64 => map::<Float64Type, Float32Type>(array, |v| {
            let real = v as f32;
            if real.is_infinite() && !v.is_infinite() {
                Err(float_overflow())
            } else if real == 0.0 && v != 0.0 {
                Err(float_underflow())
            } else {
                Ok(real)
            }
        }),
        other => {
            let (_, scale) = precision_scale(other)?;
            map::<Decimal128Type, Float32Type>(array, |v| {
                Ok(decimal::format(v, scale).parse().unwrap_or(f32::NAN))
            })
        }
    }
}

/// The nearest double of an unscaled decimal.
pub(crate) fn double_of_decimal(value: i128, scale: i8) -> f64 {
    // Both operands are exact doubles, so the division rounds once.
    if (0..=22).contains(&scale) && value.unsigned_abs() < 1 << 53 {
        return value as f64 / power(u32::from(scale.unsigned_abs())) as f64;
    }
    decimal::format(value, scale).parse().unwrap_or(f64::NAN)
}

/// A column of a type that the caller has looked at.
pub(super) fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    array.as_primitive_opt::<T>().ok_or_else(|| wrong_type(array.data_type(), &T::DATA_TYPE))
}

/// `f` over the values that are not NULL.
pub(super) fn map<A, R>(
    array: &ArrayRef,
    f: impl Fn(A::Native) -> Made<R::Native>,
) -> Result<ArrayRef>
where
    A: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
{
    let result: PrimitiveArray<R> = primitive::<A>(array)?.try_unary(f).map_err(to_datafusion)?;
    Ok(Arc::new(result))
}
