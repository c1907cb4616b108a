//! Which of the functions a plan calls are plain arithmetic and plain aggregates: operators that
//! compute the same in another way ask for them here.

use datafusion::{
    functions_aggregate::count::Count,
    logical_expr::{AggregateUDF, ScalarUDF},
};

use super::{
    aggregate::{Avg, MinMax, Sum},
    arithmetic::{Arithmetic, ArithmeticFunction, Negate},
    cast::{CastFunction, ToNumeric},
};

/// A function whose result is exact over numerics, and that is strict: NULL in, NULL out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactFunction {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`: exact if the result's scale is the sum of the operands' scales.
    Multiply,
    /// `- a`
    Negate,
    /// The first argument as another type: exact if that has no fewer fractional digits, and the
    /// value fits.
    Cast,
}

impl ExactFunction {
    /// `None`: another function.
    pub fn of(function: &ScalarUDF) -> Option<Self> {
        let inner = function.inner();
        if let Some(arithmetic) = inner.downcast_ref::<ArithmeticFunction>() {
            return match arithmetic.operator() {
                Arithmetic::Add => Some(Self::Add),
                Arithmetic::Subtract => Some(Self::Subtract),
                Arithmetic::Multiply => Some(Self::Multiply),
                Arithmetic::Divide | Arithmetic::Modulo => None,
            };
        }
        if inner.is::<Negate>() {
            return Some(Self::Negate);
        }
        (inner.is::<CastFunction>() || inner.is::<ToNumeric>()).then_some(Self::Cast)
    }
}

/// An aggregate whose partial state is as simple as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainAggregate {
    /// State: the sum; NULL of no values.
    Sum,
    /// State: the sum as that of [`PlainAggregate::Sum`], the count of values.
    Avg,
    /// State: the count of values that are not NULL.
    Count,
    /// State: the least value; NULL of no values.
    Min,
    /// State: the greatest value; NULL of no values.
    Max,
}

impl PlainAggregate {
    /// `None`: another function.
    pub fn of(function: &AggregateUDF) -> Option<Self> {
        let inner = function.inner();
        if inner.is::<Sum>() {
            return Some(Self::Sum);
        }
        if inner.is::<Avg>() {
            return Some(Self::Avg);
        }
        if inner.is::<Count>() {
            return Some(Self::Count);
        }
        let extreme = inner.downcast_ref::<MinMax>()?;
        Some(if extreme.is_max() { Self::Max } else { Self::Min })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::FunctionRegistry;

    #[test]
    fn functions_are_found_by_what_they_do() {
        let registry = FunctionRegistry::new();
        let scalar = |name| registry.scalar(name).and_then(|f| ExactFunction::of(&f));
        for (name, expected) in [
            ("kestrel_add", Some(ExactFunction::Add)),
            ("kestrel_subtract", Some(ExactFunction::Subtract)),
            ("kestrel_multiply", Some(ExactFunction::Multiply)),
            ("kestrel_negate", Some(ExactFunction::Negate)),
            ("kestrel_cast", Some(ExactFunction::Cast)),
            ("kestrel_numeric", Some(ExactFunction::Cast)),
            ("kestrel_divide", None),
            ("abs", None),
        ] {
            assert_eq!(scalar(name), expected, "{name}");
        }
        let aggregate = |name| registry.aggregate(name).and_then(|f| PlainAggregate::of(&f));
        for (name, expected) in [
            ("sum", Some(PlainAggregate::Sum)),
            ("avg", Some(PlainAggregate::Avg)),
            ("count", Some(PlainAggregate::Count)),
            ("min", Some(PlainAggregate::Min)),
            ("max", Some(PlainAggregate::Max)),
            ("stddev", None),
        ] {
            assert_eq!(aggregate(name), expected, "{name}");
        }
    }
}
