//! Dates and timestamps in the one form in which nearly all of them come, read without looking for
//! others: `2024-01-02`, `2024-01-02 03:04:05`, `2024-01-02 03:04:05.678`.

use crate::functions::civil::{Civil, SECOND, days_from_civil, month_length};

/// The days since 1970 and, if the text has a time, the microseconds of the day; `None`: another
/// form, or no such day or time.
pub(super) fn date_and_time(text: &str) -> Option<(i64, Option<i64>)> {
    let (date, time) = text.as_bytes().split_at_checked(10)?;
    let days = date_of(date)?;
    match time {
        [] => Some((days, None)),
        [b' ', clock @ ..] => Some((days, Some(clock_micros(clock)?))),
        _ => None,
    }
}

fn date_of(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let exists = (1..=12).contains(&month) && (1..=month_length(year, month)).contains(&day);
    exists.then(|| days_from_civil(Civil { year, month, day }))
}

fn clock_micros(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = text else { return None };
    let hour = number(&[*h1, *h2])?;
    let (minute, second) = (number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10i64.pow(6 - digits.len() as u32)
        }
        _ => return None,
    };
    let exists = hour < 24 && minute < 60 && second < 60;
    exists.then(|| (hour * 3600 + minute * 60 + second) * SECOND + micros)
}

fn number(digits: &[u8]) -> Option<i64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_forms_and_nothing_else() {
        const NOON: i64 = 12 * 3600 * SECOND;
        for (text, expected) in [
            ("1970-01-01", Some((0, None))),
            ("1996-02-29", Some((9555, None))),
            ("1969-12-31 00:00:00", Some((-1, Some(0)))),
            ("1970-01-02 12:00:00.5", Some((1, Some(NOON + 500_000)))),
            ("1970-01-02 12:00:01.000002", Some((1, Some(NOON + SECOND + 2)))),
            ("", None),
            ("1995-02-29", None),
            ("1995-13-01", None),
            ("1995-00-01", None),
            ("1995-01-00", None),
            ("1995-1-01", None),
            ("01-02-1995", None),
            ("1995-01-0é", None),
            ("19950-01-01", None),
            (" 1995-01-01", None),
            ("1995-01-01 ", None),
            ("1995-01-01 BC", None),
            ("1995-01-01T00:00:00", None),
            ("1995-01-01 00:00", None),
            ("1995-01-01 24:00:00", None),
            ("1995-01-01 00:00:60", None),
            ("1995-01-01 00:00:00.", None),
            ("1995-01-01 00:00:00.1234567", None),
            ("1995-01-01 00:00:00+02", None),
            ("1995-01-01 00:00:00 PM", None),
        ] {
            assert_eq!(date_and_time(text), expected, "{text:?}");
        }
    }
}
