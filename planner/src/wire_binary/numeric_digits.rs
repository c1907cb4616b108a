//! numeric as PostgreSQL's `numeric_send` writes it (numeric.c): digits of base 10000, aligned at
//! the decimal point, without zeros in front and behind.

use bytes::BufMut;

use super::numeric::NEGATIVE;

/// Digits of base 10000: of 39 of base 10, and three zeros that align them.
const DIGITS_MAX: usize = 11;
/// The base.
const BASE: u64 = 10_000;

/// Appends `value` units of 10^-scale: the count of digits, the first one's power of 10000, the
/// sign, how many decimal digits are shown behind the point, and the digits, 16 bits each.
pub fn put_numeric(out: &mut impl BufMut, value: i128, scale: i8) {
    let mut digits = Digits { digits: [0; DIGITS_MAX], first: DIGITS_MAX };
    // The power of 10000 of the last digit, and how many zeros align the value to it.
    let exponent = (-i16::from(scale)).div_euclid(4);
    let zeros = (-i16::from(scale)).rem_euclid(4).unsigned_abs();
    digits.put(value.unsigned_abs(), u32::from(zeros));
    let mut shown = digits.digits.get(digits.first..).unwrap_or_default();
    let weight = exponent + shown.len() as i16 - 1;
    while let [front @ .., 0] = shown {
        shown = front;
    }
    let weight = if shown.is_empty() { 0 } else { weight };
    let sign = if value < 0 { NEGATIVE } else { 0 };
    let head = [shown.len() as u16, weight as u16, sign, u16::from(scale.max(0).unsigned_abs())];
    for word in head.iter().chain(shown) {
        out.put_u16(*word);
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
    fn put(&mut self, absolute: u128, zeros: u32) {
        let power = 10u64.pow(zeros);
        // The last digit alone takes the zeros, so that the value need not be multiplied.
        let mut rest = absolute;
        if zeros > 0 && rest != 0 {
            let below = u128::from(BASE / power);
            self.push((rest % below) as u64 * power);
            rest /= below;
        }
        // Division is ten times faster in 64 bits.
        while rest > u128::from(u64::MAX) {
            self.push((rest % u128::from(BASE)) as u64);
            rest /= u128::from(BASE);
        }
        let mut rest = rest as u64;
        while rest != 0 {
            self.push(rest % BASE);
            rest /= BASE;
        }
    }

    fn push(&mut self, digit: u64) {
        if let Some(first) = self.first.checked_sub(1)
            && let Some(place) = self.digits.get_mut(first)
        {
            (*place, self.first) = (digit as u16, first);
        }
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
