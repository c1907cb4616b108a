//! A function that does not exist: PostgreSQL's error names the types it was called with, which are
//! known only when the call has its types.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    error::Result,
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use crate::{catalog::SqlType, error::to_datafusion};

/// Stands for the function until its call is typed.
pub(super) fn unknown_function(name: &str) -> Arc<ScalarUDF> {
    let signature = Signature::variadic_any(Volatility::Volatile);
    Arc::new(ScalarUDF::from(UnknownFunction { name: name.into(), signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct UnknownFunction {
    name: String,
    signature: Signature,
}

impl UnknownFunction {
    fn error<T>(&self, arguments: &[DataType]) -> Result<T> {
        let types = arguments.iter().map(|data_type| match data_type {
            DataType::Null => "unknown".into(),
            other => SqlType::of_arrow(other).map_or_else(|| other.to_string(), |t| t.to_string()),
        });
        let call = format!("{}({})", self.name, types.collect::<Vec<_>>().join(", "));
        let message = format!("function {call} does not exist");
        let report = ErrorReport::new(SqlState::UNDEFINED_FUNCTION, message).hint(
            "No function matches the given name and argument types. You might need to add explicit \
             type casts.",
        );
        Err(to_datafusion(report))
    }
}

impl ScalarUDFImpl for UnknownFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.error(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<_> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        self.error(&types)
    }
}
