//! real and double precision: infinities and zeros that the operands do not explain are errors, as
//! in PostgreSQL's float.h.

use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use datafusion::{common::Result, logical_expr::ColumnarValue};
use kestrel_proto::{ErrorReport, SqlState};

use super::Arithmetic;
use crate::functions::operand::{Operand, division_by_zero, try_zip};

/// A floating-point type.
pub(super) trait Float: ArrowPrimitiveType {
    /// Result, and whether it is an error.
    fn apply(op: Arithmetic, a: Self::Native, b: Self::Native) -> (Self::Native, bool);
    /// The value as a double, to tell errors apart.
    fn double(value: Self::Native) -> f64;
}

macro_rules! floats {
    ($($arrow:ty, $native:ty;)*) => {$(
        impl Float for $arrow {
            #[inline(always)]
            fn apply(op: Arithmetic, a: $native, b: $native) -> ($native, bool) {
                let overflow = |r: $native| r.is_infinite() & !a.is_infinite() & !b.is_infinite();
                match op {
                    Arithmetic::Add => { let r = a + b; (r, overflow(r)) }
                    Arithmetic::Subtract => { let r = a - b; (r, overflow(r)) }
                    Arithmetic::Multiply => {
                        let r = a * b;
                        (r, overflow(r) | ((r == 0.0) & (a != 0.0) & (b != 0.0)))
                    }
                    Arithmetic::Divide => {
                        let r = a / b;
                        let zero = (b == 0.0) & !a.is_nan();
                        let vanished = (r == 0.0) & (a != 0.0) & !b.is_infinite();
                        (r, zero | overflow(r) | vanished)
                    }
                    Arithmetic::Modulo => (a % b, true),
                }
            }

            fn double(value: $native) -> f64 {
                f64::from(value)
            }
        }
    )*};
}

floats! {
    Float32Type, f32;
    Float64Type, f64;
}

/// Evaluates over two arguments of type `T`.
pub(super) fn evaluate<T: Float>(
    op: Arithmetic,
    left: &ColumnarValue,
    right: &ColumnarValue,
    result: &DataType,
) -> Result<ColumnarValue> {
    let (left, right) = (Operand::<T>::of(left)?, Operand::<T>::of(right)?);
    let explain = |a: T::Native, b: T::Native| {
        if op == Arithmetic::Divide && T::double(b) == 0.0 {
            return division_by_zero();
        }
        if T::double(T::apply(op, a, b).0) == 0.0 { underflow() } else { overflow() }
    };
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

/// `value out of range: overflow` (22003).
pub(crate) fn overflow() -> ErrorReport {
    ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

/// `value out of range: underflow` (22003).
pub(crate) fn underflow() -> ErrorReport {
    ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}
