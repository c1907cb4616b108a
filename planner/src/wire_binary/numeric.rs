//! numeric in binary format (PostgreSQL's `numeric_recv`, numeric.c): the number of base-10000
//! digits, the first one's power of 10000, the sign, how many decimal digits are shown behind the
//! point, and the digits, 16 bits each.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::Input;
use crate::functions::field_overflow;

pub(super) const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;
/// The bits that a display scale may have.
const SCALE_BITS: u16 = 0x3fff;
/// Powers of ten that a short number is multiplied by.
const POWERS: [i64; 19] = {
    let mut powers = [1; 19];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Reads numbers of one type as integers of units of 10^-scale.
#[derive(Clone, Copy, Debug)]
pub struct NumericReader {
    precision: u8,
    scale: i8,
    /// A value is less; `None`: any of 128 bits would be.
    limit: Option<i128>,
    /// A short number's value, as 64 bits, is less.
    short_limit: i64,
}

/// A number, as its type holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// In units of 10^-scale.
    pub value: i128,
    /// Digits behind the last that the type holds have rounded it, half away from zero.
    pub is_rounded: bool,
}

impl NumericReader {
    /// Of `numeric(precision, scale)`.
    pub fn new(precision: u8, scale: i8) -> Self {
        let limit = 10i128.checked_pow(u32::from(precision));
        let short_limit = limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX);
        Self { precision, scale, limit, short_limit }
    }

    /// Reads a number of at most four digits without rounding it, which is what nearly all are;
    /// `None`: it is not like that, and [`NumericReader::read`] tells what it is.
    #[inline]
    pub fn read_short(&self, bytes: &[u8]) -> Option<i64> {
        let (head, digits) = bytes.split_first_chunk::<8>()?;
        let head = u64::from_be_bytes(*head);
        let (count, weight) = ((head >> 48) as usize, i32::from((head >> 32) as i16));
        let (sign, shown_scale) = ((head >> 16) as u16, i32::from(head as u16));
        let scale = i32::from(self.scale);
        if digits.len() != 2 * count || sign & !NEGATIVE != 0 || shown_scale > scale {
            return None;
        }
        let digit = |at: usize| -> Option<i64> {
            let [high, low] = *digits.get(2 * at..)?.first_chunk()?;
            let digit = u16::from_be_bytes([high, low]);
            (digit < 10_000).then_some(i64::from(digit))
        };
        let (front, last) = match count {
            0 => return Some(0),
            1 => (0, digit(0)?),
            2 => (digit(0)?, digit(1)?),
            3 => (digit(0)? * 10_000 + digit(1)?, digit(2)?),
            4 => ((digit(0)? * 10_000 + digit(1)?) * 10_000 + digit(2)?, digit(3)?),
            _ => return None,
        };
        // The last digit is worth 10^exponent units. Below 1 a part of it must be zeros.
        let exponent = 4 * (weight - count as i32 + 1) + scale;
        let value = match exponent {
            0 => front * 10_000 + last,
            -1 if last % 10 == 0 => front * 1_000 + last / 10,
            -2 if last % 100 == 0 => front * 100 + last / 100,
            -3 if last % 1_000 == 0 => front * 10 + last / 1_000,
            1.. => (front * 10_000 + last).checked_mul(*POWERS.get(exponent as usize)?)?,
            _ => return None,
        };
        // Digits behind the last shown one count for nothing.
        if shown_scale < scale && value % POWERS.get((scale - shown_scale) as usize)? != 0 {
            return None;
        }
        let value = (value < self.short_limit).then_some(value)?;
        Some(if sign == 0 { value } else { -value })
    }

    /// Reads any number.
    ///
    /// # Errors
    /// 22P03, 08P01: it is none. 22003: it has too many digits for its type. 0A000: NaN, infinity.
    pub fn read(&self, input: &mut Input<'_>) -> Result<Received> {
        let (count, weight) = (input.u16()?, input.u16()? as i16);
        let (sign, shown_scale) = (input.u16()?, input.u16()?);
        match sign {
            0 | NEGATIVE => {}
            NAN | INFINITY | MINUS_INFINITY => {
                let message = "numeric values NaN and infinity are not supported";
                return Err(ErrorReport::unsupported(message));
            }
            _ => return Err(malformed("sign")),
        }
        if shown_scale & SCALE_BITS != shown_scale {
            return Err(malformed("scale"));
        }
        let mut number = Number {
            value: Some(0),
            rounds_up: false,
            is_rounded: false,
            // Of the digit before the first.
            place: 4 * (i32::from(weight) + 1),
            last_shown: -i32::from(shown_scale),
            last_kept: -i32::from(self.scale),
        };
        for _ in 0..count {
            let digits = input.u16()?;
            if digits >= 10_000 {
                return Err(malformed("digit"));
            }
            for power in [1000, 100, 10, 1] {
                number.push(i128::from(digits / power % 10));
            }
        }
        let is_rounded = number.is_rounded;
        let value = number.finish();
        let value = value.filter(|value| self.limit.is_none_or(|limit| *value < limit));
        let value = value.ok_or_else(|| field_overflow(self.precision, self.scale))?;
        Ok(Received { value: if sign == NEGATIVE { -value } else { value }, is_rounded })
    }
}

fn malformed(what: &str) -> ErrorReport {
    let message = format!("invalid {what} in external \"numeric\" value");
    ErrorReport::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

/// A number that comes decimal digit by decimal digit.
struct Number {
    /// In units of its last kept digit; `None`: more than 128 bits.
    value: Option<i128>,
    rounds_up: bool,
    /// A digit that is not zero is behind the last kept one.
    is_rounded: bool,
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
            return;
        }
        self.is_rounded |= digit != 0;
        if self.place == self.last_kept - 1 {
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
    use super::*;

    fn read_words(words: &[u16], precision: u8, scale: i8) -> Result<i128> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let (mut input, reader) = (Input::new(&bytes), NumericReader::new(precision, scale));
        let read = reader.read(&mut input)?;
        input.end()?;
        // The short way must not say anything else, and only what nothing is missing of.
        if let Some(short) = reader.read_short(&bytes) {
            let expected = Received { value: i128::from(short), is_rounded: false };
            assert_eq!(read, expected, "{words:?} {precision} {scale}");
        }
        Ok(read.value)
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
            (&[1, minus_1, 0, 2, 9990], 6, 3, 990),
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
