//! The types that elements of arrays have.

use serde::{Deserialize, Serialize};

use super::SqlType;

/// The type of an array's elements: a SQL type without a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Element {
    /// `smallint`
    SmallInt,
    /// `integer`
    Integer,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `double precision`
    Double,
    /// `numeric(precision, scale)`
    Numeric(u8, i8),
    /// `boolean`
    Boolean,
    /// `text`, and what is held like it
    Text,
    /// `date`
    Date,
    /// `time without time zone`
    Time,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// `interval`
    Interval,
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
}

impl Element {
    /// The type that arrays of a SQL type have elements of; `None`: there are no arrays of arrays.
    pub fn of(sql_type: SqlType) -> Option<Self> {
        Some(match sql_type {
            SqlType::SmallInt => Self::SmallInt,
            SqlType::Integer => Self::Integer,
            SqlType::BigInt | SqlType::Oid => Self::BigInt,
            SqlType::Real => Self::Real,
            SqlType::Double => Self::Double,
            SqlType::Numeric(precision, scale) => Self::Numeric(precision, scale),
            SqlType::Boolean => Self::Boolean,
            SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Char(_)
            | SqlType::Name
            | SqlType::Json
            | SqlType::Jsonb => Self::Text,
            SqlType::Date => Self::Date,
            SqlType::Time => Self::Time,
            SqlType::Timestamp => Self::Timestamp,
            SqlType::TimestampTz => Self::TimestampTz,
            SqlType::Interval => Self::Interval,
            SqlType::Uuid => Self::Uuid,
            SqlType::Bytea => Self::Bytea,
            SqlType::Array(_) | SqlType::Int2Vector | SqlType::OidVector => return None,
        })
    }

    /// As the type of a value by itself.
    pub fn sql_type(self) -> SqlType {
        match self {
            Self::SmallInt => SqlType::SmallInt,
            Self::Integer => SqlType::Integer,
            Self::BigInt => SqlType::BigInt,
            Self::Real => SqlType::Real,
            Self::Double => SqlType::Double,
            Self::Numeric(precision, scale) => SqlType::Numeric(precision, scale),
            Self::Boolean => SqlType::Boolean,
            Self::Text => SqlType::Text,
            Self::Date => SqlType::Date,
            Self::Time => SqlType::Time,
            Self::Timestamp => SqlType::Timestamp,
            Self::TimestampTz => SqlType::TimestampTz,
            Self::Interval => SqlType::Interval,
            Self::Uuid => SqlType::Uuid,
            Self::Bytea => SqlType::Bytea,
        }
    }

    /// PostgreSQL's OID of the array type.
    pub(super) fn array_oid(self) -> u32 {
        match self {
            Self::SmallInt => 1005,
            Self::Integer => 1007,
            Self::BigInt => 1016,
            Self::Real => 1021,
            Self::Double => 1022,
            Self::Numeric(..) => 1231,
            Self::Boolean => 1000,
            Self::Text => 1009,
            Self::Date => 1182,
            Self::Time => 1183,
            Self::Timestamp => 1115,
            Self::TimestampTz => 1185,
            Self::Interval => 1187,
            Self::Uuid => 2951,
            Self::Bytea => 1001,
        }
    }
}
