//! `CAST(x AS numeric)` without precision: the value keeps its digits.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{CastKind, Context, convert};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        arithmetic::types::Class, decimal::MAX_PRECISION, formats::SessionFormats,
        literal::numeric_of_text, operand, sql_name,
    },
};

/// `kestrel_numeric(x)`. A numeric has a scale here before its values are known: integers have 0,
/// numerics their own, constant texts as many digits as they show, floats 15 and other texts 10.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToNumeric {
    signature: Signature,
}

impl ToNumeric {
    /// The function.
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

fn result_type(argument: &DataType, constant: Option<&ScalarValue>) -> Result<SqlType> {
    let text = |t: &DataType| {
        matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
    };
    Ok(match Class::of(argument) {
        Some(Class::Integer(2)) => SqlType::Numeric(5, 0),
        Some(Class::Integer(4)) => SqlType::Numeric(10, 0),
        Some(Class::Integer(_)) => SqlType::Numeric(19, 0),
        Some(Class::Numeric(precision, scale)) => SqlType::Numeric(precision, scale),
        Some(Class::Real | Class::Double) => SqlType::Numeric(MAX_PRECISION, 15),
        _ if text(argument) => match constant.and_then(|c| c.try_as_str()).flatten() {
            Some(text) => numeric_of_text(text),
            None => SqlType::Numeric(MAX_PRECISION, 10),
        },
        _ => {
            return Err(to_datafusion(ErrorReport::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type {} to numeric", sql_name(argument)),
            )));
        }
    })
}

impl ScalarUDFImpl for ToNumeric {
    fn name(&self) -> &str {
        "kestrel_numeric"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(result_type(arguments.first().unwrap_or(&DataType::Null), None)?.arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [argument] = args.arg_fields else {
            return Err(to_datafusion(ErrorReport::internal("kestrel_numeric takes one argument")));
        };
        let constant = args.scalar_arguments.first().copied().flatten();
        let data_type = result_type(argument.data_type(), constant)?.arrow();
        Ok(Arc::new(Field::new(self.name(), data_type, argument.is_nullable())))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Decimal128(precision, scale) = *args.return_field.data_type() else {
            return Err(to_datafusion(ErrorReport::internal("kestrel_numeric gives a numeric")));
        };
        let to = SqlType::Numeric(precision, scale);
        let formats = SessionFormats::default();
        let context = Context { kind: CastKind::Explicit, formats };
        match &args.args[0] {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(convert(array, to, &context)?)),
            ColumnarValue::Scalar(value) => {
                operand::finish(convert(&value.to_array()?, to, &context)?, true)
            }
        }
    }
}
