//! The conversion of a column to another SQL type.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewBuilder, BooleanArray,
        FixedSizeBinaryBuilder, PrimitiveArray, StringViewArray, StringViewBuilder,
    },
    compute::cast as arrow_cast,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
        Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use datafusion::common::Result;
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    CastKind, datetime, input,
    number::{Target, map, primitive, to_double, to_integer, to_numeric, to_real},
    output,
};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        arithmetic::{interval_micros, new_interval, types::Class},
        civil::{self, DAY},
        decimal,
        formats::SessionFormats,
        json::Json,
        operand::wrong_type,
    },
};

type Made<T> = std::result::Result<T, ErrorReport>;

/// What a conversion depends on besides its input.
pub(crate) struct Context {
    pub(crate) kind: CastKind,
    /// How the session reads and writes values.
    pub(crate) formats: SessionFormats,
}

/// `array` as `to`. The caller has checked that PostgreSQL has such a cast.
pub(crate) fn convert(array: &ArrayRef, to: SqlType, context: &Context) -> Result<ArrayRef> {
    let array = canonical(array)?;
    if *array.data_type() == DataType::Null {
        return Ok(arrow_cast(&array, &to.arrow())?);
    }
    let text = (*array.data_type() == DataType::Utf8View).then(|| array.as_string_view());
    match to {
        SqlType::SmallInt => {
            integers::<Int16Type>(&array, text, i64::from(i16::MIN), i64::from(i16::MAX))
        }
        SqlType::Integer => {
            integers::<Int32Type>(&array, text, i64::from(i32::MIN), i64::from(i32::MAX))
        }
        SqlType::BigInt | SqlType::Oid => integers::<Int64Type>(&array, text, i64::MIN, i64::MAX),
        SqlType::Real => match text {
            Some(text) => parse::<Float32Type>(text, input::real),
            None => to_real(&array),
        },
        SqlType::Double => match text {
            Some(text) => parse::<Float64Type>(text, input::double),
            None => to_double(&array),
        },
        SqlType::Numeric(p, s) => match text {
            Some(text) => {
                let numbers = parse::<Decimal128Type>(text, |t| input::numeric(t, p, s))?;
                let numbers = primitive::<Decimal128Type>(&numbers)?.clone();
                Ok(Arc::new(numbers.with_data_type(to.arrow())))
            }
            None => to_numeric(&array, p, s),
        },
        SqlType::Boolean => to_boolean(&array, text),
        SqlType::Text | SqlType::Name | SqlType::Varchar(None) => {
            Ok(Arc::new(text_of(&array, &context.formats)?))
        }
        SqlType::Varchar(Some(n)) => cut(&text_of(&array, &context.formats)?, n, to, context.kind),
        SqlType::Char(n) => cut(&text_of(&array, &context.formats)?, n, to, context.kind),
        SqlType::Date | SqlType::Time | SqlType::Timestamp | SqlType::TimestampTz => {
            to_datetime(&array, text, to, context)
        }
        SqlType::Interval => match text {
            Some(text) => {
                let style = context.formats.interval_style;
                parse::<IntervalMonthDayNanoType>(text, |t| datetime::interval(t, style))
            }
            None if Class::of(array.data_type()) == Some(Class::Time) => {
                map::<Time64MicrosecondType, IntervalMonthDayNanoType>(&array, |micros| {
                    new_interval(0, 0, micros).ok_or_else(|| out_of_range("interval"))
                })
            }
            None => Ok(array),
        },
        SqlType::Uuid => to_uuid(&array, text),
        SqlType::Bytea => to_bytea(&array, text),
        SqlType::Json => to_json(&text_of(&array, &context.formats)?, |text| {
            Json::parse(text).map(|_| text.into())
        }),
        SqlType::Jsonb => to_json(&text_of(&array, &context.formats)?, |text| {
            Json::parse(text).map(|value| value.canonical().spaced())
        }),
        SqlType::Array(element) => {
            super::array::to_array(&array, text, element.sql_type(), context)
        }
        SqlType::Int2Vector => super::array::to_vector(&array, text, SqlType::SmallInt, context),
        SqlType::OidVector => super::array::to_vector(&array, text, SqlType::Oid, context),
    }
}

/// Texts that are JSON, each in the form of its type.
fn to_json(texts: &StringViewArray, form: impl Fn(&str) -> Made<String>) -> Result<ArrayRef> {
    let mut result = StringViewBuilder::with_capacity(texts.len());
    for text in texts {
        match text {
            Some(text) => result.append_value(form(text).map_err(to_datafusion)?),
            None => result.append_null(),
        }
    }
    Ok(Arc::new(result.finish()))
}

fn out_of_range(what: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

/// The column in the one Arrow type in which Kestrel holds its SQL type.
fn canonical(array: &ArrayRef) -> Result<ArrayRef> {
    let target = match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => {
            let values = arrow_cast(array, value)?;
            return canonical(&values);
        }
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::clone(item))
        }
        other => match Class::of(other) {
            Some(Class::Unknown) | None => return Ok(Arc::clone(array)),
            Some(class) => class.arrow(),
        },
    };
    if *array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    Ok(arrow_cast(array, &target)?)
}

/// Parses every text that is not NULL.
fn parse<T: ArrowPrimitiveType>(
    text: &StringViewArray,
    f: impl Fn(&str) -> Made<T::Native>,
) -> Result<ArrayRef> {
    let values = text.iter().map(|t| t.map_or_else(|| Ok(T::Native::default()), &f));
    let values = values.collect::<Made<Vec<T::Native>>>().map_err(to_datafusion)?;
    Ok(Arc::new(PrimitiveArray::<T>::try_new(values.into(), text.nulls().cloned())?))
}

fn integers<T>(
    array: &ArrayRef,
    text: Option<&StringViewArray>,
    min: i64,
    max: i64,
) -> Result<ArrayRef>
where
    T: Target,
{
    if let Some(text) = text {
        return parse::<T>(text, |t| {
            let value = input::integer(t, T::NAME, min, max)?;
            T::of_i128(i128::from(value)).ok_or_else(|| input::invalid(T::NAME, t))
        });
    }
    if *array.data_type() == DataType::Boolean {
        let values: PrimitiveArray<Int32Type> =
            array.as_boolean().iter().map(|b| b.map(i32::from)).collect();
        let values: ArrayRef = Arc::new(values);
        return to_integer::<T>(&values);
    }
    to_integer::<T>(array)
}

fn to_boolean(array: &ArrayRef, text: Option<&StringViewArray>) -> Result<ArrayRef> {
    if let Some(text) = text {
        let values: Made<BooleanArray> =
            text.iter().map(|t| t.map(input::boolean).transpose()).collect();
        return Ok(Arc::new(values.map_err(to_datafusion)?));
    }
    match array.data_type() {
        DataType::Int32 => {
            let values: BooleanArray =
                primitive::<Int32Type>(array)?.iter().map(|v| v.map(|v| v != 0)).collect();
            Ok(Arc::new(values))
        }
        _ => Ok(Arc::clone(array)),
    }
}

fn to_uuid(array: &ArrayRef, text: Option<&StringViewArray>) -> Result<ArrayRef> {
    let Some(text) = text else { return Ok(Arc::clone(array)) };
    let mut values = FixedSizeBinaryBuilder::with_capacity(text.len(), 16);
    for t in text {
        match t {
            Some(t) => values.append_value(input::uuid(t).map_err(to_datafusion)?)?,
            None => values.append_null(),
        }
    }
    Ok(Arc::new(values.finish()))
}

fn to_bytea(array: &ArrayRef, text: Option<&StringViewArray>) -> Result<ArrayRef> {
    let Some(text) = text else { return Ok(Arc::clone(array)) };
    let mut values = BinaryViewBuilder::with_capacity(text.len());
    for t in text {
        match t {
            Some(t) => values.append_value(input::bytea(t).map_err(to_datafusion)?),
            None => values.append_null(),
        }
    }
    Ok(Arc::new(values.finish()))
}

fn to_datetime(
    array: &ArrayRef,
    text: Option<&StringViewArray>,
    to: SqlType,
    context: &Context,
) -> Result<ArrayRef> {
    let (zone, order) = (context.formats.zone, context.formats.date_style.order);
    let day = |micros: i64| civil::date(micros.div_euclid(DAY));
    let time = |micros: i64| Ok(micros.rem_euclid(DAY));
    let result = match (text, Class::of(array.data_type()), to) {
        (Some(text), _, SqlType::Date) => parse::<Date32Type>(text, |t| datetime::date(t, order)),
        (Some(text), _, SqlType::Time) => {
            parse::<Time64MicrosecondType>(text, |t| datetime::time(t, order))
        }
        (Some(text), _, SqlType::Timestamp) => {
            parse::<TimestampMicrosecondType>(text, |t| datetime::timestamp(t, order))
        }
        (Some(text), ..) => {
            parse::<TimestampMicrosecondType>(text, |t| datetime::timestamp_tz(t, order, zone))
        }
        (_, Some(Class::Date), SqlType::Timestamp) => {
            map::<Date32Type, TimestampMicrosecondType>(array, civil::midnight)
        }
        (_, Some(Class::Date), SqlType::TimestampTz) => {
            map::<Date32Type, TimestampMicrosecondType>(array, |d| zone.to_utc(civil::midnight(d)?))
        }
        (_, Some(Class::Timestamp), SqlType::Date) => {
            map::<TimestampMicrosecondType, Date32Type>(array, day)
        }
        (_, Some(Class::Timestamp), SqlType::Time) => {
            map::<TimestampMicrosecondType, Time64MicrosecondType>(array, time)
        }
        (_, Some(Class::Timestamp), SqlType::TimestampTz) => {
            map::<TimestampMicrosecondType, TimestampMicrosecondType>(array, |t| zone.to_utc(t))
        }
        (_, Some(Class::TimestampTz), SqlType::Date) => {
            map::<TimestampMicrosecondType, Date32Type>(array, |t| day(zone.to_local(t)?))
        }
        (_, Some(Class::TimestampTz), SqlType::Time) => {
            map::<TimestampMicrosecondType, Time64MicrosecondType>(array, |t| {
                time(zone.to_local(t)?)
            })
        }
        (_, Some(Class::TimestampTz), SqlType::Timestamp) => {
            map::<TimestampMicrosecondType, TimestampMicrosecondType>(array, |t| zone.to_local(t))
        }
        (_, Some(Class::Interval), SqlType::Time) => map::<
            IntervalMonthDayNanoType,
            Time64MicrosecondType,
        >(array, |i| time(interval_micros(i))),
        _ => Ok(Arc::clone(array)),
    }?;
    if *result.data_type() == to.arrow() {
        return Ok(result);
    }
    // Only a timestamp's zone differs, which `with_data_type` sets without touching a value.
    let stamps = primitive::<TimestampMicrosecondType>(&result)?.clone();
    Ok(Arc::new(stamps.with_data_type(to.arrow())))
}

/// Every value as PostgreSQL prints it (booleans as `true` and `false`, which is their cast).
pub(crate) fn text_of(array: &ArrayRef, formats: &SessionFormats) -> Result<StringViewArray> {
    let array = canonical(array)?;
    let (digits, style) = (formats.extra_float_digits, formats.date_style);
    match array.data_type() {
        DataType::Utf8View => Ok(array.as_string_view().clone()),
        DataType::Boolean => Ok(array
            .as_boolean()
            .iter()
            .map(|b| b.map(|b| if b { "true" } else { "false" }))
            .collect()),
        DataType::Int16 => print::<Int16Type>(&array, |v| v.to_string()),
        DataType::Int32 => print::<Int32Type>(&array, |v| v.to_string()),
        DataType::Int64 => print::<Int64Type>(&array, |v| v.to_string()),
        DataType::Float32 => print::<Float32Type>(&array, |v| output::real(v, digits)),
        DataType::Float64 => print::<Float64Type>(&array, |v| output::double(v, digits)),
        DataType::Decimal128(_, scale) => {
            print::<Decimal128Type>(&array, |v| decimal::format(v, *scale))
        }
        DataType::Date32 => print::<Date32Type>(&array, |d| output::date(d, style)),
        DataType::Time64(_) => print::<Time64MicrosecondType>(&array, output::time),
        DataType::Timestamp(_, None) => {
            print::<TimestampMicrosecondType>(&array, |t| output::timestamp(t, style))
        }
        DataType::Timestamp(_, Some(_)) => print::<TimestampMicrosecondType>(&array, |t| {
            output::timestamp_tz(t, style, formats.zone)
        }),
        DataType::Interval(_) => print::<IntervalMonthDayNanoType>(&array, |i| {
            output::interval(i, formats.interval_style)
        }),
        DataType::FixedSizeBinary(16) => {
            let values = array.as_fixed_size_binary();
            Ok(values.iter().map(|v| v.map(output::uuid)).collect())
        }
        DataType::BinaryView => {
            let bytes = array.as_binary_view().iter();
            Ok(bytes.map(|v| v.map(|v| output::bytea(v, formats.bytea_output))).collect())
        }
        DataType::Null => Ok(StringViewArray::new_null(array.len())),
        DataType::List(_) => super::array::texts(array.as_list(), formats),
        other => Err(wrong_type(other, &DataType::Utf8View)),
    }
}

fn print<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    f: impl Fn(T::Native) -> String,
) -> Result<StringViewArray> {
    let mut texts = StringViewBuilder::with_capacity(array.len());
    for value in primitive::<T>(array)? {
        match value {
            Some(value) => texts.append_value(f(value)),
            None => texts.append_null(),
        }
    }
    Ok(texts.finish())
}

/// Texts in at most `n` characters; `char(n)` is held without its trailing blanks.
fn cut(texts: &StringViewArray, n: u32, to: SqlType, kind: CastKind) -> Result<ArrayRef> {
    let blank_padded = matches!(to, SqlType::Char(_));
    let fits = |text: &str| text.len() <= n as usize && !(blank_padded && text.ends_with(' '));
    if texts.iter().flatten().all(fits) {
        return Ok(Arc::new(texts.clone()));
    }
    let mut result = StringViewBuilder::with_capacity(texts.len());
    for text in texts {
        let Some(text) = text else {
            result.append_null();
            continue;
        };
        let end = text.char_indices().nth(n as usize).map_or(text.len(), |(at, _)| at);
        let (kept, rest) = text.split_at(end);
        // Blanks may be lost also where nothing else may.
        if kind == CastKind::Assignment && !rest.trim_end_matches(' ').is_empty() {
            return Err(to_datafusion(ErrorReport::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("value too long for type {to}"),
            )));
        }
        result.append_value(if blank_padded { kept.trim_end_matches(' ') } else { kept });
    }
    Ok(Arc::new(result.finish()))
}
