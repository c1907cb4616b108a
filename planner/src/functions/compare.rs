//! Comparisons that Arrow's kernels cannot do: numerics whose common type would need more than 38
//! digits, and intervals.

use std::sync::Arc;

use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Int32Type, IntervalMonthDayNanoType};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
};
use kestrel_proto::ErrorReport;

use super::{
    arithmetic::{comparable_interval, precision_scale, strict_field, types::Class},
    decimal,
    operand::{Operand, zip},
};
use crate::error::to_datafusion;

/// `kestrel_compare_numeric(a, b)`: -1, 0 or 1 as `a` is less than, equal to or greater than `b`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CompareNumeric {
    signature: Signature,
}

impl CompareNumeric {
    /// The function.
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for CompareNumeric {
    fn name(&self) -> &str {
        "kestrel_compare_numeric"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        arguments
            .iter()
            .map(|t| precision_scale(t).map(|(p, s)| DataType::Decimal128(p, s)))
            .collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("a comparison takes two numbers")));
        };
        let (_, s1) = precision_scale(&left.data_type())?;
        let (_, s2) = precision_scale(&right.data_type())?;
        let (left, right) =
            (Operand::<Decimal128Type>::of(left)?, Operand::<Decimal128Type>::of(right)?);
        let order: Operand<Int32Type> =
            zip(&left, &right, |a, b| decimal::compare((a, s1), (b, s2)) as i32);
        order.finish(&DataType::Int32)
    }
}

/// `kestrel_interval_length(i)`: nanoseconds, with months of 30 days and days of 24 hours, as
/// PostgreSQL compares intervals (`interval_cmp_value`).
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct IntervalLength {
    signature: Signature,
}

impl IntervalLength {
    /// The function.
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IntervalLength {
    fn name(&self) -> &str {
        "kestrel_interval_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, _: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![Class::Interval.arrow()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(decimal::MAX_PRECISION, 0))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [interval] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("a length of one interval")));
        };
        let interval = Operand::<IntervalMonthDayNanoType>::of(interval)?;
        let length: Operand<Decimal128Type> =
            zip(&interval, &interval, |a, _| comparable_interval(a));
        length.finish(args.return_field.data_type())
    }
}

/// All functions of this file.
pub(super) fn all() -> Vec<Arc<datafusion::logical_expr::ScalarUDF>> {
    vec![super::function(CompareNumeric::new()), super::function(IntervalLength::new())]
}
