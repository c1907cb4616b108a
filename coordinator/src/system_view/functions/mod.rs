//! The SQL functions that clients ask the system catalogs with.
//!
//! Each list below has one line per function. They work row by row on [`Value`]s: the catalogs are
//! small, and what a function means matters more than its speed. A function is made for one
//! statement and knows that statement's [`SystemViewContext`], so it must be evaluated on the
//! coordinator.

mod acl;
mod advisory;
mod copy_errors;
mod definitions;
mod objects;
mod partitions;
mod privileges;
mod sequences;
mod session;
mod signals;
mod sizes;
mod text;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
};
use datafusion::{
    common::{DataFusionError, Result as DataFusionResult, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        TypeSignature, Volatility,
    },
};
use kestrel_planner::{bind::SessionFunctions, catalog::SqlType};
use kestrel_proto::{ErrorReport, Result};

pub(super) use objects::{REG_OID, REG_TEXT};
pub(super) use text::{PREFIXED, SUBSCRIPTS};

use super::{
    SystemViewContext,
    rows::{Value, array},
};

/// All functions, one list per topic.
const FUNCTIONS: &[&[Function]] = &[
    acl::FUNCTIONS,
    advisory::FUNCTIONS,
    copy_errors::FUNCTIONS,
    definitions::FUNCTIONS,
    objects::FUNCTIONS,
    partitions::FUNCTIONS,
    privileges::FUNCTIONS,
    sequences::FUNCTIONS,
    session::FUNCTIONS,
    signals::FUNCTIONS,
    sizes::FUNCTIONS,
    text::FUNCTIONS,
];

/// The functions, for a statement of this context.
pub struct SystemFunctions(pub(crate) Arc<SystemViewContext>);

impl SessionFunctions for SystemFunctions {
    fn function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let function =
            FUNCTIONS.iter().copied().flatten().find(|function| function.name == name)?;
        let function = SystemFunction::new(function, Arc::clone(&self.0));
        Some(Arc::new(ScalarUDF::from(function)))
    }
}

/// Their names.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().copied().flatten().map(|f| f.name)
}

/// What a function gives for one row.
type Evaluate = fn(&SystemViewContext, &[Value]) -> Result<Value>;

/// A line in a list of functions.
struct Function {
    name: &'static str,
    /// How many arguments it takes, at least and at most; of any type.
    arguments: (usize, usize),
    returns: Returns,
    /// NULL for any NULL argument, without asking.
    is_strict: bool,
    /// It does something: it must run when the statement does, and not while that is planned.
    has_effect: bool,
    evaluate: Evaluate,
}

/// The type of a function's value.
#[derive(Clone, Copy)]
enum Returns {
    Scalar(SqlType),
    /// `name[]`, `text[]`
    Texts,
    /// `int8[]`
    Ints,
}

const BIGINT: Returns = Returns::Scalar(SqlType::BigInt);
const BOOLEAN: Returns = Returns::Scalar(SqlType::Boolean);
const INTEGER: Returns = Returns::Scalar(SqlType::Integer);
const NAME: Returns = Returns::Scalar(SqlType::Name);
const OID: Returns = Returns::Scalar(SqlType::Oid);
const TEXT: Returns = Returns::Scalar(SqlType::Text);
const TIMESTAMPTZ: Returns = Returns::Scalar(SqlType::TimestampTz);

/// A function that is NULL for NULL.
const fn strict(
    name: &'static str,
    arguments: (usize, usize),
    returns: Returns,
    evaluate: Evaluate,
) -> Function {
    Function { name, arguments, returns, is_strict: true, has_effect: false, evaluate }
}

/// A function that looks at NULLs itself.
const fn lenient(
    name: &'static str,
    arguments: (usize, usize),
    returns: Returns,
    evaluate: Evaluate,
) -> Function {
    Function { name, arguments, returns, is_strict: false, has_effect: false, evaluate }
}

/// A function that does something; it looks at NULLs itself.
const fn effect(
    name: &'static str,
    arguments: (usize, usize),
    returns: Returns,
    evaluate: Evaluate,
) -> Function {
    Function { name, arguments, returns, is_strict: false, has_effect: true, evaluate }
}

/// As many arguments as one likes.
const ANY_NUMBER: usize = usize::MAX;

struct SystemFunction {
    function: &'static Function,
    context: Arc<SystemViewContext>,
    signature: Signature,
}

impl SystemFunction {
    fn new(function: &'static Function, context: Arc<SystemViewContext>) -> Self {
        let (least, most) = function.arguments;
        let of_length = |n| if n == 0 { TypeSignature::Nullary } else { TypeSignature::Any(n) };
        let arguments = match most {
            ANY_NUMBER => TypeSignature::VariadicAny,
            most if most == least => of_length(least),
            most => TypeSignature::OneOf((least..=most).map(of_length).collect()),
        };
        // Stable: a function is made for one statement.
        let volatility = match function.has_effect {
            true => Volatility::Volatile,
            false => Volatility::Stable,
        };
        let signature = Signature::new(arguments, volatility);
        Self { function, context, signature }
    }

    fn field(&self) -> Field {
        match self.function.returns {
            Returns::Scalar(sql_type) => sql_type.field(self.function.name, true),
            Returns::Texts => list_field(self.function.name, DataType::Utf8View),
            Returns::Ints => list_field(self.function.name, DataType::Int64),
        }
    }

    fn evaluate(&self, arguments: &[Value]) -> Result<Value> {
        if self.function.is_strict && arguments.contains(&Value::Null) {
            return Ok(Value::Null);
        }
        (self.function.evaluate)(&self.context, arguments)
    }
}

impl fmt::Debug for SystemFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.name)
    }
}

/// The same function for the same statement.
impl PartialEq for SystemFunction {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && Arc::ptr_eq(&self.context, &other.context)
    }
}

impl Eq for SystemFunction {}

impl Hash for SystemFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for SystemFunction {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.field().data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(self.field()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        // What has an effect has it for every row.
        let is_scalar = !self.function.has_effect
            && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let count = if is_scalar { 1 } else { args.number_rows };
        let columns = args.args.iter().map(|a| values(&a.to_array(count)?));
        let columns = columns.collect::<DataFusionResult<Vec<_>>>()?;
        let rows = (0..count).map(|row| {
            let arguments: Vec<_> = columns.iter().map(|c| c[row].clone()).collect();
            self.evaluate(&arguments)
        });
        let rows = rows.collect::<Result<Vec<_>>>().map_err(external)?;
        let data_type = args.return_field.data_type();
        let result = array(data_type, rows.iter()).ok_or_else(|| {
            external(ErrorReport::internal(format!("{} gave a wrong type", self.function.name)))
        })?;
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn list_field(name: &str, element: DataType) -> Field {
    let item = Field::new_list_field(element, true);
    Field::new(name, DataType::List(Arc::new(item)), true)
}

fn external(report: ErrorReport) -> DataFusionError {
    DataFusionError::External(Box::new(report))
}

/// The values of an array. Types that no function here knows are NULL.
fn values(array: &ArrayRef) -> DataFusionResult<Vec<Value>> {
    /// `get` for each row that is not NULL.
    fn each(array: &dyn Array, get: impl Fn(usize) -> Value) -> Vec<Value> {
        (0..array.len()).map(|i| if array.is_null(i) { Value::Null } else { get(i) }).collect()
    }
    Ok(match array.data_type() {
        DataType::Boolean => {
            let booleans = array.as_boolean();
            each(array, |i| Value::Bool(booleans.value(i)))
        }
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
            let numbers = cast(array, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            each(array, |i| Value::Float(numbers.value(i)))
        }
        integer if integer.is_integer() => {
            let numbers = cast(array, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            each(array, |i| Value::Int(numbers.value(i)))
        }
        text if text.is_string() => {
            let texts = cast(array, &DataType::Utf8View)?;
            let texts = texts.as_string_view();
            each(array, |i| Value::from(texts.value(i).to_string()))
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let mut out = Vec::with_capacity(lists.len());
            for i in 0..lists.len() {
                let elements = if lists.is_null(i) { vec![] } else { values(&lists.value(i))? };
                let is_text = elements.iter().any(|e| matches!(e, Value::Text(_)));
                let ints = || elements.iter().map(|e| e.as_int()).collect::<Option<Vec<_>>>();
                out.push(match ints() {
                    _ if lists.is_null(i) => Value::Null,
                    Some(ints) if !is_text => Value::Ints(ints),
                    _ => Value::Texts(elements.iter().map(Value::to_text).collect()),
                });
            }
            out
        }
        _ => vec![Value::Null; array.len()],
    })
}

/// The argument at `index` as a number: an OID, or its text.
fn int(arguments: &[Value], index: usize) -> Option<i64> {
    match arguments.get(index)? {
        Value::Int(i) => Some(*i),
        Value::Float(f) => Some(f.round() as i64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The argument at `index` as text.
fn string(arguments: &[Value], index: usize) -> Option<&str> {
    arguments.get(index)?.as_str()
}
