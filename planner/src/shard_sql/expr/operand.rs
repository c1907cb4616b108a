//! Columns and constants, and what is known of a value besides its text.

use crate::catalog::SqlType;
use datafusion::common::ScalarValue;

use super::{
    super::{literal::literal, quote::identifier},
    Translation,
};

/// A translated expression.
#[derive(Clone, Debug)]
pub(super) struct Sql {
    /// In parentheses where it needs them.
    pub(super) text: String,
    pub(super) kind: Kind,
    /// Its value, if it is a constant as it stands.
    pub(super) constant: Option<ScalarValue>,
}

/// The type of a value, on both sides, and what is sure of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An integer of these values: the bounds tell when a sum can leave its type.
    Integer {
        lowest: i128,
        highest: i128,
    },
    /// Digits and scale, as Kestrel counts them.
    Numeric(u8, i8),
    Float,
    Boolean,
    /// text, varchar
    Text,
    /// A column of type `char(n)`: the database holds its blanks, Kestrel does not.
    Char,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Uuid,
    Bytea,
    /// Of which nothing is pushed but whether it is NULL.
    Opaque,
}

impl Kind {
    /// What columns of a type are.
    fn of(sql_type: SqlType) -> Self {
        match sql_type {
            SqlType::SmallInt => Self::integer(i16::MIN.into(), i16::MAX.into()),
            SqlType::Integer => Self::integer(i32::MIN.into(), i32::MAX.into()),
            SqlType::BigInt => Self::integer(i64::MIN.into(), i64::MAX.into()),
            SqlType::Numeric(precision, scale) => Self::Numeric(precision, scale),
            SqlType::Real | SqlType::Double => Self::Float,
            SqlType::Boolean => Self::Boolean,
            SqlType::Text | SqlType::Varchar(_) => Self::Text,
            SqlType::Char(_) => Self::Char,
            SqlType::Date => Self::Date,
            SqlType::Time => Self::Time,
            SqlType::Timestamp => Self::Timestamp,
            SqlType::TimestampTz => Self::TimestampTz,
            SqlType::Uuid => Self::Uuid,
            SqlType::Bytea => Self::Bytea,
            SqlType::Interval
            | SqlType::Oid
            | SqlType::Int2Vector
            | SqlType::OidVector
            | SqlType::Name
            | SqlType::Json
            | SqlType::Jsonb
            | SqlType::Array(_) => Self::Opaque,
        }
    }

    pub(super) fn integer(lowest: i128, highest: i128) -> Self {
        Self::Integer { lowest, highest }
    }

    /// The kind of a value that is one of either; `None`: there is none.
    pub(super) fn common(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (
                Self::Integer { lowest: l1, highest: h1 },
                Self::Integer { lowest: l2, highest: h2 },
            ) => Self::integer(l1.min(l2), h1.max(h2)),
            (Self::Numeric(p1, s1), Self::Numeric(p2, s2)) => {
                let scale = s1.max(s2);
                let whole = (i32::from(p1) - i32::from(s1)).max(i32::from(p2) - i32::from(s2));
                let precision = u8::try_from(whole + i32::from(scale)).ok()?;
                Self::Numeric(precision, scale)
            }
            (Self::Text | Self::Char, Self::Text | Self::Char) => Self::Text,
            (Self::Opaque, _) | (_, Self::Opaque) => return None,
            (one, two) if one == two => one,
            _ => return None,
        })
    }
}

impl Sql {
    pub(super) fn new(text: String, kind: Kind) -> Self {
        Self { text, kind, constant: None }
    }

    pub(super) fn boolean(text: String) -> Self {
        Self::new(text, Kind::Boolean)
    }

    /// The constant text that it is.
    pub(super) fn constant_text(&self) -> Option<&str> {
        self.constant.as_ref()?.try_as_str().flatten()
    }
}

impl Translation<'_> {
    /// A text as Kestrel holds it: a `char(n)` loses its blanks when it becomes a text. `None`: it is
    /// no text, or the database would not compare it as Kestrel does.
    pub(super) fn held_text(&self, value: &Sql) -> Option<String> {
        if self.capabilities.case_insensitive_text {
            return None;
        }
        match value.kind {
            Kind::Text => Some(value.text.clone()),
            // A char(n) of blanks would become NULL.
            Kind::Char if self.capabilities.empty_string_is_null => None,
            Kind::Char => Some(format!("{}::pg_catalog.text", value.text)),
            _ => None,
        }
    }

    pub(super) fn column(&self, index: usize) -> Option<Sql> {
        let field = self.schema.fields().get(index)?;
        let kind = Kind::of(SqlType::of_field(field)?);
        Some(Sql::new(identifier(field.name()).ok()?, kind))
    }

    /// A constant whose type Kestrel and the database call the same.
    pub(super) fn constant(&self, value: &ScalarValue) -> Option<Sql> {
        let data_type = value.data_type();
        let sql_type = SqlType::of_arrow(&data_type).filter(|t| t.arrow() == data_type);
        // Constants come in every width of text.
        let sql_type = match value {
            ScalarValue::Utf8(_) | ScalarValue::LargeUtf8(_) => Some(SqlType::Text),
            _ => sql_type,
        };
        let sql_type = sql_type?;
        let is_empty = matches!(value.try_as_str(), Some(Some("")));
        if is_empty && self.capabilities.empty_string_is_null {
            return None;
        }
        let kind = match exact_integer(value) {
            Some(value) => Kind::integer(value, value),
            None => Kind::of(sql_type),
        };
        let text = literal(value, sql_type).ok()?;
        Some(Sql { text, kind, constant: Some(value.clone()) })
    }
}

/// The value of an integer constant.
pub(super) fn exact_integer(value: &ScalarValue) -> Option<i128> {
    Some(match value {
        ScalarValue::Int16(Some(value)) => i128::from(*value),
        ScalarValue::Int32(Some(value)) => i128::from(*value),
        ScalarValue::Int64(Some(value)) => i128::from(*value),
        _ => return None,
    })
}
