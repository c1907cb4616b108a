//! Parameters in binary format: what PostgreSQL's receive functions read.

use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    catalog::{Element, SqlType},
    functions::SessionFormats,
    wire_binary::{
        Input, JSONB_VERSION, malformed, read_shown, received_date, received_interval,
        received_time, received_timestamp, utf8,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{numeric, parameter_type, string};

/// Reads parameter `number` (counted from 1).
pub(super) fn decode(sql_type: SqlType, bytes: &[u8], number: usize) -> Result<ScalarValue> {
    let mut input = Input::new(bytes);
    let value = value(sql_type, &mut input)?;
    input.end(&format!(" in bind parameter {number}"))?;
    Ok(value)
}

fn value(sql_type: SqlType, input: &mut Input<'_>) -> Result<ScalarValue> {
    Ok(match sql_type {
        SqlType::SmallInt => ScalarValue::Int16(Some(i16::from_be_bytes(input.take()?))),
        SqlType::Integer => ScalarValue::Int32(Some(input.i32()?)),
        SqlType::BigInt => ScalarValue::Int64(Some(input.i64()?)),
        SqlType::Oid => ScalarValue::Int64(Some(i64::from(u32::from_be_bytes(input.take()?)))),
        SqlType::Real => ScalarValue::Float32(Some(f32::from_be_bytes(input.take()?))),
        SqlType::Double => ScalarValue::Float64(Some(f64::from_be_bytes(input.take()?))),
        SqlType::Numeric(..) => {
            let (value, scale) = read_shown(input)?;
            numeric(value, scale.into())?
        }
        SqlType::Boolean => ScalarValue::Boolean(Some(input.bool()?)),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Name => {
            string(sql_type, utf8(input.rest())?.to_string())
        }
        SqlType::Date => ScalarValue::Date32(Some(received_date(input.i32()?)?)),
        SqlType::Time => ScalarValue::Time64Microsecond(Some(received_time(input.i64()?)?)),
        SqlType::Timestamp => {
            ScalarValue::TimestampMicrosecond(Some(received_timestamp(input.i64()?)?), None)
        }
        SqlType::TimestampTz => ScalarValue::TimestampMicrosecond(
            Some(received_timestamp(input.i64()?)?),
            Some("UTC".into()),
        ),
        SqlType::Interval => {
            let (micros, days, months) = (input.i64()?, input.i32()?, input.i32()?);
            ScalarValue::IntervalMonthDayNano(Some(received_interval(micros, days, months)?))
        }
        SqlType::Uuid => ScalarValue::FixedSizeBinary(16, Some(input.take::<16>()?.to_vec())),
        SqlType::Bytea => ScalarValue::BinaryView(Some(input.rest().to_vec())),
        SqlType::Json => json(sql_type, utf8(input.rest())?)?,
        SqlType::Jsonb => match input.take()? {
            [JSONB_VERSION] => json(sql_type, utf8(input.rest())?)?,
            _ => return Err(malformed("unsupported jsonb version number")),
        },
        SqlType::Array(element) => array(input, element.sql_type())?,
        SqlType::Int2Vector => array(input, SqlType::SmallInt)?,
        SqlType::OidVector => array(input, SqlType::Oid)?,
    })
}

/// A text that is JSON.
fn json(sql_type: SqlType, text: &str) -> Result<ScalarValue> {
    super::text::decode(sql_type, text, &SessionFormats::default())
}

/// `array_recv` (arrayfuncs.c).
fn array(input: &mut Input<'_>, to: SqlType) -> Result<ScalarValue> {
    let (dimensions, flags, type_oid) = (input.i32()?, input.i32()?, input.i32()?);
    let count = match dimensions {
        0 => 0,
        1 => {
            let (count, _) = (input.i32()?, input.i32()?);
            count
        }
        2.. => return Err(ErrorReport::unsupported("arrays of more than one dimension")),
        _ => return Err(malformed(format!("invalid number of dimensions: {dimensions}"))),
    };
    if !(0..=1).contains(&flags) {
        return Err(malformed("invalid array flags"));
    }
    check_element(to, type_oid as u32)?;
    let mut values = Vec::new();
    for number in 1..=count {
        let value = match usize::try_from(input.i32()?) {
            Err(_) => ScalarValue::try_from(&to.arrow()),
            Ok(length) => {
                let too_short = || malformed("insufficient data left in message");
                let mut item = Input::new(input.bytes(length).ok_or_else(too_short)?);
                let value = value(to, &mut item)?;
                let improper = format!("improper binary format in array element {number}");
                item.end("").map_err(|_| malformed(improper))?;
                value.cast_to(&to.arrow())
            }
        };
        values.push(value.map_err(|_| malformed("an array element is none of its type"))?);
    }
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &to.arrow())))
}

/// The elements are read as what they are expected to be: they must be that.
///
/// Errors: 42804 if they are not.
fn check_element(expected: SqlType, oid: u32) -> Result<()> {
    let found = parameter_type(oid)?;
    if found.is_some_and(|found| is_read_as(found, expected)) {
        return Ok(());
    }
    let message = match found {
        Some(found) => format!(
            "binary data has array element type {oid} ({found}) instead of expected {} ({expected})",
            expected.oid()
        ),
        None => format!("binary data has array element type {oid}"),
    };
    Err(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message))
}

/// All numerics are, and all that is held as text.
fn is_read_as(found: SqlType, expected: SqlType) -> bool {
    let is_oid = |t| t == SqlType::Oid;
    match (Element::of(found), Element::of(expected)) {
        (Some(Element::Numeric(..)), Some(Element::Numeric(..))) => true,
        (Some(of_found), Some(of_expected)) => {
            of_found == of_expected && is_oid(found) == is_oid(expected)
        }
        _ => false,
    }
}
