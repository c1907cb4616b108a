//! What can be summed up: for each input type the type that its sums are kept in.

use std::{fmt::Debug, sync::Arc};

use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray},
    buffer::NullBuffer,
    datatypes::{
        DataType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    },
};
use datafusion::common::Result;
use kestrel_proto::ErrorReport;

use crate::{
    error::to_datafusion,
    functions::{
        arithmetic::{float_overflow, types::Class},
        decimal::{MAX_PRECISION, fits, overflow},
        operand::{out_of_range, wrong_type},
    },
};

/// An input type and how it is summed.
pub(super) trait Summand: Debug + Send + Sync + 'static {
    /// What comes in.
    type Input: ArrowPrimitiveType + Send;
    /// What sums are kept in.
    type State: ArrowPrimitiveType + Send;

    /// An input as a sum.
    fn widen(
        value: <Self::Input as ArrowPrimitiveType>::Native,
    ) -> <Self::State as ArrowPrimitiveType>::Native;

    /// `sum + value`, and whether it overflowed.
    fn add(
        sum: <Self::State as ArrowPrimitiveType>::Native,
        value: <Self::State as ArrowPrimitiveType>::Native,
    ) -> (<Self::State as ArrowPrimitiveType>::Native, bool);

    /// The sum of at most [`BLOCK`] values, where that cannot overflow: then `sum + value` need not
    /// be checked for each of them. `None`: it could.
    fn block(
        _: &[<Self::Input as ArrowPrimitiveType>::Native],
    ) -> Option<<Self::State as ArrowPrimitiveType>::Native> {
        None
    }

    /// `sum - value`, and whether it overflowed.
    fn subtract(
        sum: <Self::State as ArrowPrimitiveType>::Native,
        value: <Self::State as ArrowPrimitiveType>::Native,
    ) -> (<Self::State as ArrowPrimitiveType>::Native, bool);

    /// Whether the state's SQL type can hold the sum.
    fn is_in_range(sum: <Self::State as ArrowPrimitiveType>::Native) -> bool;

    /// The error of a sum that cannot be held.
    fn overflow() -> ErrorReport;
}

/// Values that are summed up at a time.
const BLOCK: usize = 1 << 16;

/// The native type of a summand's sums.
pub(super) type StateOf<K> = <<K as Summand>::State as ArrowPrimitiveType>::Native;

/// smallint and integer: 64 bits.
#[derive(Debug)]
pub(super) struct Small<T>(std::marker::PhantomData<fn() -> T>);
/// bigint: numeric of 38 digits.
#[derive(Debug)]
pub(super) struct Big;
/// numeric.
#[derive(Debug)]
pub(super) struct Exact;
/// real and double precision: double.
#[derive(Debug)]
pub(super) struct Floating<T>(std::marker::PhantomData<fn() -> T>);

macro_rules! integer_summands {
    ($($kind:ty, $input:ty, $state:ty, $wide:ty, $block:expr, $in_range:expr, $overflow:expr;)*) => {$(
        impl Summand for $kind {
            type Input = $input;
            type State = $state;

            #[inline(always)]
            fn widen(value: <$input as ArrowPrimitiveType>::Native) -> $wide {
                <$wide>::from(value)
            }

            #[inline(always)]
            fn add(sum: $wide, value: $wide) -> ($wide, bool) {
                sum.overflowing_add(value)
            }

            fn block(values: &[<$input as ArrowPrimitiveType>::Native]) -> Option<$wide> {
                $block(values)
            }

            #[inline(always)]
            fn subtract(sum: $wide, value: $wide) -> ($wide, bool) {
                sum.overflowing_sub(value)
            }

            fn is_in_range(sum: $wide) -> bool {
                $in_range(sum)
            }

            fn overflow() -> ErrorReport {
                $overflow
            }
        }
    )*};
}

integer_summands! {
    Small<Int16Type>, Int16Type, Int64Type, i64, widened, |_| true, out_of_range("bigint");
    Small<Int32Type>, Int32Type, Int64Type, i64, widened, |_| true, out_of_range("bigint");
    Big, Int64Type, Decimal128Type, i128, widened, fits, overflow();
    Exact, Decimal128Type, Decimal128Type, i128, narrow, fits, overflow();
}

/// The sum of integers in a type that has room for a block of them.
fn widened<T: Copy, W: From<T> + std::iter::Sum>(values: &[T]) -> Option<W> {
    Some(values.iter().map(|value| W::from(*value)).sum())
}

/// The sum of numerics, if all of them are as short as they mostly are.
fn narrow(values: &[i128]) -> Option<i128> {
    let wide = values.iter().fold(0, |all, v| all | (v ^ i128::from(*v as i64)));
    (wide == 0).then(|| values.iter().map(|value| i128::from(*value as i64)).sum())
}

macro_rules! float_summands {
    ($($input:ty;)*) => {$(
        impl Summand for Floating<$input> {
            type Input = $input;
            type State = Float64Type;

            #[inline(always)]
            fn widen(value: <$input as ArrowPrimitiveType>::Native) -> f64 {
                f64::from(value)
            }

            #[inline(always)]
            fn add(sum: f64, value: f64) -> (f64, bool) {
                let result = sum + value;
                (result, result.is_infinite() & !sum.is_infinite() & !value.is_infinite())
            }

            #[inline(always)]
            fn subtract(sum: f64, value: f64) -> (f64, bool) {
                (sum - value, false)
            }

            fn is_in_range(_: f64) -> bool {
                true
            }

            fn overflow() -> ErrorReport {
                float_overflow()
            }
        }
    )*};
}

float_summands! {
    Float32Type;
    Float64Type;
}

/// The type that sums of values of `input` are kept in.
pub(super) fn state_type(input: &DataType) -> Result<DataType> {
    Ok(match Class::of(input) {
        Some(Class::Integer(2 | 4)) => DataType::Int64,
        Some(Class::Integer(_)) => DataType::Decimal128(MAX_PRECISION, 0),
        Some(Class::Numeric(_, scale)) => DataType::Decimal128(MAX_PRECISION, scale),
        Some(Class::Real | Class::Double) => DataType::Float64,
        _ => return Err(wrong_type(input, &DataType::Decimal128(MAX_PRECISION, 0))),
    })
}

/// Calls `$make::<K>` with the summand for an input type.
macro_rules! for_summand {
    ($input:expr, $make:ident($($argument:expr),*)) => {
        match $input {
            DataType::Int16 => $make::<Small<Int16Type>>($($argument),*),
            DataType::Int32 => $make::<Small<Int32Type>>($($argument),*),
            DataType::Int64 => $make::<Big>($($argument),*),
            DataType::Decimal128(..) => $make::<Exact>($($argument),*),
            DataType::Float32 => $make::<Floating<Float32Type>>($($argument),*),
            DataType::Float64 => $make::<Floating<Float64Type>>($($argument),*),
            other => Err(crate::functions::operand::wrong_type(
                other,
                &DataType::Decimal128(38, 0),
            )),
        }
    };
}
pub(super) use for_summand;

/// A column of sums; one that its type cannot hold is an error.
pub(super) fn finished<K: Summand>(
    sums: Vec<StateOf<K>>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> Result<ArrayRef> {
    if !sums.iter().all(|sum| K::is_in_range(*sum)) {
        return Err(to_datafusion(K::overflow()));
    }
    let array = PrimitiveArray::<K::State>::new(sums.into(), nulls);
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}

/// `sum` and all values of a column that are not NULL.
pub(super) fn add_all<K: Summand>(
    sum: StateOf<K>,
    values: &PrimitiveArray<K::Input>,
    subtract: bool,
) -> Result<StateOf<K>> {
    let slice = values.values().as_ref();
    let total = |(sum, bad): (StateOf<K>, bool), (start, end): (usize, usize)| {
        let run = slice.get(start..end).unwrap_or_default();
        run.chunks(BLOCK).fold((sum, bad), |(sum, bad), block| {
            let (sum, overflowed) = match K::block(block) {
                Some(block) if subtract => K::subtract(sum, block),
                Some(block) => K::add(sum, block),
                None => add_each::<K>(sum, block, subtract),
            };
            (sum, bad | overflowed)
        })
    };
    let start = (sum, false);
    let (sum, overflowed) = match arrow::array::Array::nulls(values) {
        None => total(start, (0, slice.len())),
        Some(nulls) => nulls.valid_slices().fold(start, total),
    };
    if overflowed { Err(to_datafusion(K::overflow())) } else { Ok(sum) }
}

fn add_each<K: Summand>(
    sum: StateOf<K>,
    values: &[<K::Input as ArrowPrimitiveType>::Native],
    subtract: bool,
) -> (StateOf<K>, bool) {
    values.iter().fold((sum, false), |(sum, bad), value| {
        let value = K::widen(*value);
        let (sum, overflowed) = if subtract { K::subtract(sum, value) } else { K::add(sum, value) };
        (sum, bad | overflowed)
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int32Array, Int64Array};

    use super::*;

    #[test]
    fn blocks_add_up_to_what_single_values_do() {
        let big = i64::MAX - 5;
        let values: Int64Array = (0..200_000).map(|row| (row % 7 != 0).then_some(big)).collect();
        let valid = 200_000 - 200_000_i128.div_euclid(7) - 1;
        let sum = add_all::<Big>(3, &values, false).unwrap();
        assert_eq!(sum, i128::from(big) * valid + 3);
        assert_eq!(add_all::<Big>(sum, &values, true).unwrap(), 3);
        let small = Int32Array::from_value(i32::MIN, 100_000);
        let sum = add_all::<Small<Int32Type>>(0, &small, false).unwrap();
        assert_eq!(sum, i64::from(i32::MIN) * 100_000);
        assert!(add_all::<Small<Int32Type>>(i64::MIN, &small, false).is_err());
    }

    #[test]
    fn long_numerics_are_added_one_by_one() {
        let end = i128::MAX / 4;
        let values = Decimal128Array::from(vec![Some(end), None, Some(-1), Some(1)]);
        assert_eq!(add_all::<Exact>(end, &values, false).unwrap(), 2 * end);
        assert_eq!(add_all::<Exact>(end, &values, true).unwrap(), 0);
        assert!(add_all::<Exact>(i128::MAX - 5, &values, false).is_err());
    }
}
