//! Arguments of functions of texts, row by row.

use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StringViewArray},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type},
};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs},
};
use kestrel_proto::{ErrorReport, SqlState};

use crate::{
    error::to_datafusion,
    functions::{arithmetic::types::Class, sql_name},
};

/// A column or a constant, by row.
pub(super) struct Rows<A> {
    array: A,
    constant: bool,
}

impl<A> Rows<A> {
    fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }
}

impl Rows<StringViewArray> {
    /// The text of a row; `None`: NULL.
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let row = self.at(row);
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

impl Rows<Int64Array> {
    /// The number of a row; `None`: NULL.
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let row = self.at(row);
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

fn column(value: &ColumnarValue) -> Result<(ArrayRef, bool)> {
    Ok(match value {
        ColumnarValue::Array(array) => (std::sync::Arc::clone(array), false),
        ColumnarValue::Scalar(value) => (value.to_array()?, true),
    })
}

/// An argument of type text.
pub(super) fn texts(value: &ColumnarValue) -> Result<Rows<StringViewArray>> {
    let (array, constant) = column(value)?;
    let array = cast(&array, &DataType::Utf8View)?;
    Ok(Rows { array: array.as_string_view().clone(), constant })
}

/// An argument of type integer.
pub(super) fn integers(value: &ColumnarValue) -> Result<Rows<Int64Array>> {
    let (array, constant) = column(value)?;
    let array = cast(&array, &DataType::Int64)?;
    Ok(Rows { array: array.as_primitive::<Int64Type>().clone(), constant })
}

/// Rows to compute: one if all arguments are constant.
pub(super) fn rows(args: &ScalarFunctionArgs) -> (usize, bool) {
    let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    (if constant { 1 } else { args.number_rows }, constant)
}

/// An integer result.
pub(super) fn int4(values: impl Iterator<Item = Option<i32>>) -> ArrayRef {
    let values: Int32Array = values.collect::<arrow::array::PrimitiveArray<Int32Type>>();
    std::sync::Arc::new(values)
}

/// What an argument has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
}

/// Types for arguments of the given kinds, the last `optional` of which may be missing, or
/// `function … does not exist` (42883).
pub(super) fn coerced(
    function: &str,
    kinds: &[Kind],
    optional: usize,
    arguments: &[DataType],
) -> Result<Vec<DataType>> {
    let count = arguments.len();
    let fits = |kind: &Kind, found: &DataType| match kind {
        Kind::Text => matches!(
            found,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
        ),
        Kind::Integer => {
            matches!(Class::of(found), Some(Class::Integer(_) | Class::Unknown))
        }
    };
    let known = count <= kinds.len()
        && count + optional >= kinds.len()
        && kinds.iter().zip(arguments).all(|(kind, found)| fits(kind, found));
    if !known {
        let types: Vec<_> = arguments.iter().map(sql_name).collect();
        return Err(to_datafusion(
            ErrorReport::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {function}({}) does not exist", types.join(", ")),
            )
            .hint(
                "No function matches the given name and argument types. You might need to add \
                 explicit type casts.",
            ),
        ));
    }
    Ok(kinds
        .iter()
        .take(count)
        .map(|kind| match kind {
            Kind::Text => DataType::Utf8View,
            Kind::Integer => DataType::Int64,
        })
        .collect())
}

/// The types as they are, if the first argument is a bytea: the call becomes another one when it has
/// its types (`operators/branches.rs`).
pub(super) fn of_bytea(arguments: &[DataType]) -> Option<Vec<DataType>> {
    let is_bytea = |t: &DataType| matches!(t, DataType::Binary | DataType::BinaryView);
    arguments.first().filter(|first| is_bytea(first)).map(|_| arguments.to_vec())
}
