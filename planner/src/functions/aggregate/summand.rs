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
    ($($kind:ty, $input:ty, $state:ty, $wide:ty, $in_range:expr, $overflow:expr;)*) => {$(
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
    Small<Int16Type>, Int16Type, Int64Type, i64, |_| true, out_of_range("bigint");
    Small<Int32Type>, Int32Type, Int64Type, i64, |_| true, out_of_range("bigint");
    Big, Int64Type, Decimal128Type, i128, fits, overflow();
    Exact, Decimal128Type, Decimal128Type, i128, fits, overflow();
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
    let step = |(sum, bad): (StateOf<K>, bool), value| {
        let value = K::widen(value);
        let (sum, overflowed) = if subtract { K::subtract(sum, value) } else { K::add(sum, value) };
        (sum, bad | overflowed)
    };
    let start = (sum, false);
    let (sum, overflowed) = match arrow::array::Array::nulls(values) {
        None => values.values().iter().copied().fold(start, step),
        Some(_) => values.iter().flatten().fold(start, step),
    };
    if overflowed { Err(to_datafusion(K::overflow())) } else { Ok(sum) }
}
