//! `pg_size_bytes(text)`: a size as PostgreSQL writes it, in bytes (`src/backend/utils/adt/dbsize.c`).

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::{
    decimal,
    operand::out_of_range,
    row::{
        Call, Datum, Function,
        Type::{BigInt, Text},
        strict,
    },
};

pub(crate) const SIZE_FUNCTIONS: &[Function] =
    &[Function { name: "pg_size_bytes", overloads: &[strict(&[Text], BigInt, bytes)] }];

const UNITS: &[&str] = &["bytes", "kB", "MB", "GB", "TB", "PB"];

/// Fractional digits of the number that count.
const SCALE: i8 = 12;

fn bytes(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let text = arguments[0].text();
    let invalid = || {
        let message = format!("invalid size: \"{text}\"");
        ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
    };
    let trimmed = text.trim_start();
    let (number, unit) = trimmed.split_at(number_length(trimmed));
    let number = decimal::parse(number, SCALE).map_err(|_| invalid())?;
    let unit = unit.trim();
    let is_unit = |name: &&str| name.eq_ignore_ascii_case(unit);
    let Some(power) = UNITS.iter().position(is_unit).or(unit.is_empty().then_some(0)) else {
        let valid = "Valid units are \"bytes\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".";
        return Err(invalid().detail(format!("Invalid size unit: \"{unit}\".")).hint(valid));
    };
    let bytes = number.checked_mul(1 << (10 * power));
    let bytes = bytes.map(|bytes| decimal::divide_rounded(bytes, decimal::power(12)));
    let bytes = bytes.and_then(|bytes| i64::try_from(bytes).ok());
    bytes.map(Datum::Int).ok_or_else(|| out_of_range("bigint"))
}

/// The bytes of a number, with an exponent if one follows.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let sign = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        usize::from(rest.starts_with(['+', '-']))
    };
    let is = |at: usize, wanted: u8| {
        text.as_bytes().get(at).is_some_and(|b| b.eq_ignore_ascii_case(&wanted))
    };
    let mut end = sign(0);
    end += digits(end);
    if is(end, b'.') {
        end += 1 + digits(end + 1);
    }
    if is(end, b'e') {
        let start = end + 1 + sign(end + 1);
        if digits(start) > 0 {
            end = start + digits(start);
        }
    }
    end
}
