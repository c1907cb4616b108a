//! Which types of a database's columns are read and written as which of ours.

use kestrel_planner::{catalog::SqlType, wire_binary::NumericReader};

/// How a column's values are in binary format, and what they are made to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire {
    /// `int2send`
    Int2,
    /// `int4send`
    Int4,
    /// `int8send`
    Int8,
    /// `oidsend`: an unsigned 32-bit number, held in 64
    Oid,
    /// `float4send`
    Float4,
    /// `float8send`
    Float8,
    /// `numeric_send`, held in this scale
    Numeric(NumericReader, i8),
    /// `boolsend`
    Boolean,
    /// `textsend`, and what sends its text like it
    Text,
    /// `bpcharsend`: with blanks up to its length, held without
    Char,
    /// `jsonb_send`: a version, and its text
    Jsonb,
    /// `date_send`
    Date,
    /// `timestamp_send`, held as date: midnights only
    MidnightAsDate,
    /// `time_send`
    Time,
    /// `timestamp_send`, `timestamptz_send`
    Timestamp,
    /// `date_send`, held as timestamp
    DateAsTimestamp,
    /// `interval_send`
    Interval,
    /// `uuid_send`
    Uuid,
    /// `byteasend`
    Bytea,
}

impl Wire {
    /// Of a column of ours that the database gives a type with this OID; `None`: it is not read as
    /// such a column.
    ///
    /// A type's name says nothing: in KingbaseES's Oracle mode DATE has a time of day, and comes as
    /// timestamp.
    pub(super) fn of(sql_type: SqlType, oid: u32) -> Option<Self> {
        Some(match (sql_type, oid) {
            (SqlType::SmallInt, 21) => Self::Int2,
            (SqlType::Integer, 23) => Self::Int4,
            (SqlType::BigInt, 20) => Self::Int8,
            (SqlType::Oid, 26) => Self::Oid,
            (SqlType::Real, 700) => Self::Float4,
            (SqlType::Double, 701) => Self::Float8,
            (SqlType::Numeric(precision, scale), 1700) => {
                Self::Numeric(NumericReader::new(precision, scale), scale)
            }
            (SqlType::Boolean, 16) => Self::Boolean,
            // text, varchar, name
            (SqlType::Text | SqlType::Varchar(_), 25 | 1043) => Self::Text,
            (SqlType::Text | SqlType::Name, 19) => Self::Text,
            (SqlType::Char(_), 1042) => Self::Char,
            (SqlType::Json, 114) => Self::Text,
            (SqlType::Jsonb, 3802) => Self::Jsonb,
            (SqlType::Date, 1082) => Self::Date,
            (SqlType::Date, 1114) => Self::MidnightAsDate,
            (SqlType::Time, 1083) => Self::Time,
            (SqlType::Timestamp, 1114) => Self::Timestamp,
            (SqlType::Timestamp, 1082) => Self::DateAsTimestamp,
            (SqlType::TimestampTz, 1184) => Self::Timestamp,
            (SqlType::Interval, 1186) => Self::Interval,
            (SqlType::Uuid, 2950) => Self::Uuid,
            (SqlType::Bytea, 17) => Self::Bytea,
            _ => return None,
        })
    }
}
