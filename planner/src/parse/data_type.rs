//! Type names to SQL types.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::name::QualifiedName;
use crate::catalog::{Element, SqlType};

/// The longest varchar and char, in characters (PostgreSQL's MaxAttrSize).
const MAX_CHARACTERS: u64 = 10_485_760;
/// PostgreSQL's NUMERIC_MAX_PRECISION.
const MAX_NUMERIC_PRECISION: u64 = 1000;
/// What a Decimal128 holds.
const MAX_PRECISION: u64 = 38;
/// Fractional digits of a second that times hold.
const TIME_PRECISION: u64 = 6;

/// The SQL type that a type name stands for. numeric without precision is numeric(38,10).
///
/// Errors: 42704 for a name that is no type; 0A000 for PostgreSQL's types that Kestrel lacks, and
/// for precisions beyond what it holds; 22023 for lengths and precisions out of PostgreSQL's range.
pub fn sql_type(data_type: &DataType) -> Result<SqlType> {
    Ok(match data_type {
        DataType::SmallInt(None) | DataType::Int2(None) => SqlType::SmallInt,
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => SqlType::Integer,
        DataType::BigInt(None) | DataType::Int8(None) => SqlType::BigInt,
        DataType::SmallInt(_) | DataType::Int2(_) => return no_modifier("smallint"),
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => {
            return no_modifier("integer");
        }
        DataType::BigInt(_) | DataType::Int8(_) => return no_modifier("bigint"),
        DataType::Real | DataType::Float4 => SqlType::Real,
        DataType::DoublePrecision | DataType::Float8 => SqlType::Double,
        DataType::Float(precision) => float(precision)?,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Boolean | DataType::Bool => SqlType::Boolean,
        DataType::Text => SqlType::Text,
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => SqlType::Varchar(characters("varchar", length)?),
        DataType::Character(length) | DataType::Char(length) => {
            SqlType::Char(characters("char", length)?.unwrap_or(1))
        }
        DataType::Date => SqlType::Date,
        DataType::Time(precision, zone) if !has_zone(zone) => {
            fractional_seconds("time", *precision)?;
            SqlType::Time
        }
        DataType::Time(..) => return not_supported("time with time zone"),
        DataType::Timestamp(precision, zone) => {
            fractional_seconds("timestamp", *precision)?;
            if has_zone(zone) { SqlType::TimestampTz } else { SqlType::Timestamp }
        }
        DataType::Interval { fields: None, precision } => {
            fractional_seconds("interval", *precision)?;
            SqlType::Interval
        }
        DataType::Interval { .. } => {
            return not_supported("interval with fields")
                .map_err(|e| e.hint("Use interval, without fields."));
        }
        DataType::Uuid => SqlType::Uuid,
        DataType::Bytea => SqlType::Bytea,
        DataType::JSON => SqlType::Json,
        DataType::JSONB => SqlType::Jsonb,
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => array(element)?,
        DataType::Custom(name, modifiers) => custom(name, modifiers)?,
        other => return unknown(other),
    })
}

/// PostgreSQL takes no notice of how many dimensions and elements are declared; Kestrel's arrays
/// have one dimension.
fn array(element: &DataType) -> Result<SqlType> {
    match Element::of(sql_type(element)?) {
        Some(element) => Ok(SqlType::Array(element)),
        None => not_supported("array of more than one dimension"),
    }
}

fn has_zone(zone: &TimezoneInfo) -> bool {
    matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone)
}

/// Names that sqlparser has no variant for, or that were quoted or qualified.
fn custom(name: &ObjectName, modifiers: &[String]) -> Result<SqlType> {
    let name = QualifiedName::of_ast(name)?;
    let is_system = name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
    let plain = if is_system { plain_type(&name.name) } else { None };
    let length = || match modifiers {
        [] => Ok(None),
        [length] => match length.parse() {
            Ok(length) => character_length(&name.name, length).map(Some),
            Err(_) => Err(invalid("invalid type modifier")),
        },
        _ => Err(invalid("invalid type modifier")),
    };
    match (name.name.as_str(), plain) {
        (_, Some(sql_type)) if modifiers.is_empty() => Ok(sql_type),
        (other, Some(_)) => no_modifier(other),
        ("varchar", None) if is_system => Ok(SqlType::Varchar(length()?)),
        ("bpchar", None) if is_system => match length()? {
            Some(length) => Ok(SqlType::Char(length)),
            None => {
                not_supported("bpchar without length").map_err(|e| e.hint("Use char(n) or text."))
            }
        },
        ("numeric", None) if is_system => match modifiers {
            [] => numeric(&ExactNumberInfo::None),
            [precision] => number(precision)
                .and_then(|p| numeric(&ExactNumberInfo::Precision(p.unsigned_abs()))),
            [precision, scale] => {
                let (precision, scale) = (number(precision)?, number(scale)?);
                numeric(&ExactNumberInfo::PrecisionAndScale(precision.unsigned_abs(), scale))
            }
            _ => Err(invalid("invalid NUMERIC type modifier")),
        },
        (other, None) if is_system && UNSUPPORTED.contains(&other) => not_supported(other),
        _ => Err(undefined(&name.to_string())),
    }
}

/// The internal names of types that take no modifier.
fn plain_type(name: &str) -> Option<SqlType> {
    Some(match name {
        "int2" => SqlType::SmallInt,
        "int4" => SqlType::Integer,
        "int8" => SqlType::BigInt,
        "float4" => SqlType::Real,
        "float8" => SqlType::Double,
        "bool" => SqlType::Boolean,
        "text" => SqlType::Text,
        // One byte, of the system catalogs. Unquoted char never comes here.
        "char" => SqlType::Char(1),
        "date" => SqlType::Date,
        "time" => SqlType::Time,
        "timestamp" => SqlType::Timestamp,
        "timestamptz" => SqlType::TimestampTz,
        "interval" => SqlType::Interval,
        "uuid" => SqlType::Uuid,
        "bytea" => SqlType::Bytea,
        "oid" | "xid" | "cid" => SqlType::Oid,
        "name" => SqlType::Name,
        "json" => SqlType::Json,
        "jsonb" => SqlType::Jsonb,
        "int2vector" => SqlType::Int2Vector,
        "oidvector" => SqlType::OidVector,
        _ => return None,
    })
}

/// PostgreSQL's types that are no type of Kestrel's.
const UNSUPPORTED: &[&str] = &[
    "jsonpath",
    "xml",
    "money",
    "bit",
    "varbit",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "tsvector",
    "tsquery",
    "timetz",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "regclass",
    "regtype",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regnamespace",
    "regrole",
    "regconfig",
    "regdictionary",
    "tid",
    "pg_lsn",
    "record",
    "void",
    "anyelement",
    "anyarray",
    "aclitem",
    "hstore",
    "geometry",
    "geography",
];

/// Variants of sqlparser's that are no type of ours.
fn unknown(data_type: &DataType) -> Result<SqlType> {
    match data_type {
        DataType::Array(_) => not_supported("array"),
        DataType::Regclass
        | DataType::Bit(_)
        | DataType::BitVarying(_)
        | DataType::VarBit(_)
        | DataType::TsVector
        | DataType::TsQuery
        | DataType::GeometricType(_) => not_supported(&data_type.to_string().to_ascii_lowercase()),
        other => Err(undefined(&other.to_string().to_ascii_lowercase())),
    }
}

fn float(precision: &ExactNumberInfo) -> Result<SqlType> {
    match precision {
        ExactNumberInfo::None | ExactNumberInfo::Precision(25..=53) => Ok(SqlType::Double),
        ExactNumberInfo::Precision(0) => {
            Err(invalid("precision for type float must be at least 1 bit"))
        }
        ExactNumberInfo::Precision(1..=24) => Ok(SqlType::Real),
        ExactNumberInfo::Precision(_) => {
            Err(invalid("precision for type float must be less than 54 bits"))
        }
        ExactNumberInfo::PrecisionAndScale(..) => no_modifier("float"),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<SqlType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(SqlType::Numeric(38, 10)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=MAX_NUMERIC_PRECISION).contains(&precision) {
        return Err(invalid(&format!(
            "NUMERIC precision {precision} must be between 1 and {MAX_NUMERIC_PRECISION}"
        )));
    }
    if scale.unsigned_abs() > MAX_NUMERIC_PRECISION {
        return Err(invalid(&format!("NUMERIC scale {scale} must be between -1000 and 1000")));
    }
    if precision > MAX_PRECISION {
        return Err(ErrorReport::unsupported(format!(
            "numeric({precision},{scale}) is not supported: the largest precision is 38"
        ))
        .hint("Use numeric(38, s), or double precision."));
    }
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p), Ok(s)) if s >= 0 && u64::from(s.unsigned_abs()) <= precision => {
            Ok(SqlType::Numeric(p, s))
        }
        _ => Err(ErrorReport::unsupported(format!(
            "numeric({precision},{scale}) is not supported: \
             the scale must be between 0 and the precision"
        ))),
    }
}

fn characters(name: &str, length: &Option<CharacterLength>) -> Result<Option<u32>> {
    match length {
        None => Ok(None),
        Some(CharacterLength::IntegerLength { length, unit: None }) => {
            character_length(name, *length).map(Some)
        }
        Some(other) => Err(ErrorReport::new(
            SqlState::SYNTAX_ERROR,
            format!("invalid length for type {name}: {other}"),
        )),
    }
}

fn character_length(name: &str, length: u64) -> Result<u32> {
    if length == 0 {
        return Err(invalid(&format!("length for type {name} must be at least 1")));
    }
    match u32::try_from(length) {
        Ok(short) if length <= MAX_CHARACTERS => Ok(short),
        _ => Err(invalid(&format!("length for type {name} cannot exceed {MAX_CHARACTERS}"))),
    }
}

/// Values are held in microseconds: rounding them to fewer digits is not done.
fn fractional_seconds(name: &str, precision: Option<u64>) -> Result<()> {
    match precision {
        None | Some(TIME_PRECISION) => Ok(()),
        Some(precision) => Err(ErrorReport::unsupported(format!(
            "{name}({precision}) is not supported: the precision is always {TIME_PRECISION}"
        ))
        .hint(format!("Use {name}, without precision."))),
    }
}

fn number(modifier: &str) -> Result<i64> {
    modifier.trim().parse().map_err(|_| invalid("invalid NUMERIC type modifier"))
}

fn no_modifier(name: &str) -> Result<SqlType> {
    Err(ErrorReport::new(
        SqlState::SYNTAX_ERROR,
        format!("type modifier is not allowed for type \"{name}\""),
    ))
}

fn not_supported<T>(name: &str) -> Result<T> {
    Err(ErrorReport::unsupported(format!("type {name} is not supported")))
}

fn undefined(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

fn invalid(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
