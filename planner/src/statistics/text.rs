//! Values of statistics as people read them.

use arrow::datatypes::IntervalMonthDayNano;

use super::Value;
use crate::{
    catalog::SqlType,
    functions::{SessionFormats, output},
};

impl Value {
    /// As a type prints it, in the styles that sessions begin with.
    pub fn text(&self, sql_type: SqlType) -> String {
        text(self, sql_type)
    }

    /// As a statement writes it: numbers as they are, all else as `'text'`.
    pub fn quoted(&self, sql_type: SqlType) -> String {
        let text = self.text(sql_type);
        match self {
            Self::Integer(_) | Self::Decimal(..) if is_number(sql_type) => text,
            _ => format!("'{}'", text.replace('\'', "''")),
        }
    }
}

fn is_number(sql_type: SqlType) -> bool {
    matches!(
        sql_type,
        SqlType::SmallInt | SqlType::Integer | SqlType::BigInt | SqlType::Numeric(..)
    )
}

fn text(value: &Value, sql_type: SqlType) -> String {
    let formats = SessionFormats::default();
    match (value, sql_type) {
        (Value::Boolean(value), _) => if *value { "t" } else { "f" }.to_string(),
        (Value::Integer(value), SqlType::Numeric(_, scale)) => numeric((*value).into(), 0, scale),
        (Value::Integer(i64::MAX), SqlType::Timestamp | SqlType::TimestampTz) => "infinity".into(),
        (Value::Integer(i64::MIN), SqlType::Timestamp | SqlType::TimestampTz) => "-infinity".into(),
        (Value::Integer(value), SqlType::Date) => match i32::try_from(*value) {
            Ok(i32::MIN) => "-infinity".into(),
            Ok(i32::MAX) | Err(_) => "infinity".into(),
            Ok(days) => output::date(days, formats.date_style),
        },
        (Value::Integer(value), SqlType::Time) => output::time(*value),
        (Value::Integer(value), SqlType::Timestamp) => {
            output::timestamp(*value, formats.date_style)
        }
        (Value::Integer(value), SqlType::TimestampTz) => {
            output::timestamp_tz(*value, formats.date_style, formats.zone)
        }
        (Value::Integer(value), _) => value.to_string(),
        (Value::Decimal(digits, from), SqlType::Numeric(_, scale)) => {
            numeric((*digits).into(), *from, scale)
        }
        (Value::Decimal(digits, from), _) => numeric((*digits).into(), *from, *from),
        (Value::Float(bits), SqlType::Real) => output::real(f64::from_bits(*bits) as f32, 1),
        (Value::Float(bits), _) => output::double(f64::from_bits(*bits), 1),
        (Value::Text(text), SqlType::Char(length)) => {
            format!("{text:<width$}", width = length as usize)
        }
        (Value::Text(text), _) => text.to_string(),
        (Value::Bytes(bytes), SqlType::Uuid) => output::uuid(bytes),
        (Value::Bytes(bytes), _) => output::bytea(bytes, formats.bytea_output),
        (Value::Interval(months, days, nanos), _) => {
            let value = IntervalMonthDayNano::new(*months, *days, *nanos);
            output::interval(value, formats.interval_style)
        }
    }
}

/// `unscaled · 10^-from` with so many digits behind the point, which is enough.
fn numeric(unscaled: i128, from: i8, scale: i8) -> String {
    let scale = usize::from(scale.max(from).max(0).unsigned_abs());
    let zeros = scale - usize::from(from.max(0).unsigned_abs());
    let digits = format!("{}{}", unscaled.unsigned_abs(), "0".repeat(zeros));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_their_type_is() {
        use SqlType::*;
        let cases = [
            (Value::Integer(5), Integer, "5"),
            (Value::Integer(5), Numeric(10, 2), "5.00"),
            (Value::decimal(-5, 2), Numeric(10, 3), "-0.050"),
            (Value::decimal(1234, 1), Numeric(10, 1), "123.4"),
            (Value::Integer(0), Date, "1970-01-01"),
            (Value::Integer(1_000_000), Time, "00:00:01"),
            (Value::Integer(0), Timestamp, "1970-01-01 00:00:00"),
            (Value::float(1.5), Double, "1.5"),
            (Value::Boolean(true), Boolean, "t"),
            (Value::Text("a".into()), Char(3), "a  "),
            (Value::Bytes([255].into()), Bytea, "\\xff"),
        ];
        for (value, sql_type, expected) in cases {
            assert_eq!(value.text(sql_type), expected, "{sql_type}");
        }
    }

    #[test]
    fn quoted_values_are_those_of_statements() {
        let cases = [
            (Value::Integer(5), SqlType::Integer, "5"),
            (Value::Integer(0), SqlType::Date, "'1970-01-01'"),
            (Value::Text("it's".into()), SqlType::Text, "'it''s'"),
        ];
        for (value, sql_type, expected) in cases {
            assert_eq!(value.quoted(sql_type), expected);
        }
    }
}
