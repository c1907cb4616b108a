//! numeric: unscaled 128-bit integers as decimal text, and as PostgreSQL's `numeric_send` writes
//! them (numeric.c, NumericVar: digits of base 10000, aligned at the decimal point).

use bytes::{BufMut, BytesMut};

use super::integer;

/// Powers of ten up to 10^38, the highest in 128 bits.
const POWERS: [u128; 39] = {
    let mut powers = [1u128; 39];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Appends the value with exactly `scale` digits behind the point; a negative scale means zeros
/// in front of it.
pub(super) fn put_text(out: &mut BytesMut, value: i128, scale: i8) {
    if value < 0 {
        out.put_u8(b'-');
    }
    let (whole, fraction) = split(value.unsigned_abs(), scale);
    integer::put_wide(out, whole, 1);
    match scale {
        1.. => {
            out.put_u8(b'.');
            integer::put_wide(out, fraction, scale as usize);
        }
        0 => {}
        _ if whole == 0 => {}
        _ => out.put_bytes(b'0', scale.unsigned_abs() as usize),
    }
}

/// Appends ndigits, weight, sign, dscale and the digits, 16 bits each.
pub(super) fn put_binary(out: &mut BytesMut, value: i128, scale: i8) {
    /// The sign word of negative numbers.
    const NEGATIVE: u16 = 0x4000;
    let digits = Digits::of(value.unsigned_abs(), scale);
    out.put_i16(digits.shown().len() as i16);
    out.put_i16(digits.weight);
    out.put_u16(if value < 0 { NEGATIVE } else { 0 });
    out.put_i16(i16::from(scale.max(0)));
    for digit in digits.shown() {
        out.put_i16(*digit);
    }
}

fn split(absolute: u128, scale: i8) -> (u128, u128) {
    match POWERS.get(usize::from(scale.max(0).unsigned_abs())) {
        // Both halves of most numbers fit 64 bits, where division is ten times faster.
        Some(&power) => match (u64::try_from(absolute), u64::try_from(power)) {
            (Ok(absolute), Ok(power)) => {
                (u128::from(absolute / power), u128::from(absolute % power))
            }
            _ => (absolute / power, absolute % power),
        },
        None => (0, absolute),
    }
}

/// Digits of base 10000: at most 11 before the point, for 39 of base 10 and 3 zeros behind them,
/// and 32 behind it, for a scale of 127.
struct Digits {
    digits: [i16; 43],
    first: usize,
    end: usize,
    /// The power of 10000 of the first.
    weight: i16,
}

impl Digits {
    fn of(absolute: u128, scale: i8) -> Self {
        /// Where the point is.
        const POINT: usize = 11;
        let (mut whole, fraction) = split(absolute, scale);
        let mut digits = [0; 43];
        let mut zeros = scale.min(0).unsigned_abs();
        // A negative scale: what is missing up to a whole digit of base 10000 belongs to the value.
        while !zeros.is_multiple_of(4) && whole != 0 {
            whole = whole.saturating_mul(10);
            zeros -= 1;
        }
        let mut first = POINT;
        while whole > u128::from(u64::MAX) && first > 0 {
            first -= 1;
            digits[first] = (whole % 10_000) as i16;
            whole /= 10_000;
        }
        let mut whole = whole as u64;
        while whole != 0 && first > 0 {
            first -= 1;
            digits[first] = (whole % 10_000) as i16;
            whole /= 10_000;
        }
        let scale = usize::from(scale.max(0).unsigned_abs());
        let mut end = POINT + scale.div_ceil(4);
        put_fraction(&mut digits[POINT..end], fraction, scale);
        while first < end && digits[first] == 0 {
            first += 1;
        }
        while first < end && digits[end - 1] == 0 {
            end -= 1;
        }
        let weight = match first == end {
            true => 0,
            false => POINT as i16 - 1 - first as i16 + i16::from(zeros / 4),
        };
        Self { digits, first, end, weight }
    }

    /// Without zeros in front and behind.
    fn shown(&self) -> &[i16] {
        &self.digits[self.first..self.end]
    }
}

/// Cuts a fraction of `scale` decimal digits into those of base 10000.
fn put_fraction(digits: &mut [i16], fraction: u128, scale: usize) {
    let zeros = 4 * digits.len() - scale;
    // 16 digits fit 64 bits, where division is ten times faster.
    if let (Ok(fraction), 0..=16) = (u64::try_from(fraction), scale) {
        let mut fraction = fraction * 10u64.pow(zeros as u32);
        for digit in digits.iter_mut().rev() {
            *digit = (fraction % 10_000) as i16;
            fraction /= 10_000;
        }
        return;
    }
    for (at, digit) in digits.iter_mut().enumerate() {
        let value = match scale - 4 * at {
            rest @ 0..4 => fraction % POWERS[rest] * POWERS[4 - rest],
            rest => fraction / POWERS[(rest - 4).min(38)] % 10_000,
        };
        *digit = value as i16;
    }
}
