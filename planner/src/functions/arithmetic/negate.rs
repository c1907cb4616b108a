//! Unary minus.

use std::sync::Arc;

use arrow::datatypes::{
    DataType, Decimal128Type, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType,
};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr::ScalarFunction,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{integer::Integer, interval, no_operator, strict_field, types::Class};
use crate::{
    error::to_datafusion,
    functions::{
        operand::{Operand, out_of_range},
        sql_name,
    },
};

/// `- x` for numbers and intervals; the smallest integer has no opposite (22003).
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Negate {
    signature: Signature,
}

impl Negate {
    /// The function.
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// `- operand`.
    pub(crate) fn call(operand: Expr) -> Expr {
        let function = Arc::new(ScalarUDF::new_from_impl(Self::new()));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![operand]))
    }
}

impl ScalarUDFImpl for Negate {
    fn name(&self) -> &str {
        "kestrel_negate"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map_or_else(String::new, |operand| format!("(- {operand})")))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map_or_else(String::new, |o| format!("(- {})", o.schema_name())))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![self.return_type(arguments)?])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let argument = arguments.first().unwrap_or(&DataType::Null);
        match Class::of(argument) {
            Some(Class::Unknown) => Ok(DataType::Int32),
            Some(class) if class.is_number() || class == Class::Interval => Ok(class.arrow()),
            _ => {
                let mut report = no_operator("-", argument, argument);
                report.message = format!("operator does not exist: - {}", sql_name(argument));
                Err(to_datafusion(report))
            }
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type();
        let [operand] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("unary minus without operand")));
        };
        match result {
            DataType::Int16 => negate_integer::<Int16Type>(operand, result),
            DataType::Int32 => negate_integer::<Int32Type>(operand, result),
            DataType::Int64 => negate_integer::<Int64Type>(operand, result),
            DataType::Decimal128(..) => {
                Operand::<Decimal128Type>::of(operand)?.map(i128::wrapping_neg).finish(result)
            }
            DataType::Float32 => Operand::<Float32Type>::of(operand)?.map(|v| -v).finish(result),
            DataType::Float64 => Operand::<Float64Type>::of(operand)?.map(|v| -v).finish(result),
            DataType::Interval(_) => Operand::<IntervalMonthDayNanoType>::of(operand)?
                .try_map(|v| {
                    interval::negate(v).ok_or_else(|| {
                        ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
                    })
                })?
                .finish(result),
            other => Err(to_datafusion(ErrorReport::internal(format!("unary minus of {other}")))),
        }
    }
}

fn negate_integer<T: Integer>(operand: &ColumnarValue, result: &DataType) -> Result<ColumnarValue> {
    let zero = T::default_value();
    Operand::<T>::of(operand)?
        .try_map(|v| match T::apply(super::Arithmetic::Subtract, zero, v) {
            (value, false) => Ok(value),
            (_, true) => Err(out_of_range(T::NAME)),
        })?
        .finish(result)
}
