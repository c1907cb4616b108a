//! Vectorised application of a scalar operation to columns and constants.
//!
//! Operations that can fail are first run over the whole batch without a branch, each saying with a
//! flag whether it failed; only a batch with a flag up is looked at value by value (values under
//! NULL may fail without harm).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    buffer::NullBuffer,
    datatypes::DataType,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ColumnarValue,
};
use kestrel_proto::{ErrorReport, SqlState};

use crate::error::to_datafusion;

/// An argument: a column, or one value for all rows.
#[derive(Clone, Debug)]
pub(crate) struct Operand<T: ArrowPrimitiveType> {
    array: PrimitiveArray<T>,
    constant: bool,
}

impl<T: ArrowPrimitiveType> Operand<T> {
    /// The argument as values of `T`; anything else is a bug in the function's type resolution.
    pub(crate) fn of(value: &ColumnarValue) -> Result<Self> {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let Some(array) = array.as_primitive_opt::<T>() else {
            return Err(wrong_type(array.data_type(), &T::DATA_TYPE));
        };
        Ok(Self { array: array.clone(), constant })
    }

    /// The values, those under NULL included; one if constant.
    pub(crate) fn values(&self) -> &[T::Native] {
        self.array.values()
    }

    /// `f` over all values.
    pub(crate) fn map(&self, f: impl Fn(T::Native) -> T::Native) -> Self {
        Self { array: self.array.unary(f), constant: self.constant }
    }

    /// Like [`Operand::map`] with an operation that can fail.
    pub(crate) fn try_map(
        &self,
        f: impl Fn(T::Native) -> Result<T::Native, ErrorReport>,
    ) -> Result<Self> {
        let array = self.array.try_unary(f).map_err(to_datafusion)?;
        Ok(Self { array, constant: self.constant })
    }

    /// As a function's result of type `data_type`.
    pub(crate) fn finish(self, data_type: &DataType) -> Result<ColumnarValue> {
        let array: ArrayRef = Arc::new(self.array.with_data_type(data_type.clone()));
        finish(array, self.constant)
    }
}

/// The report of an argument whose type the function did not ask for.
pub(crate) fn wrong_type(
    found: &DataType,
    wanted: &DataType,
) -> datafusion::error::DataFusionError {
    to_datafusion(ErrorReport::internal(format!(
        "a function of type {wanted} was given an argument of type {found}"
    )))
}

/// A function's result: a column, or the one value of a constant.
pub(crate) fn finish(array: ArrayRef, constant: bool) -> Result<ColumnarValue> {
    Ok(if constant {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
    } else {
        ColumnarValue::Array(array)
    })
}

/// `f` over pairs of values. Never fails: `f` must have a value for whatever is under NULL.
pub(crate) fn zip<A, B, R>(
    left: &Operand<A>,
    right: &Operand<B>,
    f: impl Fn(A::Native, B::Native) -> R::Native,
) -> Operand<R>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
{
    let nulls = nulls(left, right);
    let (a, b) = (left.values(), right.values());
    let values: Vec<R::Native> = match (left.constant, right.constant) {
        (false, false) => a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect(),
        (false, true) => {
            let b = b[0];
            a.iter().map(|a| f(*a, b)).collect()
        }
        (true, false) => {
            let a = a[0];
            b.iter().map(|b| f(a, *b)).collect()
        }
        (true, true) => vec![f(a[0], b[0])],
    };
    Operand {
        array: PrimitiveArray::new(values.into(), nulls),
        constant: left.constant && right.constant,
    }
}

/// `f` over pairs of values; its flag says that it failed, and `explain` then says why.
pub(crate) fn try_zip<A, B, R>(
    left: &Operand<A>,
    right: &Operand<B>,
    f: impl Fn(A::Native, B::Native) -> (R::Native, bool),
    explain: impl Fn(A::Native, B::Native) -> ErrorReport,
) -> Result<Operand<R>>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
{
    let failed = std::cell::Cell::new(false);
    let result = zip(left, right, |a, b| {
        let (value, bad) = f(a, b);
        failed.set(failed.get() | bad);
        value
    });
    if failed.get() {
        for row in 0..result.array.len() {
            if result.array.is_valid(row) {
                let a = left.values()[if left.constant { 0 } else { row }];
                let b = right.values()[if right.constant { 0 } else { row }];
                if f(a, b).1 {
                    return Err(to_datafusion(explain(a, b)));
                }
            }
        }
    }
    Ok(result)
}

/// Validity of the pairs, in the length of the result.
fn nulls<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    left: &Operand<A>,
    right: &Operand<B>,
) -> Option<NullBuffer> {
    let rows = if left.constant { right.values().len() } else { left.values().len() };
    let of_constant = |valid: bool| (!valid).then(|| NullBuffer::new_null(rows));
    let of = |nulls: Option<&NullBuffer>, constant: bool| match nulls {
        Some(nulls) if constant => of_constant(nulls.is_valid(0)),
        nulls => nulls.cloned(),
    };
    let left = of(left.array.nulls(), left.constant);
    let right = of(right.array.nulls(), right.constant);
    NullBuffer::union(left.as_ref(), right.as_ref())
}

/// `division by zero` (22012).
pub(crate) fn division_by_zero() -> ErrorReport {
    ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// `<what> out of range` (22003).
pub(crate) fn out_of_range(what: &str) -> ErrorReport {
    ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{what} out of range"))
}
