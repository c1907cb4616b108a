//! numeric: unscaled 128-bit integers as decimal text, and as PostgreSQL's `numeric_send` writes
//! them (numeric.c, NumericVar: digits of base 10000, aligned at the decimal point).

use bytes::{BufMut, BytesMut};
use kestrel_planner::wire_binary::put_numeric;

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

/// The sign word of negative numbers.
const NEGATIVE: u16 = 0x4000;

/// Appends a length, ndigits, weight, sign, dscale and the digits, 16 bits each.
pub(super) fn put_binary(out: &mut BytesMut, value: i128, scale: i8) {
    let sign = if value < 0 { NEGATIVE } else { 0 };
    if let (Ok(absolute), 0..=4) = (u64::try_from(value.unsigned_abs()), scale) {
        put_short_binary(out, absolute, sign, scale as u8);
    } else {
        put_long_binary(out, value, scale);
    }
}

fn put_long_binary(out: &mut BytesMut, value: i128, scale: i8) {
    let at = out.len();
    out.put_i32(0);
    put_numeric(out, value, scale);
    let length = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// As [`put_binary`], for numbers of 64 bits with at most one digit of base 10000 behind the point:
/// all of it is copied at once.
fn put_short_binary(out: &mut BytesMut, absolute: u64, sign: u16, scale: u8) {
    /// Length and the four words in front of the digits.
    const HEAD: usize = 12;
    /// 20 digits of base 10, and those behind the point.
    const MOST_DIGITS: usize = 6;
    const SCALES: [(u64, u64); 5] = [(1, 0), (10, 1000), (100, 100), (1000, 10), (10_000, 1)];
    let (power, missing) = SCALES[usize::from(scale.min(4))];
    let (mut whole, fraction) = (absolute / power, absolute % power * missing);
    let bounds = [1, 10_000, 100_000_000, 1_000_000_000_000, 10_000_000_000_000_000];
    let whole_digits = bounds.iter().filter(|bound| whole >= **bound).count();
    let mut cell = [0; HEAD + 2 * MOST_DIGITS];
    let (head, digits) = cell.split_at_mut(HEAD);
    let (digits, _) = digits.as_chunks_mut::<2>();
    for digit in digits[..whole_digits].iter_mut().rev() {
        *digit = ((whole % 10_000) as u16).to_be_bytes();
        whole /= 10_000;
    }
    digits[whole_digits] = (fraction as u16).to_be_bytes();
    let zeros = digits[..=whole_digits].iter().rev().take_while(|digit| **digit == [0, 0]).count();
    let count = whole_digits + 1 - zeros;
    let weight = if count == 0 { 0 } else { whole_digits as i16 - 1 };
    head[..4].copy_from_slice(&(8 + 2 * count as i32).to_be_bytes());
    head[4..6].copy_from_slice(&(count as u16).to_be_bytes());
    head[6..8].copy_from_slice(&weight.to_be_bytes());
    head[8..10].copy_from_slice(&sign.to_be_bytes());
    head[10..].copy_from_slice(&u16::from(scale).to_be_bytes());
    out.extend_from_slice(&cell);
    out.truncate(out.len() - 2 * (MOST_DIGITS - count));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_written_as_long_ones_are() {
        let powers = (0..20).map(|power| 10u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power.saturating_mul(7)]);
        let values = near.chain([u64::MAX, 12_345_678_901_234_567_890, 100_000_000, 90_000_500]);
        for value in values {
            for scale in 0..=4 {
                let (mut short, mut long) = (BytesMut::new(), BytesMut::new());
                let sign = if value > 0 { NEGATIVE } else { 0 };
                put_short_binary(&mut short, value, sign, scale);
                put_long_binary(&mut long, -i128::from(value), scale as i8);
                assert_eq!(short, long, "{value}, scale {scale}");
            }
        }
    }
}
