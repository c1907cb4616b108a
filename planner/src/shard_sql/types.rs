//! The names of types in SQL text.
//!
//! They are those of `pg_type`, with their schema: in KingbaseES the keywords `date`, `timestamp` or
//! `boolean` mean what the compatibility mode says.

use crate::catalog::SqlType;
use kestrel_proto::{ErrorReport, Result};

/// The type of a column: `pg_catalog.varchar(20)`.
///
/// # Errors
/// 0A000: tables have no columns of this type.
pub fn type_name(sql_type: SqlType) -> Result<String> {
    let bare = bare_name(sql_type)?;
    Ok(match sql_type {
        SqlType::Numeric(precision, scale) => format!("{bare}({precision},{scale})"),
        SqlType::Varchar(Some(length)) | SqlType::Char(length) => format!("{bare}({length})"),
        _ => bare.into(),
    })
}

/// The type of a value, which no modifier cuts or rounds: `pg_catalog.varchar`.
///
/// # Errors
/// 0A000: see [`type_name`].
pub(super) fn bare_name(sql_type: SqlType) -> Result<&'static str> {
    Ok(match sql_type {
        SqlType::SmallInt => "pg_catalog.int2",
        SqlType::Integer => "pg_catalog.int4",
        SqlType::BigInt => "pg_catalog.int8",
        SqlType::Real => "pg_catalog.float4",
        SqlType::Double => "pg_catalog.float8",
        SqlType::Numeric(..) => "pg_catalog.numeric",
        SqlType::Boolean => "pg_catalog.bool",
        SqlType::Text => "pg_catalog.text",
        SqlType::Varchar(_) => "pg_catalog.varchar",
        SqlType::Char(_) => "pg_catalog.bpchar",
        SqlType::Date => "pg_catalog.date",
        SqlType::Time => "pg_catalog.time",
        SqlType::Timestamp => "pg_catalog.timestamp",
        SqlType::TimestampTz => "pg_catalog.timestamptz",
        SqlType::Interval => "pg_catalog.interval",
        SqlType::Uuid => "pg_catalog.uuid",
        SqlType::Bytea => "pg_catalog.bytea",
        SqlType::Oid => "pg_catalog.oid",
        SqlType::Name => "pg_catalog.name",
        SqlType::Json => "pg_catalog.json",
        SqlType::Jsonb => "pg_catalog.jsonb",
        SqlType::Array(_) | SqlType::Int2Vector | SqlType::OidVector => {
            let message = format!("a shard's database holds no columns of type {sql_type}");
            return Err(ErrorReport::unsupported(message));
        }
    })
}

/// Whether texts of this type have an order, and so a collation.
pub(super) fn is_collatable(sql_type: SqlType) -> bool {
    matches!(sql_type, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_))
}
