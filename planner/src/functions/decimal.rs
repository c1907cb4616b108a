//! Exact arithmetic on unscaled 128-bit decimals, with 256 bits where a step needs them.

use arrow::datatypes::i256;
use kestrel_proto::{ErrorReport, SqlState};

/// Most digits of a numeric.
pub(crate) const MAX_PRECISION: u8 = 38;

/// The largest unscaled value: 38 nines.
pub(crate) const MAX_VALUE: i128 = POWERS[38] - 1;

/// Powers of ten that an `i128` can hold.
pub(crate) const POWERS: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut n = 1;
    while n < 39 {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// `10^n` for `0 <= n <= 38`.
pub(crate) fn power(n: u32) -> i128 {
    POWERS[n.min(38) as usize]
}

/// Whether 38 digits hold the value.
pub(crate) fn fits(value: i128) -> bool {
    (-MAX_VALUE..=MAX_VALUE).contains(&value)
}

/// `value out of range` of a numeric that needs more than 38 digits (22003).
pub(crate) fn overflow() -> ErrorReport {
    ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
        .detail("The result needs more than 38 digits.")
}

/// `numeric field overflow` of a value that its declared type cannot hold, in PostgreSQL's words.
pub fn field_overflow(precision: u8, scale: i8) -> ErrorReport {
    let report = ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow");
    let exponent = i32::from(precision) - i32::from(scale);
    let bound = if exponent == 0 { "1".to_string() } else { format!("10^{exponent}") };
    report.detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
    ))
}

/// `value / divisor`, rounded half away from zero. `divisor` is not zero.
pub(crate) fn divide_rounded(value: i128, divisor: i128) -> i128 {
    let quotient = value.wrapping_div(divisor);
    let remainder = value.wrapping_rem(divisor);
    // |remainder| * 2 >= |divisor|, without overflow.
    let rest = remainder.unsigned_abs();
    if rest >= divisor.unsigned_abs() - rest {
        if (value < 0) == (divisor < 0) { quotient + 1 } else { quotient - 1 }
    } else {
        quotient
    }
}

/// `a * b / divisor` over 256 bits, rounded half away from zero; `None`: more than 38 digits.
/// `divisor` is positive.
fn multiply_divide_wide(a: i128, b: i128, divisor: i128) -> Option<i128> {
    let product = i256::from_i128(a).wrapping_mul(i256::from_i128(b));
    divide_wide(product, i256::from_i128(divisor))
}

fn divide_wide(value: i256, divisor: i256) -> Option<i128> {
    let quotient = value.checked_div(divisor)?;
    let remainder = value.checked_rem(divisor)?;
    let twice = remainder.wrapping_abs().wrapping_add(remainder.wrapping_abs());
    let rounded = if twice >= divisor.wrapping_abs() {
        let away = (value < i256::ZERO) == (divisor < i256::ZERO);
        quotient.wrapping_add(if away { i256::ONE } else { i256::MINUS_ONE })
    } else {
        quotient
    };
    rounded.to_i128().filter(|v| fits(*v))
}

/// `a * b / divisor`, rounded half away from zero; `None`: more than 38 digits. `divisor` is
/// positive.
pub(crate) fn multiply_divide(a: i128, b: i128, divisor: i128) -> Option<i128> {
    match a.checked_mul(b) {
        Some(product) => Some(divide_rounded(product, divisor)).filter(|v| fits(*v)),
        None => multiply_divide_wide(a, b, divisor),
    }
}

/// `a * 10^up / b`, rounded half away from zero; `None`: more than 38 digits. `b` is not zero;
/// `up` may be negative.
pub(crate) fn divide(a: i128, b: i128, up: i32) -> Option<i128> {
    let steps = up.unsigned_abs();
    if up < 0 {
        // Dividing by b * 10^steps in one go: rounding twice would be wrong.
        let divisor = wide_power(steps)?.checked_mul(i256::from_i128(b))?;
        return divide_wide(i256::from_i128(a), divisor);
    }
    if steps <= 38
        && let Some(dividend) = a.checked_mul(power(steps))
    {
        return Some(divide_rounded(dividend, b)).filter(|v| fits(*v));
    }
    let dividend = i256::from_i128(a).checked_mul(wide_power(steps)?)?;
    divide_wide(dividend, i256::from_i128(b))
}

fn wide_power(n: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(n)
}

/// The value in another scale: exact upwards, rounded half away from zero downwards; `None`: more
/// than 38 digits.
pub(crate) fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    let up = i32::from(to) - i32::from(from);
    if up >= 0 {
        if value == 0 {
            return Some(0);
        }
        let factor = POWERS.get(up as usize)?;
        value.checked_mul(*factor).filter(|v| fits(*v))
    } else {
        POWERS.get(up.unsigned_abs() as usize).map_or(Some(0), |d| Some(divide_rounded(value, *d)))
    }
}

/// The remainder of a division of values in different scales, in the larger of the scales, with
/// the sign of `a`; `None`: more than 38 digits. `b` is not zero.
pub(crate) fn remainder(a: (i128, i8), b: (i128, i8)) -> Option<i128> {
    let scale = a.1.max(b.1);
    let up = |(value, from): (i128, i8)| {
        let steps = u32::from(scale.abs_diff(from));
        i256::from_i128(value).checked_mul(wide_power(steps)?)
    };
    up(a)?.checked_rem(up(b)?)?.to_i128().filter(|v| fits(*v))
}

/// Compares values in different scales.
pub(crate) fn compare(a: (i128, i8), b: (i128, i8)) -> std::cmp::Ordering {
    let scale = a.1.max(b.1);
    let up = |(value, from): (i128, i8)| {
        let steps = u32::from(scale.abs_diff(from));
        wide_power(steps).and_then(|p| i256::from_i128(value).checked_mul(p))
    };
    match (up(a), up(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        // 38 digits and 38 more fit into 256 bits; only scales beyond PostgreSQL's do not.
        _ => approximate(a).total_cmp(&approximate(b)),
    }
}

fn approximate((value, scale): (i128, i8)) -> f64 {
    value as f64 / 10f64.powi(i32::from(scale))
}

/// The most digits that certainly fit into 64 bits.
const SHORT_DIGITS: usize = 18;

/// Reads `[-]digits` of at most 18 digits, which nearly all integers are; `None`: another text.
pub(crate) fn short_integer(text: &str) -> Option<i64> {
    short(text).filter(|(_, point)| point.is_none()).map(|(value, _)| value)
}

/// Reads a short number that needs no rounding.
fn parse_short(text: &str, scale: i8) -> Option<i128> {
    let (value, fraction) = short(text)?;
    let zeros = usize::try_from(scale).ok()?.checked_sub(fraction.unwrap_or(0))?;
    i128::from(value).checked_mul(*POWERS.get(zeros)?).filter(|value| fits(*value))
}

/// Reads `[-]digits[.digits]`: the digits as a number, and if there is a point, how many are behind
/// it.
fn short(text: &str) -> Option<(i64, Option<usize>)> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > SHORT_DIGITS {
        return None;
    }
    let (mut value, mut point) = (0, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(digits.len() - at - 1),
            _ => return None,
        }
    }
    if digits.len() == usize::from(point.is_some()) {
        return None;
    }
    Some((if is_negative { -value } else { value }, point))
}

/// Reads a decimal number of PostgreSQL's form (`[+-]digits[.digits][e[+-]digits]`), rounded half
/// away from zero to `scale`; `Err(false)`: not a number, `Err(true)`: more than 38 digits.
pub(crate) fn parse(text: &str, scale: i8) -> Result<i128, bool> {
    if let Some(value) = parse_short(text, scale) {
        return Ok(value);
    }
    let text = text.trim_ascii();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => {
            let exponent = digits[at + 1..].parse::<i32>().map_err(|_| false)?;
            (&digits[..at], exponent)
        }
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(false);
    }
    // Position of the last digit kept, counted from the start of whole + fraction.
    let kept = whole.len() as i64 + i64::from(exponent) + i64::from(scale);
    let mut value: i128 = 0;
    let mut digits = whole.bytes().chain(fraction.bytes());
    for place in 0..kept.clamp(0, 10_000) {
        let digit = digits.next().map_or(0, |b| i128::from(b - b'0'));
        value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(true)?;
        if value == 0 && place > (whole.len() + fraction.len()) as i64 {
            break;
        }
    }
    if kept >= 0 && digits.next().is_some_and(|b| b >= b'5') {
        value += 1;
    }
    if !fits(value) {
        return Err(true);
    }
    Ok(if negative { -value } else { value })
}

/// The digits of a numeric, as PostgreSQL prints them.
pub(crate) fn format(value: i128, scale: i8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    if scale <= 0 {
        let zeros = if value == 0 { 0 } else { usize::from(scale.unsigned_abs()) };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let scale = usize::from(scale.unsigned_abs());
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// A double as a numeric of this scale, by its shortest decimal digits as PostgreSQL's
/// `float8_numeric` (15 significant digits); `None`: does not fit, or not a number.
pub(crate) fn from_f64(value: f64, significant: usize, scale: i8) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{value:.*e}", significant - 1);
    parse(&text, scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_half_away_from_zero() {
        for (value, divisor, expected) in [
            (5, 10, 1),
            (4, 10, 0),
            (-5, 10, -1),
            (-4, 10, 0),
            (15, -10, -2),
            (25, 10, 3),
            (7, 7, 1),
        ] {
            assert_eq!(divide_rounded(value, divisor), expected, "{value} / {divisor}");
            assert_eq!(
                divide_wide(i256::from_i128(value), i256::from_i128(divisor)),
                Some(expected)
            );
        }
    }

    #[test]
    fn wide_steps_are_exact() {
        assert_eq!(multiply_divide(MAX_VALUE, MAX_VALUE, MAX_VALUE), Some(MAX_VALUE));
        assert_eq!(multiply_divide(MAX_VALUE, 11, 10), None);
        assert_eq!(divide(MAX_VALUE, MAX_VALUE, 16), Some(power(16)));
        assert_eq!(divide(1, 3, 16), Some(3_333_333_333_333_333));
        assert_eq!(divide(2, 3, 16), Some(6_666_666_666_666_667));
        assert_eq!(divide(1250, 1, -2), Some(13));
        assert_eq!(remainder((MAX_VALUE, 0), (7, 2)), Some((MAX_VALUE % 7) * 100 % 7));
        assert!(compare((MAX_VALUE, 0), (MAX_VALUE, 38)).is_gt());
    }

    #[test]
    fn text_forms() {
        for (text, scale, expected) in [
            ("1.5", 2, Ok(150)),
            (" -1.005 ", 2, Ok(-101)),
            ("1e3", 0, Ok(1000)),
            ("1.5e-3", 4, Ok(15)),
            ("0.00049", 3, Ok(0)),
            (".5", 0, Ok(1)),
            ("5.", 1, Ok(50)),
            ("1e400", 0, Err(true)),
            ("0e400", 0, Ok(0)),
            ("1e-400", 2, Ok(0)),
            ("abc", 2, Err(false)),
            ("1.2.3", 2, Err(false)),
            ("", 2, Err(false)),
            (".", 2, Err(false)),
            ("125", -1, Ok(13)),
            ("-0.07", 2, Ok(-7)),
            ("-.5", 1, Ok(-5)),
            ("-", 2, Err(false)),
            ("-.", 2, Err(false)),
            // As many digits as are read at once, and one more.
            ("999999999999999999", 2, Ok(99_999_999_999_999_999_900)),
            ("-9999999999999999.99", 2, Ok(-999_999_999_999_999_999)),
            ("999999999999999999", 38, Err(true)),
        ] {
            assert_eq!(parse(text, scale), expected, "{text}");
        }
        for (text, expected) in [
            ("0", Some(0)),
            ("-12", Some(-12)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("1000000000000000000", None),
            ("+1", None),
            ("1.", None),
            ("1 ", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(short_integer(text), expected, "{text}");
        }
        for (value, scale, expected) in
            [(150, 2, "1.50"), (-5, 3, "-0.005"), (0, 2, "0.00"), (7, 0, "7"), (7, -2, "700")]
        {
            assert_eq!(format(value, scale), expected);
        }
    }
}
