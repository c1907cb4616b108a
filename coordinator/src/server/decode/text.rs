//! Parameters in text format: what PostgreSQL's input functions read.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use datafusion::scalar::ScalarValue;
use kestrel_planner::catalog::SqlType;
use kestrel_planner::functions::{SessionFormats, read_text};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{numeric, string};

/// Reads a value.
pub(super) fn decode(sql_type: SqlType, text: &str, style: &SessionFormats) -> Result<ScalarValue> {
    match sql_type {
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Name => {
            Ok(string(sql_type, text.to_string()))
        }
        SqlType::Numeric(..) => decode_numeric(text),
        other => {
            let texts: ArrayRef = Arc::new(StringViewArray::from(vec![text]));
            let values = read_text(&texts, other, *style)?;
            ScalarValue::try_from_array(&values, 0)
                .map_err(|error| ErrorReport::internal(format!("a {other} parameter: {error}")))
        }
    }
}

/// Every digit counts: a parameter has the scale of its text, not that of the column it meets.
fn decode_numeric(text: &str) -> Result<ScalarValue> {
    let invalid = || {
        ErrorReport::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type numeric: \"{text}\""),
        )
    };
    let trimmed = text.trim_ascii();
    let is_negative = trimmed.starts_with('-');
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return Err(ErrorReport::unsupported("numeric values NaN and infinity are not supported"));
    }
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| invalid())?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = Some(0i128);
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return Err(invalid());
        }
        value = value.and_then(|v| v.checked_mul(10)?.checked_add(i128::from(digit - b'0')));
    }
    if whole.len() + fraction.len() == 0 {
        return Err(invalid());
    }
    let scale = fraction.len() as i64 - i64::from(exponent);
    if scale < 0 && value != Some(0) {
        let power = u32::try_from(-scale).ok().and_then(|zeros| 10i128.checked_pow(zeros));
        value = value.and_then(|v| v.checked_mul(power?));
    }
    numeric(value.map(|v| if is_negative { -v } else { v }), scale.max(0))
}
