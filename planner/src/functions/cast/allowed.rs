//! Which casts there are, and what has to be done for them.

use arrow::datatypes::{DataType, TimeUnit};

use crate::{catalog::SqlType, functions::arithmetic::types::Class};

/// Whether nothing has to be done.
pub(super) fn is_same(from: &DataType, to: SqlType) -> bool {
    match to {
        // json and jsonb say in the field's metadata that they are no text.
        SqlType::Varchar(Some(_)) | SqlType::Char(_) | SqlType::Json | SqlType::Jsonb => false,
        // Nor are vectors arrays.
        SqlType::Int2Vector | SqlType::OidVector => false,
        SqlType::Numeric(..) => *from == to.arrow(),
        _ => *from == to.arrow(),
    }
}

/// Whether Arrow's cast gives PostgreSQL's values and cannot fail: it stays visible to the
/// optimizer.
pub(super) fn is_plain(from: &DataType, to: SqlType) -> bool {
    let width = |t: &DataType| match t {
        DataType::Int16 => Some(2),
        DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        _ => None,
    };
    match (from, to) {
        (DataType::Null, _) => true,
        (_, SqlType::SmallInt | SqlType::Integer | SqlType::BigInt) => {
            width(from).zip(width(&to.arrow())).is_some_and(|(from, to)| from < to)
        }
        (_, SqlType::Double) => width(from).is_some() || *from == DataType::Float32,
        (_, SqlType::Numeric(p, s)) => match (Class::of(from), from) {
            (Some(Class::Integer(_)), _) => {
                let digits = width(from).map(|bytes| [5, 10, 19][bytes as usize / 4]);
                s >= 0 && digits.is_some_and(|d: i32| d + i32::from(s) <= i32::from(p))
            }
            (_, DataType::Decimal128(p1, s1)) => {
                s >= *s1 && i32::from(p) - i32::from(s) >= i32::from(*p1) - i32::from(*s1)
            }
            _ => false,
        },
        (DataType::Date32, SqlType::Timestamp) => true,
        (
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View,
            SqlType::Text | SqlType::Varchar(None) | SqlType::Name,
        ) => true,
        (DataType::Timestamp(TimeUnit::Nanosecond, None), SqlType::Timestamp) => false,
        _ => false,
    }
}

/// PostgreSQL's table of casts (`pg_cast`, and input and output functions for text).
pub(super) fn is_allowed(from: &DataType, to: SqlType) -> bool {
    use SqlType as T;
    let text = |t: &DataType| {
        matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
    };
    let to_text = matches!(to, T::Text | T::Varchar(_) | T::Char(_) | T::Name);
    if text(from) {
        return true;
    }
    if let DataType::Dictionary(_, value) = from {
        return is_allowed(value, to);
    }
    if let DataType::List(item) = from {
        return match to {
            T::Array(element) => is_allowed(item.data_type(), element.sql_type()),
            T::Int2Vector => is_allowed(item.data_type(), T::SmallInt),
            T::OidVector => is_allowed(item.data_type(), T::Oid),
            _ => to_text,
        };
    }
    let binary = matches!(from, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    if to_text {
        return Class::of(from).is_some()
            || binary
            || matches!(from, DataType::Boolean | DataType::FixedSizeBinary(16));
    }
    match (Class::of(from), from) {
        (Some(class), _) if class.is_number() => match to {
            T::SmallInt | T::Integer | T::BigInt | T::Real | T::Double | T::Numeric(..) => true,
            T::Oid => matches!(class, Class::Integer(_)),
            T::Boolean => class == Class::Integer(4),
            _ => false,
        },
        (Some(Class::Date), _) => matches!(to, T::Date | T::Timestamp | T::TimestampTz),
        (Some(Class::Time), _) => matches!(to, T::Time | T::Interval),
        (Some(Class::Timestamp | Class::TimestampTz), _) => {
            matches!(to, T::Date | T::Time | T::Timestamp | T::TimestampTz)
        }
        (Some(Class::Interval), _) => matches!(to, T::Interval | T::Time),
        (_, DataType::Boolean) => matches!(to, T::Boolean | T::Integer),
        (_, DataType::FixedSizeBinary(16)) => to == T::Uuid,
        _ => binary && to == T::Bytea,
    }
}

/// Casts of `pg_cast` that only CAST and `::` make, though values of the types are at hand.
pub(super) fn is_explicit_only(from: &DataType, to: SqlType) -> bool {
    match from {
        DataType::Boolean => to == SqlType::Integer,
        DataType::Dictionary(_, value) => is_explicit_only(value, to),
        _ => to == SqlType::Boolean && Class::of(from) == Some(Class::Integer(4)),
    }
}
