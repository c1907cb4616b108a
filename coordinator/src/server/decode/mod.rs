//! Bind parameters, in text and binary format.

mod binary;
mod text;

use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    catalog::{Element, SqlType},
    functions::SessionFormats,
    wire_binary::utf8,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::backend::Parameter;
use super::encode::Format;

/// numeric where nothing says its precision and scale.
const UNCONSTRAINED_NUMERIC: SqlType = SqlType::Numeric(38, 10);

/// The OIDs of array types.
const ARRAYS: &[(u32, Element)] = &[
    (1000, Element::Boolean),
    (1001, Element::Bytea),
    (1005, Element::SmallInt),
    (1007, Element::Integer),
    (1009, Element::Text),
    (1014, Element::Text),
    (1015, Element::Text),
    (1016, Element::BigInt),
    (1021, Element::Real),
    (1022, Element::Double),
    (1115, Element::Timestamp),
    (1182, Element::Date),
    (1183, Element::Time),
    (1185, Element::TimestampTz),
    (1187, Element::Interval),
    (1231, Element::Numeric(38, 10)),
    (2951, Element::Uuid),
];

/// The type of a parameter that the client declares by OID; `None`: it leaves the type to us.
///
/// # Errors
/// 0A000: Kestrel has no such type.
pub(super) fn parameter_type(oid: u32) -> Result<Option<SqlType>> {
    Ok(Some(match oid {
        // Not given, `unknown`.
        0 | 705 => return Ok(None),
        16 => SqlType::Boolean,
        17 => SqlType::Bytea,
        19 => SqlType::Name,
        20 => SqlType::BigInt,
        21 => SqlType::SmallInt,
        22 => SqlType::Int2Vector,
        23 => SqlType::Integer,
        // `"char"` and char without a length, too: no blanks are added to a parameter.
        18 | 25 | 1042 => SqlType::Text,
        26 => SqlType::Oid,
        30 => SqlType::OidVector,
        700 => SqlType::Real,
        701 => SqlType::Double,
        1043 => SqlType::Varchar(None),
        1082 => SqlType::Date,
        1083 => SqlType::Time,
        1114 => SqlType::Timestamp,
        1184 => SqlType::TimestampTz,
        1186 => SqlType::Interval,
        1700 => UNCONSTRAINED_NUMERIC,
        2950 => SqlType::Uuid,
        114 => SqlType::Json,
        3802 => SqlType::Jsonb,
        other => {
            if let Some((_, element)) = ARRAYS.iter().find(|(oid, _)| *oid == other) {
                return Ok(Some(SqlType::Array(*element)));
            }
            return Err(ErrorReport::unsupported(format!(
                "a parameter of type OID {other} is not supported"
            )));
        }
    }))
}

/// The values of a Bind message; `portal` is what the CONTEXT of an error calls it.
///
/// # Errors
/// 22P02, 22003, 22007, 22P03, …: a value is not one of its type.
pub(super) fn decode_parameters(
    portal: &str,
    types: &[SqlType],
    formats: &[Format],
    values: Vec<Option<Bytes>>,
    style: &SessionFormats,
) -> Result<Vec<Parameter>> {
    let parameters = types.iter().zip(formats).zip(values).enumerate();
    let parameters = parameters.map(|(index, ((sql_type, format), bytes))| {
        let Some(bytes) = bytes else { return Ok(parameter_of(*sql_type, null(*sql_type)?)) };
        let number = index + 1;
        // The value itself may be secret.
        let at = |value: &str| format!("{portal} parameter ${number}{value}");
        let value = match format {
            Format::Text => {
                let text = utf8(&bytes).map_err(|error| error.context(at("")))?;
                let value = text::decode(*sql_type, text, style);
                value.map_err(|error| error.context(at(" = '...'")))?
            }
            Format::Binary => {
                let value = binary::decode(*sql_type, &bytes, number);
                value.map_err(|error| error.context(at("")))?
            }
        };
        Ok(parameter_of(*sql_type, value))
    });
    parameters.collect()
}

/// A value that is written as text in a statement, read as this type's input function reads it.
///
/// # Errors
/// 22P02, 22003, 22007, …: it is none of this type.
pub fn parameter_of_text(
    sql_type: SqlType,
    text: Option<&str>,
    style: &SessionFormats,
) -> Result<Parameter> {
    let value = match text {
        Some(text) => text::decode(sql_type, text, style),
        None => null(sql_type),
    }?;
    Ok(parameter_of(sql_type, value))
}

/// numeric gets the precision and scale of the value itself.
fn parameter_of(sql_type: SqlType, value: ScalarValue) -> Parameter {
    let sql_type = match value {
        ScalarValue::Decimal128(_, precision, scale) => SqlType::Numeric(precision, scale),
        _ => sql_type,
    };
    Parameter { sql_type, value }
}

fn null(sql_type: SqlType) -> Result<ScalarValue> {
    ScalarValue::try_from(&sql_type.arrow())
        .map_err(|error| ErrorReport::internal(format!("no null of type {sql_type}: {error}")))
}

/// A numeric with the scale of its text, and the precision it needs.
///
/// # Errors
/// 22003: more than 38 digits.
fn numeric(value: Option<i128>, scale: i64) -> Result<ScalarValue> {
    const MOST_DIGITS: i64 = 38;
    let in_range = |value: &i128| value.unsigned_abs() < 10u128.pow(MOST_DIGITS as u32);
    match value.filter(in_range).filter(|_| scale <= MOST_DIGITS) {
        Some(value) => {
            let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
            let precision = i64::from(digits).max(scale).max(1);
            Ok(ScalarValue::Decimal128(Some(value), precision as u8, scale as i8))
        }
        None => Err(ErrorReport::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "a numeric parameter has more than 38 digits",
        )),
    }
}

/// Text as a type of strings holds it: char(n) without its trailing blanks.
fn string(sql_type: SqlType, text: String) -> ScalarValue {
    let text = match sql_type {
        SqlType::Char(_) => text.trim_end_matches(' ').to_string(),
        _ => text,
    };
    ScalarValue::Utf8View(Some(text))
}

#[cfg(test)]
mod tests;
