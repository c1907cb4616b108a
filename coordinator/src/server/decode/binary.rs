//! Parameters in binary format: what PostgreSQL's receive functions read.

use bytes::{Buf, Bytes};
use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    catalog::{Element, SqlType},
    functions::SessionFormats,
    wire_binary::{
        JSONB_VERSION, received_date, received_interval, received_time, received_timestamp, utf8,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{numeric, string};

/// Reads parameter `number` (counted from 1).
pub(super) fn decode(sql_type: SqlType, bytes: Bytes, number: usize) -> Result<ScalarValue> {
    let mut input = Input { bytes, number };
    let value = match sql_type {
        SqlType::SmallInt => ScalarValue::Int16(Some(i16::from_be_bytes(input.take()?))),
        SqlType::Integer => ScalarValue::Int32(Some(input.i32()?)),
        SqlType::BigInt => ScalarValue::Int64(Some(input.i64()?)),
        SqlType::Oid => ScalarValue::Int64(Some(i64::from(u32::from_be_bytes(input.take()?)))),
        SqlType::Real => ScalarValue::Float32(Some(f32::from_be_bytes(input.take()?))),
        SqlType::Double => ScalarValue::Float64(Some(f64::from_be_bytes(input.take()?))),
        SqlType::Numeric(..) => decode_numeric(&mut input)?,
        SqlType::Boolean => ScalarValue::Boolean(Some(input.take::<1>()? != [0])),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Name => {
            string(sql_type, utf8(&input.rest())?.to_string())
        }
        SqlType::Date => ScalarValue::Date32(Some(received_date(input.i32()?)?)),
        SqlType::Time => ScalarValue::Time64Microsecond(Some(received_time(input.i64()?)?)),
        SqlType::Timestamp => ScalarValue::TimestampMicrosecond(Some(timestamp(&mut input)?), None),
        SqlType::TimestampTz => {
            ScalarValue::TimestampMicrosecond(Some(timestamp(&mut input)?), Some("UTC".into()))
        }
        SqlType::Interval => {
            let (micros, days, months) = (input.i64()?, input.i32()?, input.i32()?);
            ScalarValue::IntervalMonthDayNano(Some(received_interval(micros, days, months)?))
        }
        SqlType::Uuid => ScalarValue::FixedSizeBinary(16, Some(input.take::<16>()?.to_vec())),
        SqlType::Bytea => ScalarValue::BinaryView(Some(input.rest().to_vec())),
        SqlType::Json => json(sql_type, utf8(&input.rest())?)?,
        SqlType::Jsonb => match input.take()? {
            [JSONB_VERSION] => json(sql_type, utf8(&input.rest())?)?,
            _ => return Err(input.malformed()),
        },
        SqlType::Array(element) => decode_array(&mut input, element)?,
    };
    match input.bytes.is_empty() {
        true => Ok(value),
        false => Err(input.malformed()),
    }
}

/// A text that is JSON.
fn json(sql_type: SqlType, text: &str) -> Result<ScalarValue> {
    super::text::decode(sql_type, text, &SessionFormats::default())
}

/// array_recv (arrayfuncs.c).
fn decode_array(input: &mut Input, element: Element) -> Result<ScalarValue> {
    let (dimensions, _, _) = (input.i32()?, input.i32()?, input.i32()?);
    let count = match dimensions {
        0 => 0,
        1 => {
            let (count, _) = (input.i32()?, input.i32()?);
            count
        }
        _ => return Err(ErrorReport::unsupported("arrays of more than one dimension")),
    };
    let to = element.sql_type();
    let mut values = Vec::new();
    for _ in 0..count {
        let value = match usize::try_from(input.i32()?) {
            Err(_) => ScalarValue::try_from(&to.arrow()),
            Ok(length) if length <= input.bytes.len() => {
                let value = decode(to, input.bytes.split_to(length), input.number)?;
                value.cast_to(&to.arrow())
            }
            Ok(_) => return Err(input.malformed()),
        };
        values.push(value.map_err(|_| input.malformed())?);
    }
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &to.arrow())))
}

struct Input {
    bytes: Bytes,
    number: usize,
}

impl Input {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some(head) = self.bytes.first_chunk::<N>().copied() else {
            return Err(self.malformed());
        };
        self.bytes.advance(N);
        Ok(head)
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    fn rest(&mut self) -> Bytes {
        self.bytes.split_off(0)
    }

    fn malformed(&self) -> ErrorReport {
        ErrorReport::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("incorrect binary data format in bind parameter {}", self.number),
        )
    }
}

fn timestamp(input: &mut Input) -> Result<i64> {
    received_timestamp(input.i64()?)
}

/// numeric_recv (numeric.c): digits of base 10000, the first worth 10000^weight.
fn decode_numeric(input: &mut Input) -> Result<ScalarValue> {
    const NEGATIVE: i16 = 0x4000;
    let (count, weight, sign, scale) = (input.i16()?, input.i16()?, input.i16()?, input.i16()?);
    if sign != 0 && sign != NEGATIVE {
        return Err(ErrorReport::unsupported("NaN and infinity of type numeric are not supported"));
    }
    if count < 0 || scale < 0 {
        return Err(input.malformed());
    }
    let mut value = Some(0i128);
    for _ in 0..count {
        let digit = input.i16()?;
        if !(0..10_000).contains(&digit) {
            return Err(input.malformed());
        }
        value = value.and_then(|v| v.checked_mul(10_000)?.checked_add(i128::from(digit)));
    }
    // The last digit is worth 10^(4 (weight - count + 1)); the value is wanted in 10^-scale.
    let shift = i64::from(scale) + 4 * (i64::from(weight) - i64::from(count) + 1);
    let power = |exponent: i64| 10i128.checked_pow(u32::try_from(exponent).ok()?);
    let value = match value {
        Some(0) => Some(0),
        value if shift >= 0 => value.and_then(|v| v.checked_mul(power(shift)?)),
        value => value.map(|v| power(-shift).map_or(0, |power| v / power)),
    };
    numeric(value.map(|v| if sign == NEGATIVE { -v } else { v }), i64::from(scale))
}
