//! Functions that are computed row by row, over values of any type.
//!
//! A family of them is a list of [`Function`]s, each with its overloads: the types it takes and
//! gives, and a plain `fn` for one row. What a function means matters more here than its speed;
//! what runs over every row of large tables has a vectorised function of its own elsewhere.

mod datum;
mod resolve;

pub(crate) use datum::Datum;
pub(crate) use resolve::{Argument, resolve};

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{cast, formats::SessionFormats, function, operand::finish, regex::Patterns, sql_name};
use crate::{
    catalog::{Element, SqlType},
    error::to_datafusion,
};
use resolve::result_type;

/// The type of an argument or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Integer,
    BigInt,
    /// Of arguments: any numeric. Of results: with the largest scale of the arguments.
    Numeric,
    Double,
    Boolean,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Json,
    Jsonb,
    TextArray,
    /// A list of text arrays: the rows of a set-returning function.
    TextArrays,
    IntegerArray,
    BigIntArray,
    NumericArray,
    DoubleArray,
    IntervalArray,
    TimestampArray,
    TimestampTzArray,
    /// `anyelement`: all of them, and the elements of all `anyarray`, have one type.
    AnyElement,
    AnyArray,
    /// Any value, as it is.
    Any,
    /// Any value, as its output function writes it; an array's elements one by one.
    Output,
}

impl Type {
    /// The one Arrow type; of the types that have none, text.
    fn arrow(self) -> DataType {
        let sql_type = match self {
            Self::Text | Self::AnyElement | Self::AnyArray | Self::Any | Self::Output => {
                SqlType::Text
            }
            Self::Integer => SqlType::Integer,
            Self::BigInt => SqlType::BigInt,
            Self::Numeric => SqlType::Numeric(38, 10),
            Self::Double => SqlType::Double,
            Self::Boolean => SqlType::Boolean,
            Self::Bytea => SqlType::Bytea,
            Self::Date => SqlType::Date,
            Self::Time => SqlType::Time,
            Self::Timestamp => SqlType::Timestamp,
            Self::TimestampTz => SqlType::TimestampTz,
            Self::Interval => SqlType::Interval,
            Self::Json => SqlType::Json,
            Self::Jsonb => SqlType::Jsonb,
            Self::TextArrays => {
                let item = Field::new_list_field(Self::TextArray.arrow(), true);
                return DataType::List(Arc::new(item));
            }
            Self::TextArray => SqlType::Array(Element::Text),
            Self::IntegerArray => SqlType::Array(Element::Integer),
            Self::BigIntArray => SqlType::Array(Element::BigInt),
            Self::NumericArray => SqlType::Array(Element::Numeric(38, 10)),
            Self::DoubleArray => SqlType::Array(Element::Double),
            Self::IntervalArray => SqlType::Array(Element::Interval),
            Self::TimestampArray => SqlType::Array(Element::Timestamp),
            Self::TimestampTzArray => SqlType::Array(Element::TimestampTz),
        };
        sql_type.arrow()
    }
}

/// What a function may know besides its arguments.
pub(crate) struct Call {
    /// The session's time zone and styles.
    pub(crate) formats: SessionFormats,
    /// The scale of a numeric result.
    pub(crate) scale: i8,
    /// Regular expressions that are compiled already.
    pub(crate) patterns: Patterns,
}

/// The value for one row.
pub(crate) type Evaluate = fn(&Call, &[Datum]) -> Result<Datum, ErrorReport>;

/// A function for arguments of certain types.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) arguments: &'static [Type],
    pub(crate) returns: Type,
    /// Whether the last argument may be there any number of times, none included.
    pub(crate) variadic: bool,
    /// NULL for any NULL argument, without asking.
    pub(crate) strict: bool,
    pub(crate) evaluate: Evaluate,
}

/// A function that is NULL for NULL.
pub(crate) const fn strict(
    arguments: &'static [Type],
    returns: Type,
    evaluate: Evaluate,
) -> Overload {
    Overload { arguments, returns, variadic: false, strict: true, evaluate }
}

/// A function that looks at NULLs itself.
pub(crate) const fn lenient(
    arguments: &'static [Type],
    returns: Type,
    evaluate: Evaluate,
) -> Overload {
    Overload { arguments, returns, variadic: false, strict: false, evaluate }
}

/// A function whose last argument may be there any number of times; it looks at NULLs itself.
pub(crate) const fn variadic(
    arguments: &'static [Type],
    returns: Type,
    evaluate: Evaluate,
) -> Overload {
    Overload { arguments, returns, variadic: true, strict: false, evaluate }
}

/// A function's name and overloads.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) overloads: &'static [Overload],
}

/// The functions for the registry.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    functions().map(|f| function(RowFunction::new(f))).collect()
}

/// The names of all of them.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    functions().map(|f| f.name)
}

/// A function as expressions call it.
pub(crate) fn udf(of: &'static Function) -> Arc<ScalarUDF> {
    function(RowFunction::new(of))
}

/// The function of this name.
pub(crate) fn named(name: &str) -> Option<&'static Function> {
    functions().find(|f| f.name == name)
}

fn functions() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().copied().flatten()
}

/// All functions, one list per family.
const FAMILIES: &[&[Function]] = &[
    super::array::FUNCTIONS,
    super::array::VECTOR_FUNCTIONS,
    super::datetime::ROW_FUNCTIONS,
    super::math::DEGREE_FUNCTIONS,
    super::math::ROW_FUNCTIONS,
    super::math::SIZE_FUNCTIONS,
    super::json::FUNCTIONS,
    super::json::RECORD_FUNCTIONS,
    super::series::FUNCTIONS,
    super::string::BYTEA_FUNCTIONS,
    super::string::IDENTIFIER_FUNCTIONS,
    super::string::ROW_FUNCTIONS,
    super::regex::FUNCTIONS,
];

/// `function f(integer) does not exist` (42883).
pub(crate) fn no_function(name: &str, arguments: &[Argument]) -> ErrorReport {
    let types = arguments.iter().map(|argument| match (argument.json, argument.is_untyped) {
        (Some(json), _) => json.to_string(),
        (None, true) => "unknown".into(),
        (None, false) => sql_name(&argument.data_type),
    });
    let name = name.strip_prefix("kestrel_").unwrap_or(name);
    let call = format!("{name}({})", types.collect::<Vec<_>>().join(", "));
    ErrorReport::new(SqlState::UNDEFINED_FUNCTION, format!("function {call} does not exist")).hint(
        "No function matches the given name and argument types. You might need to add explicit \
         type casts.",
    )
}

/// One function of the lists, as DataFusion calls it.
#[derive(Debug)]
pub(crate) struct RowFunction {
    function: &'static Function,
    signature: Signature,
}

impl RowFunction {
    fn new(function: &'static Function) -> Self {
        Self { function, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Before the call has its types, a text may be a literal of any type.
    fn resolve(&self, types: &[DataType]) -> Result<resolve::Resolved> {
        let arguments = |untyped: fn(&DataType) -> bool| {
            let argument = |data_type: &DataType| Argument {
                data_type: data_type.clone(),
                is_untyped: untyped(data_type),
                json: None,
            };
            types.iter().map(argument).collect::<Vec<_>>()
        };
        let is_text = |t: &DataType| {
            matches!(t, DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        };
        let overloads = self.function.overloads;
        let exact = arguments(|t| *t == DataType::Null);
        resolve(overloads, &exact)
            .or_else(|| resolve(overloads, &arguments(is_text)))
            .ok_or_else(|| to_datafusion(no_function(self.function.name, &exact)))
    }
}

/// The names are unique.
impl PartialEq for RowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for RowFunction {}

impl Hash for RowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    // A call that fits no overload gets its error when its arguments have their types: see
    // `operators/row_call.rs`.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.resolve(types).map_or_else(|_| types.to_vec(), |resolved| resolved.arguments))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let resolved = self.resolve(types)?;
        Ok(result_type(resolved.overload, &resolved.arguments))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let (overload, types) = match (self.resolve(&types), self.function.overloads.first()) {
            (Ok(resolved), _) => (resolved.overload, resolved.arguments),
            (Err(_), Some(first)) => (first, types),
            (Err(error), None) => return Err(error),
        };
        Ok(Arc::new(match overload.returns {
            Type::Json => SqlType::Json.field(self.name(), true),
            Type::Jsonb => SqlType::Jsonb.field(self.name(), true),
            _ => Field::new(self.name(), result_type(overload, &types), true),
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<_> = args.args.iter().map(ColumnarValue::data_type).collect();
        let resolved = self.resolve(&types)?;
        let overload = resolved.overload;
        let formats = SessionFormats::of_session(&args.config_options);
        let scale = match args.return_field.data_type() {
            DataType::Decimal128(_, scale) => *scale,
            DataType::List(item) => match item.data_type() {
                DataType::Decimal128(_, scale) => *scale,
                _ => 0,
            },
            _ => 0,
        };
        let call = Call { formats, scale, patterns: Patterns::default() };
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let columns = args.args.iter().enumerate().map(|(at, argument)| {
            let wanted = overload.arguments.get(at).or(overload.arguments.last());
            let (array, constant) = match argument {
                ColumnarValue::Array(array) => (Arc::clone(array), false),
                ColumnarValue::Scalar(value) => (value.to_array()?, true),
            };
            let array =
                if wanted == Some(&Type::Output) { output(&array, &formats)? } else { array };
            Ok((array, constant))
        });
        let columns = columns.collect::<Result<Vec<(ArrayRef, bool)>>>()?;
        let rows = if constant { 1 } else { args.number_rows };
        let mut values = Vec::with_capacity(rows);
        let mut arguments = Vec::with_capacity(columns.len());
        for row in 0..rows {
            arguments.clear();
            for (array, constant) in &columns {
                arguments.push(datum::datum(array, if *constant { 0 } else { row })?);
            }
            let value = match overload.strict && arguments.iter().any(Datum::is_null) {
                true => Datum::Null,
                false => (overload.evaluate)(&call, &arguments).map_err(to_datafusion)?,
            };
            values.push(value);
        }
        finish(datum::column(args.return_field.data_type(), values)?, constant)
    }
}

/// Values as texts, of arrays the elements: what the output functions of their types write.
fn output(array: &ArrayRef, formats: &SessionFormats) -> Result<ArrayRef> {
    if let Some(list) = array.as_list_opt::<i32>() {
        let values = output(list.values(), formats)?;
        let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let offsets = list.offsets().clone();
        let list = arrow::array::ListArray::try_new(item, offsets, values, list.nulls().cloned())?;
        return Ok(Arc::new(list));
    }
    if let Some(values) = array.as_boolean_opt() {
        let words = values.iter().map(|b| b.map(|b| if b { "t" } else { "f" }));
        return Ok(Arc::new(words.collect::<arrow::array::StringViewArray>()));
    }
    Ok(Arc::new(cast::text_of(array, formats)?))
}

/// The null of an Arrow type, as a literal.
pub(crate) fn null(data_type: &DataType) -> Result<ScalarValue> {
    ScalarValue::try_from(data_type)
}
