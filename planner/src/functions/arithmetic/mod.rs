//! The operators + - * / % and unary minus.
//!
//! One function per operator, `kestrel_add` …, polymorphic as the operator is: its types are
//! resolved as PostgreSQL resolves the operator. All are strict: NULL in, NULL out.

mod float;
mod integer;
mod interval;
mod negate;
mod numeric;
mod temporal;
pub(crate) mod types;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use arrow::datatypes::{Int16Type, Int32Type, Int64Type};
use datafusion::{
    common::{Result, ScalarValue},
    config::ConfigOptions,
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr::ScalarFunction,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

pub(crate) use float::{overflow as float_overflow, underflow as float_underflow};
pub(crate) use interval::{
    between as between_intervals, comparable as comparable_interval, micros as interval_micros,
    new as new_interval,
};
pub(crate) use negate::Negate;
pub(crate) use numeric::precision_scale;

use self::types::{Class, Types, resolve};
use super::sql_name;
use crate::error::to_datafusion;

/// A binary arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arithmetic {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Add, Self::Subtract, Self::Multiply, Self::Divide, Self::Modulo];

    /// As it is written in SQL.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }

    fn function_name(self) -> &'static str {
        match self {
            Self::Add => "kestrel_add",
            Self::Subtract => "kestrel_subtract",
            Self::Multiply => "kestrel_multiply",
            Self::Divide => "kestrel_divide",
            Self::Modulo => "kestrel_modulo",
        }
    }

    /// `left op right`.
    pub(crate) fn call(self, left: Expr, right: Expr) -> Expr {
        let function = Arc::new(ScalarUDF::new_from_impl(ArithmeticFunction::new(self)));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right]))
    }
}

/// The function of an operator.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ArithmeticFunction {
    op: Arithmetic,
    signature: Signature,
}

impl ArithmeticFunction {
    /// The function of `op`.
    pub(crate) fn new(op: Arithmetic) -> Self {
        Self { op, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Which operator it is.
    pub(crate) fn operator(&self) -> Arithmetic {
        self.op
    }

    /// The value for two constants, as literals of any types that the operator takes; `None`: it
    /// depends on the session, or fails (which the query then does when it runs).
    pub(crate) fn of_constants(
        &self,
        left: &ScalarValue,
        right: &ScalarValue,
        types: Types,
    ) -> Option<ScalarValue> {
        if [types.left, types.right].contains(&Class::TimestampTz) {
            return None;
        }
        let cast = |value: &ScalarValue, class: Class| value.cast_to(&class.arrow()).ok();
        let values = [cast(left, types.left)?, cast(right, types.right)?];
        let field = |t: DataType| Arc::new(Field::new("", t, true));
        let args = ScalarFunctionArgs {
            arg_fields: values.iter().map(|v| field(v.data_type())).collect(),
            args: values.into_iter().map(ColumnarValue::Scalar).collect(),
            number_rows: 1,
            return_field: field(types.result.arrow()),
            config_options: Arc::new(ConfigOptions::default()),
        };
        match self.invoke_with_args(args).ok()? {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        }
    }

    fn types(&self, arguments: &[DataType]) -> Result<Types> {
        let [left, right] = arguments else {
            return Err(to_datafusion(ErrorReport::internal(format!(
                "{} takes two arguments",
                self.op.function_name()
            ))));
        };
        resolve_arrow(self.op, left, right).map_err(to_datafusion)
    }
}

/// The types of `left op right`, or `operator does not exist` (42883).
pub(crate) fn resolve_arrow(
    op: Arithmetic,
    left: &DataType,
    right: &DataType,
) -> Result<Types, ErrorReport> {
    Class::of(left)
        .zip(Class::of(right))
        .and_then(|(left, right)| resolve(op, left, right))
        .ok_or_else(|| no_operator(op.symbol(), left, right))
}

/// `operator does not exist: text + integer` (42883).
pub(crate) fn no_operator(symbol: &str, left: &DataType, right: &DataType) -> ErrorReport {
    ErrorReport::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("operator does not exist: {} {symbol} {}", sql_name(left), sql_name(right)),
    )
    .hint(
        "No operator matches the given name and argument types. You might need to add explicit \
         type casts.",
    )
}

impl ScalarUDFImpl for ArithmeticFunction {
    fn name(&self) -> &str {
        self.op.function_name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [left, right] => format!("({left} {} {right})", self.op.symbol()),
            _ => self.name().to_string(),
        })
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [left, right] => {
                format!("({} {} {})", left.schema_name(), self.op.symbol(), right.schema_name())
            }
            _ => self.name().to_string(),
        })
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let types = self.types(arguments)?;
        Ok(vec![types.left.arrow(), types.right.arrow()])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(self.types(arguments)?.result.arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type();
        let [left, right] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("an operator without operands")));
        };
        let op = self.op;
        let number = Class::of(&left.data_type()).is_some_and(Class::is_number);
        match Class::of(result).filter(|_| number) {
            Some(Class::Integer(2)) => integer::evaluate::<Int16Type>(op, left, right, result),
            Some(Class::Integer(4)) if left.data_type() == right.data_type() => {
                integer::evaluate::<Int32Type>(op, left, right, result)
            }
            Some(Class::Integer(_)) if left.data_type() == right.data_type() => {
                integer::evaluate::<Int64Type>(op, left, right, result)
            }
            Some(Class::Numeric(..)) => numeric::evaluate(op, (left, right), result),
            Some(Class::Real) => float::evaluate::<Float32Type>(op, left, right, result),
            Some(Class::Double) => float::evaluate::<Float64Type>(op, left, right, result),
            _ => temporal::evaluate(op, &args, left, right),
        }
    }
}

/// The result field of a strict function: nullable only if an argument is.
pub(crate) fn strict_field(
    function: &dyn ScalarUDFImpl,
    args: &ReturnFieldArgs,
) -> Result<FieldRef> {
    let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
    let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
    Ok(Arc::new(Field::new(function.name(), function.return_type(&types)?, nullable)))
}
