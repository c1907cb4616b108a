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
    let (digits, weight) = base_10000(value.unsigned_abs(), scale);
    out.put_i16(digits.len() as i16);
    out.put_i16(weight);
    out.put_u16(if value < 0 { NEGATIVE } else { 0 });
    out.put_i16(i16::from(scale.max(0)));
    for digit in digits {
        out.put_i16(digit);
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

/// The digits without zeros in front and behind, and the weight of the first: its power of 10000.
fn base_10000(absolute: u128, scale: i8) -> (Vec<i16>, i16) {
    let (mut whole, fraction) = split(absolute, scale);
    let mut digits = vec![];
    let mut zeros = scale.min(0).unsigned_abs();
    // A negative scale: what is missing up to a whole digit of base 10000 belongs to the value.
    while !zeros.is_multiple_of(4) && whole != 0 {
        whole = whole.saturating_mul(10);
        zeros -= 1;
    }
    while whole != 0 {
        digits.push((whole % 10_000) as i16);
        whole /= 10_000;
    }
    let mut weight = digits.len() as i16 - 1 + i16::from(zeros / 4);
    digits.reverse();
    let scale = usize::from(scale.max(0).unsigned_abs());
    for place in (0..scale).step_by(4) {
        let digit = match scale - place {
            rest @ 0..4 => fraction % POWERS[rest] * POWERS[4 - rest],
            rest => fraction / POWERS[(rest - 4).min(38)] % 10_000,
        };
        digits.push(digit as i16);
    }
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..leading);
    weight -= leading as i16;
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        weight = 0;
    }
    (digits, weight)
}
