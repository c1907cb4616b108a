//! `coalesce`: DataFusion's, for arguments that have no common type yet.
//!
//! While SQL is planned a quoted text is a text, and DataFusion finds no type for it and a date.
//! Here it takes the type of the others; when the plan is finished it becomes a value of that type
//! (`operators/branches.rs`).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::{
    common::Result,
    functions::core::coalesce::CoalesceFunc,
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

use super::operators::{Known, common_type};

#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Coalesce {
    datafusion: CoalesceFunc,
}

impl ScalarUDFImpl for Coalesce {
    fn name(&self) -> &str {
        self.datafusion.name()
    }

    fn signature(&self) -> &Signature {
        self.datafusion.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.datafusion.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let known = args.arg_fields.iter().enumerate().map(|(at, field)| {
            let constant = args.scalar_arguments.get(at).copied().flatten();
            let text = constant.and_then(|value| value.try_as_str()).flatten();
            match text.is_some() && field.metadata().is_empty() || field.data_type().is_null() {
                true => Known::Untyped,
                false => Known::Typed(field.data_type().clone()),
            }
        });
        let Some(common) = common_type("COALESCE", &known.collect::<Vec<_>>())? else {
            return self.datafusion.return_field_from_args(args);
        };
        let nullable = args.arg_fields.iter().all(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), common, nullable)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match self.datafusion.coerce_types(types) {
            Err(_) if !types.is_empty() => Ok(types.to_vec()),
            coerced => coerced,
        }
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.datafusion.simplify(args, context)
    }

    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.datafusion.conditional_arguments(args)
    }

    fn short_circuits(&self) -> bool {
        self.datafusion.short_circuits()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.datafusion.invoke_with_args(args)
    }
}
