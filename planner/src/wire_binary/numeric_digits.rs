//! numeric as PostgreSQL's `numeric_send` writes it (numeric.c): digits of base 10000, aligned at
//! the decimal point, without zeros in front and behind.

use bytes::BufMut;

use super::numeric::NEGATIVE;

/// Digits of base 10000: of 39 of base 10, and three zeros that align them.
const DIGITS_MAX: usize = 11;
/// What stands before the digits.
const HEAD_BYTES: usize = 8;
/// The base.
const BASE: u64 = 10_000;

/// Appends `value` units of 10^-scale: the count of digits, the first one's power of 10000, the
/// sign, how many decimal digits are shown behind the point, and the digits, 16 bits each.
pub fn put_numeric(out: &mut impl BufMut, value: i128, scale: i8) {
    out.put_slice(sent_numeric(value, scale).as_ref());
}

/// What [`put_numeric`] appends.
pub fn sent_numeric(value: i128, scale: i8) -> SentNumeric {
    let mut digits = Digits { digits: [0; DIGITS_MAX], first: DIGITS_MAX };
    // The power of 10000 of the last digit, and how many zeros align the value to it.
    let exponent = (-i16::from(scale)).div_euclid(4);
    let zeros = (-i16::from(scale)).rem_euclid(4);
    let absolute = value.unsigned_abs();
    // Division is ten times faster in 64 bits.
    match u64::try_from(absolute) {
        Ok(absolute) => digits.put(absolute, zeros),
        Err(_) => digits.put_long(absolute, zeros),
    }
    let mut shown = digits.digits.get(digits.first..).unwrap_or_default();
    let weight = exponent + shown.len() as i16 - 1;
    while let [front @ .., 0] = shown {
        shown = front;
    }
    let weight = if shown.is_empty() { 0 } else { weight };
    let sign = if value < 0 { NEGATIVE } else { 0 };
    let head = [shown.len() as u16, weight as u16, sign, u16::from(scale.max(0).unsigned_abs())];
    let mut sent = SentNumeric {
        bytes: [0; HEAD_BYTES + 2 * DIGITS_MAX],
        length: HEAD_BYTES + 2 * shown.len(),
    };
    let (places, _) = sent.bytes.as_chunks_mut::<2>();
    for (place, word) in places.iter_mut().zip(head.iter().chain(shown)) {
        *place = word.to_be_bytes();
    }
    sent
}

/// A number in binary format.
#[derive(Clone, Copy, Debug)]
pub struct SentNumeric {
    bytes: [u8; HEAD_BYTES + 2 * DIGITS_MAX],
    length: usize,
}

impl AsRef<[u8]> for SentNumeric {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Digits, filled from the end.
struct Digits {
    digits: [u16; DIGITS_MAX],
    /// Where they begin.
    first: usize,
}

impl Digits {
    /// Puts those of a value times 10^zeros.
    fn put(&mut self, absolute: u64, zeros: i16) {
        // The last digit alone takes the zeros, so that the value need not be multiplied.
        let mut rest = match zeros {
            _ if absolute == 0 => return,
            1 => self.push(absolute, 1_000, 10),
            2 => self.push(absolute, 100, 100),
            3 => self.push(absolute, 10, 1_000),
            _ => absolute,
        };
        while rest != 0 {
            rest = self.push(rest, BASE, 1);
        }
    }

    fn put_long(&mut self, absolute: u128, zeros: i16) {
        let power = 10u64.pow(u32::from(zeros.unsigned_abs()));
        let mut rest = absolute;
        let mut below = u128::from(BASE / power);
        let mut factor = power;
        while rest > u128::from(u64::MAX) {
            self.push((rest % below) as u64, BASE, factor);
            rest /= below;
            (below, factor) = (u128::from(BASE), 1);
        }
        self.put(rest as u64, 0);
    }

    /// Puts a value's last digit, which is what is below `below`, times `factor`; gives the rest of
    /// the value.
    #[inline]
    fn push(&mut self, value: u64, below: u64, factor: u64) -> u64 {
        if let Some(first) = self.first.checked_sub(1)
            && let Some(place) = self.digits.get_mut(first)
        {
            (*place, self.first) = ((value % below * factor) as u16, first);
        }
        value / below
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Input, NumericReader};
    use super::*;

    fn words(value: i128, scale: i8) -> Vec<u16> {
        let mut out = Vec::new();
        put_numeric(&mut out, value, scale);
        out.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect()
    }

    #[test]
    fn digits_are_postgresqls() {
        // As numeric_send of PostgreSQL 15 prints them.
        let minus_1 = u16::MAX;
        for (value, scale, expected) in [
            (0, 2, &[0, 0, 0, 2][..]),
            (10_000, 0, &[1, 1, 0, 0, 1]),
            (-123_456, 2, &[2, 0, NEGATIVE, 2, 1234, 5600]),
            (1, 4, &[1, minus_1, 0, 4, 1]),
            (123_456_789, 3, &[3, 1, 0, 3, 12, 3456, 7890]),
            (990, 3, &[1, minus_1, 0, 3, 9900]),
            (70_000_000_000, 10, &[1, 0, 0, 10, 7]),
            (12, -3, &[2, 1, 0, 0, 1, 2000]),
            (5, -8, &[1, 2, 0, 0, 5]),
        ] {
            assert_eq!(words(value, scale), expected, "{value} {scale}");
        }
    }

    #[test]
    fn what_is_put_is_read_back() {
        let limit = 10i128.pow(38);
        let mut value = 1i128;
        for step in 0..200_i128 {
            // Numbers of all lengths, with all digits.
            value = value.wrapping_mul(31).wrapping_add(step * 977) % limit;
            for scale in [-5, -4, 0, 1, 2, 3, 4, 10, 20, 37, 38] {
                for value in [value, -value, value % 10_000_000, limit - 1] {
                    let mut out = Vec::new();
                    put_numeric(&mut out, value, scale);
                    let reader = NumericReader::new(38, scale);
                    let read = reader.read(&mut Input::new(&out)).unwrap();
                    assert_eq!((read.value, read.is_rounded), (value, false), "scale {scale}");
                    if let Some(short) = reader.read_short(&out) {
                        assert_eq!(i128::from(short), value, "scale {scale}");
                    }
                }
            }
        }
    }
}
