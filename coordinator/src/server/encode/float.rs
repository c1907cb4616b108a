//! real and double precision as PostgreSQL 12 and later write them with extra_float_digits = 1:
//! the shortest digits that read back as the same number, without an exponent while it lies in
//! -4 … 14 (real: -4 … 5) (d2s.c, f2s.c).

use std::fmt::Write;

use bytes::{BufMut, BytesMut};

use super::integer;

/// What the two widths differ in.
struct Width {
    /// Bits of the significand, with the implied one.
    significand_bits: u32,
    /// The exponent of the smallest numbers' last bit.
    least_exponent: i32,
    /// From this decimal exponent on there is an exponent in the text.
    scientific_from: i32,
    /// Below this, 10^`scientific_from`, a whole number is shown with all its digits.
    whole_below: f64,
    /// More digits than this never help.
    most_digits: usize,
    /// A number that lies half-way between two decimals that both read back has at least so many
    /// digits.
    least_digits_of_halves: usize,
}

const SINGLE: Width = Width {
    significand_bits: 24,
    least_exponent: -149,
    scientific_from: 6,
    whole_below: 1e6,
    most_digits: 9,
    least_digits_of_halves: 7,
};
const DOUBLE: Width = Width {
    significand_bits: 53,
    least_exponent: -1_074,
    scientific_from: 15,
    whole_below: 1e15,
    most_digits: 17,
    least_digits_of_halves: 16,
};

/// Appends a real.
pub(super) fn put_f32(out: &mut BytesMut, value: f32) {
    let mut shortest = Shortest::default();
    // It has room for every number.
    let _ = write!(shortest, "{:e}", value.abs());
    let reads_back = |text: &str| text.parse::<f32>() == Ok(value.abs());
    put(out, f64::from(value), &SINGLE, shortest.text(), reads_back);
}

/// Appends a double precision.
pub(super) fn put_f64(out: &mut BytesMut, value: f64) {
    let mut shortest = Shortest::default();
    let _ = write!(shortest, "{:e}", value.abs());
    let reads_back = |text: &str| text.parse::<f64>() == Ok(value.abs());
    put(out, value, &DOUBLE, shortest.text(), reads_back);
}

/// The shortest form of one number, on the stack: `digits` `e` `exponent`.
#[derive(Default)]
struct Shortest {
    bytes: [u8; 32],
    length: usize,
}

impl Shortest {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Shortest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// `shortest` is Rust's shortest form of the absolute value, `digits` `e` `exponent`.
fn put(
    out: &mut BytesMut,
    value: f64,
    width: &Width,
    shortest: &str,
    reads_back: impl Fn(&str) -> bool,
) {
    if value.is_nan() {
        return out.put_slice(b"NaN");
    }
    if value.is_sign_negative() {
        out.put_u8(b'-');
    }
    if value.is_infinite() {
        return out.put_slice(b"Infinity");
    }
    let value = value.abs();
    // Whole numbers of few digits have one shortest form: themselves.
    if value < width.whole_below && value.fract() == 0.0 {
        return integer::put(out, value as u64, 1);
    }
    let stands = |text: &String| reads_back(text) && !is_tie(text, value, width);
    let better = if is_tie(shortest, value, width) {
        let mut longer = (0..width.most_digits).map(|digits| format!("{value:.digits$e}"));
        longer.find(stands)
    } else {
        even(shortest, value, width).filter(stands)
    };
    let (digits, exponent) = split(better.as_deref().unwrap_or(shortest));
    if (-4..width.scientific_from).contains(&exponent) {
        put_positional(out, digits, exponent);
    } else {
        out.put_slice(digits.as_bytes());
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
}

/// Of two shortest decimals that are equally near, Rust takes the upper, PostgreSQL the even one.
/// Writing out so many digits rounds to even, too. `None`: there are no two.
fn even(shortest: &str, value: f64, width: &Width) -> Option<String> {
    let (digits, _) = split(shortest);
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let is_odd = digits.bytes().next_back().is_some_and(|digit| digit % 2 == 1);
    (is_odd && count >= width.least_digits_of_halves).then(|| format!("{value:.*e}", count - 1))
}

fn split(text: &str) -> (&str, i32) {
    match text.split_once('e') {
        Some((digits, exponent)) => (digits, exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}

fn put_positional(out: &mut BytesMut, digits: &str, exponent: i32) {
    let digits = digits.bytes().filter(|digit| *digit != b'.');
    if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', (-exponent - 1) as usize);
        return out.extend(digits);
    }
    let mut place = exponent;
    for digit in digits {
        if place == -1 {
            out.put_u8(b'.');
        }
        out.put_u8(digit);
        place -= 1;
    }
    out.put_bytes(b'0', (place + 1).max(0) as usize);
}

/// Whether a decimal lies exactly half-way between `value` and a neighbour. It reads back as
/// `value` only because ties go to the even one; PostgreSQL does not count on that and writes
/// more digits (`1e23` is `9.999999999999999e+22`), Rust does.
fn is_tie(text: &str, value: f64, width: &Width) -> bool {
    /// 5^24 has more bits than a double's significand and a half: no tie has it as a factor.
    const MOST_FIVES: u32 = 23;
    let (digits, exponent) = split(text);
    let mut number: u128 = 0;
    let mut power = exponent + 1;
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        number = number * 10 + u128::from(digit - b'0');
        power -= 1;
    }
    if number == 0 {
        return false;
    }
    // number × 10^power, as odd × 2^twos.
    while number.is_multiple_of(10) {
        number /= 10;
        power += 1;
    }
    let fives = power.unsigned_abs();
    if fives > MOST_FIVES {
        return false;
    }
    let five = 5u128.pow(fives);
    let odd = match power {
        0.. => number * five,
        _ if number.is_multiple_of(five) => number / five,
        _ => return false,
    };
    let twos = odd.trailing_zeros();
    let (odd, twos) = (odd >> twos, power + twos as i32);
    let (significand, last_bit) = significand(value, width);
    let above = (2 * significand + 1, last_bit - 1);
    // Below a power of two the neighbours are twice as close.
    let below = match significand.is_power_of_two() && last_bit > width.least_exponent {
        true => (4 * significand - 1, last_bit - 2),
        false => (2 * significand - 1, last_bit - 1),
    };
    (odd, twos) == above || (odd, twos) == below
}

/// `value` = significand × 2^exponent, the exponent that of its last bit in this width.
fn significand(value: f64, width: &Width) -> (u128, i32) {
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i32;
    let fraction = u128::from(bits & ((1 << 52) - 1));
    let (significand, exponent) =
        if exponent == 0 { (fraction, -1_074) } else { (fraction | 1 << 52, exponent - 1_075) };
    let spare = (53 - width.significand_bits as i32).max(width.least_exponent - exponent).max(0);
    (significand >> spare, exponent + spare)
}
