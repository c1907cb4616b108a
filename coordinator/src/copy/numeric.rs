//! numeric in binary format (PostgreSQL's `numeric_recv`, numeric.c).

use kestrel_planner::functions::field_overflow;
use kestrel_proto::{ErrorReport, Result};

use crate::received::{Received, malformed};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;
/// The bits that a display scale may have.
const SCALE_BITS: u16 = 0x3fff;

/// Reads a column's number as an integer of units of 10^-scale; rounded half away from zero.
///
/// # Errors
/// Those of [`read`]. 22003: it has too many digits for its column.
pub(super) fn of_column(input: &mut Received<'_>, precision: u8, scale: i8) -> Result<i128> {
    let (value, _) = read(input, Some(scale))?;
    let limit = 10u128.checked_pow(u32::from(precision));
    let fits = |value: &i128| limit.is_none_or(|limit| value.unsigned_abs() < limit);
    value.filter(fits).ok_or_else(|| field_overflow(precision, scale))
}

/// Reads a number of base-10000 digits, the first worth 10000^weight, as an integer of units of
/// 10^-scale, rounded half away from zero; `None`: it has too many digits for that. Without a scale
/// it has the one that it is shown with, which is given, too.
///
/// # Errors
/// 22P03, 08P01: it is none. 0A000: NaN, infinity.
pub(crate) fn read(input: &mut Received<'_>, scale: Option<i8>) -> Result<(Option<i128>, u16)> {
    let (count, weight) = (input.u16()?, input.u16()? as i16);
    let (sign, shown_scale) = (input.u16()?, input.u16()?);
    match sign {
        0 | NEGATIVE => {}
        NAN | INFINITY | MINUS_INFINITY => {
            let message = "numeric values NaN and infinity are not supported";
            return Err(ErrorReport::unsupported(message));
        }
        _ => return Err(invalid("sign")),
    }
    if shown_scale & SCALE_BITS != shown_scale {
        return Err(invalid("scale"));
    }
    let last_shown = -i32::from(shown_scale);
    let mut number = Number {
        value: Some(0),
        rounds_up: false,
        // Of the digit before the first.
        place: 4 * (i32::from(weight) + 1),
        last_shown,
        last_kept: scale.map_or(last_shown, |scale| -i32::from(scale)),
    };
    for _ in 0..count {
        let digits = input.u16()?;
        if digits >= 10_000 {
            return Err(invalid("digit"));
        }
        for power in [1000, 100, 10, 1] {
            number.push(i128::from(digits / power % 10));
        }
    }
    let value = number.finish();
    Ok((if sign == NEGATIVE { value.map(|value| -value) } else { value }, shown_scale))
}

fn invalid(what: &str) -> ErrorReport {
    malformed(format!("invalid {what} in external \"numeric\" value"))
}

/// A number that comes decimal digit by decimal digit.
struct Number {
    /// In units of its last kept digit; `None`: more than 128 bits.
    value: Option<i128>,
    rounds_up: bool,
    /// The power of ten of the last digit that came.
    place: i32,
    /// Digits behind it are taken for zeros.
    last_shown: i32,
    /// Digits behind it only round.
    last_kept: i32,
}

impl Number {
    fn push(&mut self, digit: i128) {
        self.place -= 1;
        let digit = if self.place >= self.last_shown { digit } else { 0 };
        if self.place >= self.last_kept {
            self.value = self.value.and_then(|v| v.checked_mul(10)?.checked_add(digit));
        } else if self.place == self.last_kept - 1 {
            self.rounds_up = digit >= 5;
        }
    }

    /// With the zeros up to the last kept digit.
    fn finish(mut self) -> Option<i128> {
        while self.place > self.last_kept && self.value.is_some_and(|value| value != 0) {
            self.push(0);
        }
        self.value?.checked_add(i128::from(self.rounds_up))
    }
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;

    use super::*;

    fn read_words(words: &[u16], precision: u8, scale: i8) -> Result<i128> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let mut input = Received::new(&bytes);
        let value = of_column(&mut input, precision, scale)?;
        input.end("").map(|()| value)
    }

    #[test]
    fn values_are_rounded_to_their_column() {
        let minus_1 = u16::MAX;
        for (words, precision, scale, expected) in [
            // 0.00, 10000, -1234.56, 0.0001, 123456.789
            (&[0, 0, 0, 2][..], 6, 2, 0),
            (&[1, 1, 0, 0, 1], 6, 0, 10_000),
            (&[2, 0, NEGATIVE, 2, 1234, 5600], 6, 2, -123_456),
            (&[1, minus_1, 0, 4, 1], 6, 4, 1),
            (&[1, minus_1, 0, 4, 1], 6, 2, 0),
            (&[3, 1, 0, 3, 12, 3456, 7890], 9, 3, 123_456_789),
            (&[3, 1, 0, 3, 12, 3456, 7890], 9, 2, 12_345_679),
            // 0.995 and -0.5: half away from zero.
            (&[1, minus_1, 0, 3, 9950], 6, 2, 100),
            (&[1, minus_1, NEGATIVE, 1, 5000], 6, 0, -1),
            // A display scale of 2 hides the rest.
            (&[1, minus_1, 0, 2, 9999], 6, 3, 990),
            (&[1, 0, 0, 0, 7], 38, 10, 70_000_000_000),
            // 10^-40000
            (&[1, (-10_000i16) as u16, 0, 16_000, 1], 6, 2, 0),
        ] {
            assert_eq!(read_words(words, precision, scale), Ok(expected), "{words:?} {scale}");
        }
    }

    #[test]
    fn what_is_no_value_is_told_in_postgresqls_words() {
        let malformed = SqlState::INVALID_BINARY_REPRESENTATION;
        for (words, sqlstate, message) in [
            (&[1, 0, 0x1000, 0, 1][..], malformed, "invalid sign in external \"numeric\" value"),
            (&[1, 0, 0, 0xffff, 1], malformed, "invalid scale in external \"numeric\" value"),
            (&[1, 0, 0, 0, 10_000], malformed, "invalid digit in external \"numeric\" value"),
            (&[1, 3, 0, 0, 1], SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow"),
            (&[1, 9_000, 0, 0, 1], SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow"),
            (
                &[0, 0, NAN, 0],
                SqlState::FEATURE_NOT_SUPPORTED,
                "numeric values NaN and infinity are not supported",
            ),
            (&[1, 0, 0, 0], SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"),
            (&[0, 0, 0, 0, 0], malformed, "incorrect binary data format"),
        ] {
            let error = read_words(words, 6, 2).unwrap_err();
            assert_eq!((error.sqlstate, error.message.as_str()), (sqlstate, message), "{words:?}");
        }
    }
}
