//! Which types an arithmetic operator takes and gives, as PostgreSQL's operator catalog says
//! (`pg_operator`, func_oper.c's preference for `double precision` among numbers).

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use super::Arithmetic;
use crate::functions::decimal::MAX_PRECISION;

/// A SQL type as arithmetic sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 2, 4 or 8 bytes
    Integer(u8),
    /// precision, scale
    Numeric(u8, i8),
    Real,
    Double,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    /// The type of a bare NULL
    Unknown,
}

impl Class {
    /// `None`: no arithmetic on this type.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::Integer(2),
            DataType::Int32 | DataType::UInt16 => Self::Integer(4),
            DataType::Int64 | DataType::UInt32 => Self::Integer(8),
            DataType::UInt64 => Self::Numeric(20, 0),
            DataType::Decimal32(p, s)
            | DataType::Decimal64(p, s)
            | DataType::Decimal128(p, s)
            | DataType::Decimal256(p, s) => Self::Numeric((*p).min(MAX_PRECISION), *s),
            DataType::Float16 | DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            DataType::Interval(_) | DataType::Duration(_) => Self::Interval,
            DataType::Null => Self::Unknown,
            DataType::Dictionary(_, value) => return Self::of(value),
            _ => return None,
        })
    }

    /// How Kestrel holds it.
    pub(crate) fn arrow(self) -> DataType {
        match self {
            Self::Integer(2) => DataType::Int16,
            Self::Integer(4) => DataType::Int32,
            Self::Integer(_) => DataType::Int64,
            Self::Numeric(p, s) => DataType::Decimal128(p, s),
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Unknown => DataType::Null,
        }
    }

    /// Whether it is a number.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Integer(_) | Self::Numeric(..) | Self::Real | Self::Double)
    }

    /// The numeric that holds all values of an integer type; others unchanged.
    fn widened(self) -> Self {
        match self {
            Self::Integer(2) => Self::Numeric(5, 0),
            Self::Integer(4) => Self::Numeric(10, 0),
            Self::Integer(_) => Self::Numeric(19, 0),
            other => other,
        }
    }
}

/// An operator's operand and result types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types {
    pub(crate) left: Class,
    pub(crate) right: Class,
    pub(crate) result: Class,
}

/// The operator that PostgreSQL would choose for operands of these types; `None`: it has none.
pub(crate) fn resolve(op: Arithmetic, left: Class, right: Class) -> Option<Types> {
    let same = |class: Class| Types { left: class, right: class, result: class };
    match (left, right) {
        (Class::Unknown, Class::Unknown) => Some(same(Class::Integer(4))),
        (Class::Unknown, known) => resolve(op, beside(op, known), known),
        (known, Class::Unknown) => resolve(op, known, beside(op, known)),
        (l, r) if l.is_number() && r.is_number() => numbers(op, l, r),
        (l, r) => temporal(op, l, r),
    }
}

/// The type that NULL takes beside an operand of a known type.
fn beside(op: Arithmetic, known: Class) -> Class {
    use Arithmetic::{Add, Divide, Multiply, Subtract};
    match (op, known) {
        (Add | Subtract, Class::Date) => Class::Integer(4),
        (Add, Class::Time | Class::Timestamp | Class::TimestampTz) => Class::Interval,
        (Multiply | Divide, Class::Interval) => Class::Double,
        _ => known,
    }
}

fn numbers(op: Arithmetic, left: Class, right: Class) -> Option<Types> {
    let same = |class: Class| Types { left: class, right: class, result: class };
    Some(match (left, right) {
        (Class::Integer(l), Class::Integer(r)) => same(Class::Integer(l.max(r))),
        (Class::Real, Class::Real) if op != Arithmetic::Modulo => same(Class::Real),
        (Class::Real | Class::Double, _) | (_, Class::Real | Class::Double) => {
            if op == Arithmetic::Modulo {
                return None;
            }
            same(Class::Double)
        }
        (l, r) => {
            let (left, right) = (l.widened(), r.widened());
            let (Class::Numeric(p1, s1), Class::Numeric(p2, s2)) = (left, right) else {
                return None;
            };
            let (precision, scale) = numeric_result(op, (p1, s1), (p2, s2));
            Types { left, right, result: Class::Numeric(precision, scale) }
        }
    })
}

/// Precision and scale of a numeric operation's result. Sums, differences, remainders and products
/// are exact; where the declared digits of the operands could need more than 38, the scale is kept
/// and a result that has more digits fails with 22003 when it comes.
pub(crate) fn numeric_result(op: Arithmetic, left: (u8, i8), right: (u8, i8)) -> (u8, i8) {
    /// Fractional digits of quotients (`NUMERIC_MIN_SIG_DIGITS` in PostgreSQL's numeric.h), if
    /// the operands do not have more.
    const QUOTIENT_SCALE: i32 = 16;
    /// A product of long operands has no more fractional digits, so that 18 are left before the
    /// point; the rest is rounded.
    const LONG_PRODUCT_SCALE: i32 = 20;
    let (p1, s1) = (i32::from(left.0), i32::from(left.1));
    let (p2, s2) = (i32::from(right.0), i32::from(right.1));
    let (i1, i2) = (p1 - s1, p2 - s2);
    let (precision, scale) = match op {
        Arithmetic::Add | Arithmetic::Subtract => {
            let scale = s1.max(s2);
            (i1.max(i2) + scale + 1, scale)
        }
        Arithmetic::Multiply => {
            let exact = s1 + s2;
            if p1 + p2 <= 38 || exact <= LONG_PRODUCT_SCALE {
                (p1 + p2, exact)
            } else {
                (38, LONG_PRODUCT_SCALE.max(s1).max(s2).min(exact))
            }
        }
        Arithmetic::Divide => (38, QUOTIENT_SCALE.max(s1).max(s2)),
        Arithmetic::Modulo => {
            let scale = s1.max(s2);
            (i1.min(i2) + scale, scale)
        }
    };
    let scale = scale.clamp(-38, 38);
    (precision.clamp(scale.max(1), 38) as u8, scale as i8)
}

fn temporal(op: Arithmetic, left: Class, right: Class) -> Option<Types> {
    use Arithmetic::{Add, Divide, Modulo, Multiply, Subtract};
    use Class::{Date, Double, Integer, Interval, Time, Timestamp, TimestampTz};
    const INT: Class = Integer(4);
    let types = |left, right, result| Some(Types { left, right, result });
    match (op, left, right) {
        (Add, Date, Integer(_)) => types(Date, INT, Date),
        (Add, Integer(_), Date) => types(INT, Date, Date),
        (Subtract, Date, Integer(_)) => types(Date, INT, Date),
        (Subtract, Date, Date) => types(Date, Date, INT),
        (Add | Subtract, Date | Timestamp, Time) => types(Timestamp, Time, Timestamp),
        (Add | Subtract, TimestampTz, Time) => types(TimestampTz, Time, TimestampTz),
        (Add, Time, Date | Timestamp) => types(Time, Timestamp, Timestamp),
        (Add, Time, TimestampTz) => types(Time, TimestampTz, TimestampTz),
        (Add | Subtract, Date | Timestamp, Interval) => types(Timestamp, Interval, Timestamp),
        (Add, Interval, Date | Timestamp) => types(Interval, Timestamp, Timestamp),
        (Add | Subtract, TimestampTz, Interval) => types(TimestampTz, Interval, TimestampTz),
        (Add, Interval, TimestampTz) => types(Interval, TimestampTz, TimestampTz),
        (Subtract, TimestampTz, Date | Timestamp | TimestampTz)
        | (Subtract, Date | Timestamp, TimestampTz) => types(TimestampTz, TimestampTz, Interval),
        (Subtract, Date | Timestamp, Date | Timestamp) => types(Timestamp, Timestamp, Interval),
        (Add | Subtract, Time, Interval) => types(Time, Interval, Time),
        (Add, Interval, Time) => types(Interval, Time, Time),
        (Subtract, Time, Time) => types(Time, Time, Interval),
        (Add | Subtract, Interval, Interval) => types(Interval, Interval, Interval),
        (Multiply | Divide, Interval, r) if r.is_number() => types(Interval, Double, Interval),
        (Multiply, l, Interval) if l.is_number() => types(Double, Interval, Interval),
        (Add | Subtract | Multiply | Divide | Modulo, ..) => None,
    }
}
