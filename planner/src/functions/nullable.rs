//! `kestrel_nullable(x, …)`: x, of which nobody may conclude that it is never NULL. The other
//! arguments are only there to be needed.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
        Volatility, expr::ScalarFunction,
    },
};
use kestrel_proto::ErrorReport;

use super::function;
use crate::error::to_datafusion;

/// The call.
pub(crate) fn sql_nullable(expr: Expr) -> Expr {
    sql_held(expr, Vec::new())
}

/// The call, which is computed where all of `needed` are.
pub(crate) fn sql_held(expr: Expr, needed: Vec<Expr>) -> Expr {
    let arguments = [vec![expr], needed].concat();
    Expr::ScalarFunction(ScalarFunction::new_udf(function(Nullable::new()), arguments))
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Nullable {
    signature: Signature,
}

impl Nullable {
    pub(super) fn new() -> Self {
        // Or a constant would be computed at once, and be no NULL again.
        Self { signature: Signature::variadic_any(Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Nullable {
    fn name(&self) -> &str {
        "kestrel_nullable"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(no_argument)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = args.arg_fields.first().ok_or_else(no_argument)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().ok_or_else(no_argument)
    }
}

fn no_argument() -> datafusion::error::DataFusionError {
    to_datafusion(ErrorReport::internal("kestrel_nullable takes one argument"))
}
