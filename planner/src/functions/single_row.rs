//! `kestrel_single_row(x, rows)`: x, the value of a subquery that found so many rows. An error where
//! they are more than one, but only if somebody wants the value: CASE may never ask.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    compute::max,
    datatypes::{DataType, FieldRef, Int64Type},
};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
        Volatility, expr::ScalarFunction,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::function;
use crate::error::to_datafusion;

/// The call. `rows` is a bigint.
pub(crate) fn sql_single_row(value: Expr, rows: Expr) -> Expr {
    let arguments = vec![value, rows];
    Expr::ScalarFunction(ScalarFunction::new_udf(function(SingleRow::new()), arguments))
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SingleRow {
    signature: Signature,
}

impl SingleRow {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SingleRow {
    fn name(&self) -> &str {
        "kestrel_single_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(wrong_arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = args.arg_fields.first().ok_or_else(wrong_arguments)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    /// Errors: 21000 where more than one row was found.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number_rows = args.number_rows;
        let mut arguments = args.args.into_iter();
        let (Some(value), Some(rows)) = (arguments.next(), arguments.next()) else {
            return Err(wrong_arguments());
        };
        let rows = rows.into_array(number_rows)?;
        let rows = rows.as_primitive_opt::<Int64Type>().ok_or_else(wrong_arguments)?;
        if max(rows).is_some_and(|rows| rows > 1) {
            return Err(to_datafusion(ErrorReport::new(
                SqlState::CARDINALITY_VIOLATION,
                "more than one row returned by a subquery used as an expression",
            )));
        }
        Ok(value)
    }
}

fn wrong_arguments() -> datafusion::error::DataFusionError {
    to_datafusion(ErrorReport::internal("kestrel_single_row takes a value and a bigint"))
}
