//! Rows of a system view, and how they become a batch of its declared types.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryViewArray, BooleanArray, Float32Array, Float32Builder, Float64Array,
        Int16Array, Int16Builder, Int32Array, Int64Array, Int64Builder, IntervalMonthDayNanoArray,
        ListBuilder, RecordBatch, RecordBatchOptions, StringViewArray, StringViewBuilder,
        TimestampMicrosecondArray, new_null_array,
    },
    datatypes::{DataType, IntervalMonthDayNano},
};
use chrono::{DateTime, Utc};
use kestrel_proto::{ErrorReport, Result};

use super::definition::Definition;

/// A cell, before it has its column's type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// smallint, int, bigint, oid
    Int(i64),
    Float(f64),
    Text(Cow<'static, str>),
    /// Microseconds since 1970-01-01 UTC
    Timestamp(i64),
    /// int2vector, oid[], …
    Ints(Vec<i64>),
    /// real[]
    Floats(Vec<f64>),
    Texts(Vec<String>),
    /// `None`: NULL
    OptionalTexts(Vec<Option<String>>),
    /// As PostgreSQL prints a value of the column's type.
    Printed(&'static str),
}

/// The rows of a view: values for some columns. The others are NULL, or zero, false or '' where
/// NULL is not allowed.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<&'static str>,
    cells: Vec<Vec<Value>>,
}

impl Rows {
    /// No rows yet; each is to have values for these columns: `oid, relname`.
    pub(super) fn new(columns: &'static str) -> Self {
        Self { columns: columns.split(", ").collect(), cells: Vec::new() }
    }

    /// No rows.
    pub(super) fn none() -> Self {
        Self { columns: Vec::new(), cells: Vec::new() }
    }

    /// From what PostgreSQL's `COPY … TO STDOUT (HEADER)` prints.
    pub(super) fn printed(text: &'static str) -> Self {
        let mut lines = text.lines();
        let columns = lines.next().unwrap_or_default().split('\t').collect();
        let cell = |c| if c == "\\N" { Value::Null } else { Value::Printed(c) };
        let cells = lines.map(|line| line.split('\t').map(cell).collect()).collect();
        Self { columns, cells }
    }

    /// Adds a row.
    pub(super) fn push<const N: usize>(&mut self, row: [Value; N]) {
        self.cells.push(row.into());
    }

    /// The batch of the view; XX000 when a row does not fit its definition.
    pub(super) fn batch(&self, view: &Definition) -> Result<RecordBatch> {
        let bug = |what: &str| {
            ErrorReport::internal(format!("system view {}.{}: {what}", view.schema, view.name))
        };
        let unknown = self.columns.iter().find(|c| view.columns.iter().all(|d| d.name != **c));
        if let Some(column) = unknown {
            return Err(bug(&format!("no column {column}")));
        }
        if self.cells.iter().any(|row| row.len() != self.columns.len()) {
            return Err(bug("a row of the wrong length"));
        }
        let arrays = view.columns.iter().zip(view.arrow.fields()).map(|(column, field)| {
            let missing = if column.not_null { zero(field.data_type()) } else { Value::Null };
            let position = self.columns.iter().position(|c| *c == column.name);
            let cells = self.cells.iter().map(|row| position.map_or(&missing, |p| &row[p]));
            array(field.data_type(), cells)
                .ok_or_else(|| bug(&format!("a value of the wrong type in column {}", column.name)))
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.cells.len()));
        RecordBatch::try_new_with_options(Arc::clone(&view.arrow), arrays, &options)
            .map_err(|e| bug(&e.to_string()))
    }
}

/// What stands in a NOT NULL column that a view says nothing about.
fn zero(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => Value::Bool(false),
        DataType::Utf8View | DataType::BinaryView => Value::Text("".into()),
        DataType::Timestamp(..) => Value::Timestamp(0),
        DataType::List(item) if item.data_type() == &DataType::Utf8View => Value::Texts(vec![]),
        DataType::List(_) => Value::Ints(vec![]),
        _ => Value::Int(0),
    }
}

/// The values as an array of this type; `None` when one of them cannot be.
pub(super) fn array<'a>(
    data_type: &DataType,
    values: impl Iterator<Item = &'a Value>,
) -> Option<ArrayRef> {
    /// `Value` -> `Option<Option<T>>`: outside `None` is a value of the wrong type.
    fn each<'a, T, A: FromIterator<Option<T>>>(
        values: impl Iterator<Item = &'a Value>,
        get: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<A> {
        values.map(|v| if *v == Value::Null { Some(None) } else { get(v).map(Some) }).collect()
    }
    Some(match data_type {
        DataType::Boolean => Arc::new(each::<_, BooleanArray>(values, Value::as_bool)?),
        DataType::Int16 => {
            Arc::new(each::<i16, Int16Array>(values, |v| v.as_int()?.try_into().ok())?)
        }
        DataType::Int32 => {
            Arc::new(each::<i32, Int32Array>(values, |v| v.as_int()?.try_into().ok())?)
        }
        DataType::Int64 => Arc::new(each::<_, Int64Array>(values, Value::as_int)?),
        DataType::Float32 => {
            Arc::new(each::<_, Float32Array>(values, |v| v.as_float().map(|f| f as f32))?)
        }
        DataType::Float64 => Arc::new(each::<_, Float64Array>(values, Value::as_float)?),
        DataType::Utf8View => Arc::new(each::<&str, StringViewArray>(values, Value::as_str)?),
        DataType::BinaryView => {
            Arc::new(each::<&[u8], BinaryViewArray>(values, |v| v.as_str().map(str::as_bytes))?)
        }
        DataType::Timestamp(..) => {
            let micros: TimestampMicrosecondArray = each(values, Value::as_timestamp)?;
            Arc::new(micros.with_timezone("UTC"))
        }
        // Whole seconds.
        DataType::Interval(_) => Arc::new(each::<_, IntervalMonthDayNanoArray>(values, |v| {
            let nanoseconds = v.as_int()?.checked_mul(1_000_000_000)?;
            Some(IntervalMonthDayNano::new(0, 0, nanoseconds))
        })?),
        DataType::List(item) if item.data_type() != &DataType::Float64 => {
            list(item.data_type(), values)?
        }
        // Types that only views without rows have.
        other => {
            let values: Vec<_> = values.collect();
            let all_null = values.iter().all(|v| **v == Value::Null);
            all_null.then(|| new_null_array(other, values.len()))?
        }
    })
}

fn list<'a>(element: &DataType, values: impl Iterator<Item = &'a Value>) -> Option<ArrayRef> {
    match element {
        DataType::Int16 => {
            let mut builder = ListBuilder::new(Int16Builder::new());
            for value in values {
                match value.as_ints() {
                    _ if *value == Value::Null => builder.append_null(),
                    ints => {
                        let ints = ints?.into_iter().map(i16::try_from);
                        builder.append_value(ints.map(Result::ok).collect::<Vec<_>>());
                    }
                }
            }
            Some(Arc::new(builder.finish()))
        }
        DataType::Int64 => {
            let mut builder = ListBuilder::new(Int64Builder::new());
            for value in values {
                match value.as_ints() {
                    _ if *value == Value::Null => builder.append_null(),
                    ints => builder.append_value(ints?.into_iter().map(Some)),
                }
            }
            Some(Arc::new(builder.finish()))
        }
        DataType::Float32 => {
            let mut builder = ListBuilder::new(Float32Builder::new());
            for value in values {
                match value {
                    Value::Null => builder.append_null(),
                    Value::Floats(floats) => {
                        builder.append_value(floats.iter().map(|float| Some(*float as f32)));
                    }
                    _ => return None,
                }
            }
            Some(Arc::new(builder.finish()))
        }
        DataType::Utf8View => {
            let mut builder = ListBuilder::new(StringViewBuilder::new());
            for value in values {
                match value {
                    Value::Null => builder.append_null(),
                    Value::Texts(texts) => builder.append_value(texts.iter().map(Some)),
                    Value::OptionalTexts(texts) => {
                        builder.append_value(texts.iter().map(Option::as_ref))
                    }
                    _ => return None,
                }
            }
            Some(Arc::new(builder.finish()))
        }
        _ => None,
    }
}

impl Value {
    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Printed(p) => Some(*p == "t"),
            _ => None,
        }
    }

    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            Self::Printed(p) => p.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(f) => Some(*f),
            Self::Int(i) => Some(*i as f64),
            Self::Printed(p) => p.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            Self::Printed(p) => Some(p),
            _ => None,
        }
    }

    pub(super) fn as_timestamp(&self) -> Option<i64> {
        match self {
            Self::Timestamp(t) => Some(*t),
            _ => None,
        }
    }

    pub(super) fn as_ints(&self) -> Option<Vec<i64>> {
        match self {
            Self::Ints(ints) => Some(ints.clone()),
            Self::Printed(p) => p.split_whitespace().map(|i| i.parse().ok()).collect(),
            _ => None,
        }
    }
}

impl Value {
    /// As `text` shows it; '' for NULL and for lists.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Null
            | Self::Timestamp(_)
            | Self::Ints(_)
            | Self::Floats(_)
            | Self::Texts(_)
            | Self::OptionalTexts(_) => String::new(),
            Self::Bool(b) => b.to_string(),
            Self::Int(i) => i.to_string(),
            Self::Float(f) => f.to_string(),
            Self::Text(t) => t.to_string(),
            Self::Printed(p) => (*p).to_string(),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$v:ident| $to:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($v: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    bool => |v| Self::Bool(v);
    i16 => |v| Self::Int(v.into());
    i32 => |v| Self::Int(v.into());
    i64 => |v| Self::Int(v);
    u32 => |v| Self::Int(v.into());
    // Row counts, bytes, OIDs: far below the sign bit.
    u64 => |v| Self::Int(v.cast_signed());
    usize => |v| Self::Int(v as i64);
    f64 => |v| Self::Float(v);
    &'static str => |v| Self::Text(v.into());
    String => |v| Self::Text(v.into());
    &String => |v| Self::Text(v.clone().into());
    DateTime<Utc> => |v| Self::Timestamp(v.timestamp_micros());
    Vec<i64> => |v| Self::Ints(v);
    Vec<f64> => |v| Self::Floats(v);
    Vec<String> => |v| Self::Texts(v);
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row: each value becomes a [`Value`].
macro_rules! row {
    ($($value:expr),* $(,)?) => { [$($crate::system_view::rows::Value::from($value)),*] };
}
pub(super) use row;
