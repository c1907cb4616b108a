//! smallint, integer, bigint: checked, as PostgreSQL's int.c and int8.c.

use arrow::datatypes::{ArrowPrimitiveType, DataType, Int16Type, Int32Type, Int64Type};
use datafusion::{common::Result, logical_expr::ColumnarValue};

use super::Arithmetic;
use crate::functions::operand::{Operand, division_by_zero, out_of_range, try_zip};

/// An integer type of PostgreSQL's.
pub(crate) trait Integer: ArrowPrimitiveType {
    /// Its name in `… out of range`.
    const NAME: &'static str;
    /// Result and overflow flag; a zero divisor raises the flag too.
    fn apply(op: Arithmetic, a: Self::Native, b: Self::Native) -> (Self::Native, bool);
    /// Whether it is zero.
    fn is_zero(value: Self::Native) -> bool;
}

macro_rules! integers {
    ($($arrow:ty, $native:ty, $name:literal;)*) => {$(
        impl Integer for $arrow {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn apply(op: Arithmetic, a: $native, b: $native) -> ($native, bool) {
                match op {
                    Arithmetic::Add => a.overflowing_add(b),
                    Arithmetic::Subtract => a.overflowing_sub(b),
                    Arithmetic::Multiply => a.overflowing_mul(b),
                    Arithmetic::Divide if b == 0 => (0, true),
                    Arithmetic::Divide => a.overflowing_div(b),
                    Arithmetic::Modulo if b == 0 => (0, true),
                    // The smallest value modulo -1 is 0, not an overflow.
                    Arithmetic::Modulo => (a.wrapping_rem(b), false),
                }
            }

            fn is_zero(value: $native) -> bool {
                value == 0
            }
        }
    )*};
}

integers! {
    Int16Type, i16, "smallint";
    Int32Type, i32, "integer";
    Int64Type, i64, "bigint";
}

/// Evaluates over two arguments of type `T`.
pub(super) fn evaluate<T: Integer>(
    op: Arithmetic,
    left: &ColumnarValue,
    right: &ColumnarValue,
    result: &DataType,
) -> Result<ColumnarValue> {
    let (left, right) = (Operand::<T>::of(left)?, Operand::<T>::of(right)?);
    let explain = |_: T::Native, b: T::Native| {
        if matches!(op, Arithmetic::Divide | Arithmetic::Modulo) && T::is_zero(b) {
            division_by_zero()
        } else {
            out_of_range(T::NAME)
        }
    };
    // One loop per operator, so that each can be vectorised.
    let values: Operand<T> = match op {
        Arithmetic::Add => try_zip(&left, &right, |a, b| T::apply(Arithmetic::Add, a, b), explain),
        Arithmetic::Subtract => {
            try_zip(&left, &right, |a, b| T::apply(Arithmetic::Subtract, a, b), explain)
        }
        Arithmetic::Multiply => {
            try_zip(&left, &right, |a, b| T::apply(Arithmetic::Multiply, a, b), explain)
        }
        Arithmetic::Divide => {
            try_zip(&left, &right, |a, b| T::apply(Arithmetic::Divide, a, b), explain)
        }
        Arithmetic::Modulo => {
            try_zip(&left, &right, |a, b| T::apply(Arithmetic::Modulo, a, b), explain)
        }
    }?;
    values.finish(result)
}
