//! A column's value as statistics keep it: one form for all types that mean the same, in PostgreSQL's
//! order.

use std::cmp::Ordering;

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

/// A value other than NULL. Equal numbers are equal whatever their type is, but for floats, which
/// are equal only to floats.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// boolean
    Boolean(bool),
    /// Integers; numeric without a fraction; date as days since 1970; time as microseconds;
    /// timestamps as microseconds since 1970.
    Integer(i64),
    /// numeric: digits and how many of them are behind the point. The last one is not 0, and the
    /// value is no [`Self::Integer`]: made by [`Self::decimal`].
    Decimal(Digits, i8),
    /// real, double precision: the bits of an f64, -0 as 0, all NaN as the same one; made by
    /// [`Self::float`].
    Float(u64),
    /// text, varchar, char(n) without its trailing blanks
    Text(Box<str>),
    /// bytea, uuid
    Bytes(Box<[u8]>),
    /// interval: months, days, nanoseconds
    Interval(i32, i32, i64),
}

/// An i128 that JSON can hold: its upper and its lower half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digits(i64, u64);

impl From<i128> for Digits {
    fn from(value: i128) -> Self {
        Self((value >> 64) as i64, value as u64)
    }
}

impl From<Digits> for i128 {
    fn from(Digits(high, low): Digits) -> Self {
        (i128::from(high) << 64) | i128::from(low)
    }
}

impl Value {
    /// `unscaled · 10^-scale`.
    pub fn decimal(mut unscaled: i128, mut scale: i8) -> Self {
        while scale > 0 && unscaled % 10 == 0 {
            (unscaled, scale) = (unscaled / 10, scale - 1);
        }
        match i64::try_from(unscaled) {
            Ok(integer) if scale == 0 => Self::Integer(integer),
            _ => Self::Decimal(unscaled.into(), scale),
        }
    }

    /// real, double precision
    pub fn float(value: f64) -> Self {
        let value = if value.is_nan() { f64::NAN } else { value };
        Self::Float(if value == 0.0 { 0 } else { value.to_bits() })
    }

    /// From a value of a column or a query. `None`: NULL, or a type whose values are not kept
    /// (arrays).
    pub fn of(scalar: &ScalarValue) -> Option<Self> {
        use ScalarValue as S;
        Some(match scalar {
            S::Boolean(v) => Self::Boolean((*v)?),
            S::Int8(v) => Self::Integer((*v)?.into()),
            S::Int16(v) => Self::Integer((*v)?.into()),
            S::Int32(v) => Self::Integer((*v)?.into()),
            S::Int64(v) => Self::Integer((*v)?),
            S::UInt8(v) => Self::Integer((*v)?.into()),
            S::UInt16(v) => Self::Integer((*v)?.into()),
            S::UInt32(v) => Self::Integer((*v)?.into()),
            S::UInt64(v) => Self::decimal((*v)?.into(), 0),
            S::Float32(v) => Self::float((*v)?.into()),
            S::Float64(v) => Self::float((*v)?),
            S::Decimal32(v, _, scale) => Self::decimal((*v)?.into(), *scale),
            S::Decimal64(v, _, scale) => Self::decimal((*v)?.into(), *scale),
            S::Decimal128(v, _, scale) => Self::decimal((*v)?, *scale),
            S::Utf8(v) | S::Utf8View(v) | S::LargeUtf8(v) => Self::Text(v.as_deref()?.into()),
            S::Binary(v) | S::BinaryView(v) | S::LargeBinary(v) | S::FixedSizeBinary(_, v) => {
                Self::Bytes(v.as_deref()?.into())
            }
            S::Date32(v) => Self::Integer((*v)?.into()),
            S::Time64Microsecond(v) | S::TimestampMicrosecond(v, _) => Self::Integer((*v)?),
            S::IntervalMonthDayNano(v) => {
                let IntervalMonthDayNano { months, days, nanoseconds } = (*v)?;
                Self::Interval(months, days, nanoseconds)
            }
            S::Dictionary(_, v) => Self::of(v)?,
            _ => return None,
        })
    }

    /// As a number, in the order of values: for interpolation. `None`: text and bytes.
    pub fn number(&self) -> Option<f64> {
        Some(match self {
            Self::Boolean(value) => f64::from(u8::from(*value)),
            Self::Integer(value) => *value as f64,
            Self::Decimal(digits, scale) => {
                i128::from(*digits) as f64 / 10f64.powi(i32::from(*scale))
            }
            Self::Float(bits) => f64::from_bits(*bits),
            Self::Interval(months, days, nanos) => length(*months, *days, *nanos) as f64,
            Self::Text(_) | Self::Bytes(_) => return None,
        })
    }

    /// 0 … 1: where it is between `low` and `high`, which it may be outside of. 0.5 where that
    /// cannot be told. Text is taken for digits of base 256 behind what `low` and `high` have in
    /// common (PostgreSQL's `convert_string_to_scalar`, selfuncs.c).
    pub fn position_between(&self, low: &Self, high: &Self) -> f64 {
        if low == high {
            return 0.5;
        } else if self <= low {
            return 0.0;
        } else if self >= high {
            return 1.0;
        }
        let (low, value, high) = match (low.bytes(), self.bytes(), high.bytes()) {
            (Some(low), Some(value), Some(high)) => {
                // What is between the two begins as they do.
                let common = low.iter().zip(high).take_while(|(a, b)| a == b).count();
                let rest = |bytes: &[u8]| digits(bytes.get(common..).unwrap_or_default());
                (rest(low), rest(value), rest(high))
            }
            _ => match (low.number(), self.number(), high.number()) {
                (Some(low), Some(value), Some(high)) => (low, value, high),
                _ => return 0.5,
            },
        };
        let position = (value - low) / (high - low);
        if position.is_nan() { 0.5 } else { position.clamp(0.0, 1.0) }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Kinds that are compared with each other have the same rank.
    fn rank(&self) -> u8 {
        match self {
            Self::Boolean(_) => 0,
            Self::Integer(_) | Self::Decimal(..) | Self::Float(_) => 1,
            Self::Text(_) => 2,
            Self::Bytes(_) => 3,
            Self::Interval(..) => 4,
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    /// PostgreSQL's order within a type: text by bytes, NaN behind all other numbers, intervals by
    /// their length with months of 30 days. Values of types that nobody compares: by type.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Interval(a, b, c), Self::Interval(d, e, f)) => {
                let lengths = length(*a, *b, *c).cmp(&length(*d, *e, *f));
                lengths.then_with(|| (a, b, c).cmp(&(d, e, f)))
            }
            _ if self.rank() != other.rank() => self.rank().cmp(&other.rank()),
            _ => self.compare_numbers(other),
        }
    }
}

impl Value {
    fn compare_numbers(&self, other: &Self) -> Ordering {
        if let (Some((a, a_scale)), Some((b, b_scale))) = (self.exact(), other.exact()) {
            let scale = a_scale.max(b_scale);
            if let (Some(a), Some(b)) = (rescale(a, scale - a_scale), rescale(b, scale - b_scale)) {
                return a.cmp(&b);
            }
        }
        let (a, b) = (self.number().unwrap_or_default(), other.number().unwrap_or_default());
        // A float and an exact number are never the same value: see `Eq`.
        a.total_cmp(&b).then_with(|| self.exact().is_none().cmp(&other.exact().is_none()))
    }

    fn exact(&self) -> Option<(i128, i8)> {
        match self {
            Self::Integer(value) => Some(((*value).into(), 0)),
            Self::Decimal(digits, scale) => Some(((*digits).into(), *scale)),
            _ => None,
        }
    }
}

fn rescale(value: i128, by: i8) -> Option<i128> {
    value.checked_mul(10i128.checked_pow(u32::try_from(by).ok()?)?)
}

/// Nanoseconds, a month of 30 days (PostgreSQL's `interval_cmp_value`, timestamp.c).
fn length(months: i32, days: i32, nanos: i64) -> i128 {
    const DAY: i128 = 86_400_000_000_000;
    (i128::from(months) * 30 + i128::from(days)) * DAY + i128::from(nanos)
}

/// The first bytes as a fraction of base 256.
fn digits(bytes: &[u8]) -> f64 {
    let mut scale = 1.0;
    bytes.iter().take(8).fold(0.0, |sum, byte| {
        scale /= 256.0;
        sum + f64::from(*byte) * scale
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.into())
    }

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(Value::decimal(500, 2), Value::Integer(5));
        assert_eq!(Value::decimal(150, 2), Value::decimal(15, 1));
        assert_eq!(Value::of(&ScalarValue::Int16(Some(5))), Some(Value::Integer(5)));
        assert_eq!(Value::of(&ScalarValue::Decimal128(Some(50), 10, 1)), Some(Value::Integer(5)));
        assert_eq!(Value::of(&ScalarValue::Int32(None)), None);
        assert_eq!(Value::float(-0.0), Value::float(0.0));
        let large = Value::decimal(-i128::MAX, 3);
        assert!(matches!(large, Value::Decimal(digits, 3) if i128::from(digits) == -i128::MAX));
    }

    #[test]
    fn values_are_in_postgresqls_order() {
        let ascending: [&[Value]; 5] = [
            &[Value::Boolean(false), Value::Boolean(true)],
            &[Value::Integer(-3), Value::decimal(-25, 1), Value::Integer(0), Value::decimal(1, 9)],
            &[Value::float(f64::NEG_INFINITY), Value::float(-1.5), Value::float(0.0)],
            &[Value::float(f64::INFINITY), Value::float(f64::NAN)],
            &[Value::Interval(0, 29, 0), Value::Interval(1, 0, 0), Value::Interval(0, 31, 0)],
        ];
        for values in ascending {
            assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
        }
        assert!(text("") < text("B") && text("B") < text("a"));
    }

    #[test]
    fn positions_are_between_bounds() {
        let of = |value: i64| {
            Value::Integer(value).position_between(&Value::Integer(10), &Value::Integer(20))
        };
        assert_eq!((of(5), of(10), of(15), of(25)), (0.0, 0.0, 0.5, 1.0));
        let (low, high) = (text("Customer#1"), text("Customer#9"));
        let middle = text("Customer#5").position_between(&low, &high);
        assert!((middle - 0.5).abs() < 0.01, "{middle}");
        assert_eq!(text("Aaa").position_between(&low, &high), 0.0);
        assert_eq!(text("Zzz").position_between(&low, &high), 1.0);
        assert_eq!(Value::Integer(1).position_between(&Value::Integer(1), &Value::Integer(1)), 0.5);
    }

    #[test]
    fn json_gives_values_back() {
        let values = vec![
            Value::Boolean(true),
            Value::Integer(i64::MIN),
            Value::decimal(i128::MAX, 2),
            Value::decimal(-5, 1),
            Value::float(f64::NAN),
            Value::float(-1.5),
            text("é\n"),
            Value::Bytes([0, 255].into()),
            Value::Interval(1, -2, 3),
        ];
        let json = serde_json::to_string(&values).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Value>>(&json).unwrap(), values);
    }
}
