//! Is an answer right? Exact where a result is exact, to six decimals where digits must end
//! somewhere, and in the order of the rows only as far as ORDER BY fixes it.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::query::{Column, Query};
use crate::client::Row;

/// How far an average or quotient may be from the expected one, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Equal after rounding to six decimals: both sides round as PostgreSQL does.
    Rounded,
    /// One more or less in the sixth decimal: the expected one was cut off, not rounded.
    CutOff,
}

/// The answer PostgreSQL 15 gives at scale 0.01.
pub fn stored_answer(query: &Query) -> Vec<Row> {
    parse_csv(query.stored_answer).into_iter().skip(1).collect()
}

/// `Ok`, or the first difference in words.
pub(crate) fn compare(
    query: &Query,
    expected: &[Row],
    got: &[Row],
    precision: Precision,
) -> Result<(), String> {
    let width = query.columns.len();
    if let Some(row) = got.iter().chain(expected).find(|row| row.len() != width) {
        return Err(format!("expected {width} columns, got {}", row.len()));
    }
    if expected.len() != got.len() {
        return Err(format!("expected {} rows, got {}", expected.len(), got.len()));
    }
    let (mut expected, mut got) = (canonical_rows(query, expected), canonical_rows(query, got));
    // Both sides are sorted by the same keys, or one of them is not sorted.
    for (i, (e, g)) in expected.iter().zip(&got).enumerate() {
        if let Some(key) = query.sorted_by.iter().find(|key| e[**key] != g[**key]) {
            return Err(difference(i, *key, &e[*key], &g[*key]));
        }
    }
    expected.sort_by(|a, b| by_exact_columns(query, a, b));
    got.sort_by(|a, b| by_exact_columns(query, a, b));
    for (i, (e, g)) in expected.iter().zip(&got).enumerate() {
        for (column, kind) in query.columns.iter().enumerate() {
            if !equal(*kind, &e[column], &g[column], precision) {
                return Err(difference(i, column, &e[column], &g[column]));
            }
        }
    }
    Ok(())
}

/// A value in the one form in which equal values are equal; NULL is `None`.
type Canonical<'a> = Option<Cow<'a, str>>;

fn canonical_rows<'a>(query: &Query, rows: &'a [Row]) -> Vec<Vec<Canonical<'a>>> {
    let value = |(kind, value): (&Column, &'a Option<String>)| {
        value.as_deref().map(|text| canonical(*kind, text))
    };
    rows.iter().map(|row| query.columns.iter().zip(row).map(value).collect()).collect()
}

fn canonical(kind: Column, text: &str) -> Cow<'_, str> {
    match kind {
        Column::Text => Cow::Borrowed(text),
        Column::Char(width) => Cow::Owned(format!("{text:<width$}")),
        Column::Number if text.contains('.') => {
            Cow::Borrowed(text.trim_end_matches('0').trim_end_matches('.'))
        }
        Column::Number => Cow::Borrowed(text),
        Column::Quotient => match millionths(text) {
            Some(rounded) => Cow::Owned(rounded.to_string()),
            None => Cow::Borrowed(text),
        },
    }
}

/// A decimal number, rounded half away from zero, as PostgreSQL's numeric is.
fn millionths(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seven: i128 = format!("{fraction:0<7}").get(..7)?.parse().ok()?;
    let whole: i128 = whole.parse().ok()?;
    let rounded = whole.checked_mul(1_000_000)?.checked_add((seven + 5) / 10)?;
    Some(if negative { -rounded } else { rounded })
}

fn equal(
    kind: Column,
    expected: &Canonical<'_>,
    got: &Canonical<'_>,
    precision: Precision,
) -> bool {
    if expected == got {
        return true;
    }
    let (Some(expected), Some(got)) = (expected, got) else { return false };
    kind == Column::Quotient
        && precision == Precision::CutOff
        && matches!((expected.parse::<i128>(), got.parse::<i128>()),
            (Ok(e), Ok(g)) if e.abs_diff(g) <= 1)
}

/// Quotients come last: two that count as equal must not sort their rows apart.
fn by_exact_columns(query: &Query, a: &[Canonical<'_>], b: &[Canonical<'_>]) -> Ordering {
    let exact = |row: &[Canonical<'_>], quotient: bool| {
        let kinds = query.columns.iter().zip(row);
        kinds
            .filter(|(kind, _)| (**kind == Column::Quotient) == quotient)
            .map(|(_, value)| value.clone().map(Cow::into_owned))
            .collect::<Vec<_>>()
    };
    (exact(a, false), exact(a, true)).cmp(&(exact(b, false), exact(b, true)))
}

fn difference(row: usize, column: usize, expected: &Canonical<'_>, got: &Canonical<'_>) -> String {
    let show = |value: &Canonical<'_>| match value {
        Some(text) => format!("'{text}'"),
        None => "NULL".to_string(),
    };
    let (row, column) = (row + 1, column + 1);
    format!("row {row}, column {column}: expected {}, got {}", show(expected), show(got))
}

/// CSV as PostgreSQL writes it: an empty field is NULL, a quoted empty one the empty text.
fn parse_csv(text: &str) -> Vec<Row> {
    let (mut rows, mut row, mut field) = (Vec::new(), Row::new(), String::new());
    let (mut in_quotes, mut quoted) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if in_quotes && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => {
                in_quotes = !in_quotes;
                quoted = true;
            }
            ',' | '\n' if !in_quotes => {
                let value = std::mem::take(&mut field);
                row.push((quoted || !value.is_empty()).then_some(value));
                quoted = false;
                if c == '\n' {
                    rows.push(std::mem::take(&mut row));
                }
            }
            _ => field.push(c),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::query::QUERIES;
    use super::*;

    fn rows(text: &str) -> Vec<Row> {
        parse_csv(&text.replace(';', "\n"))
    }

    fn check(query: usize, expected: &str, got: &str, rounded: bool, cut_off: bool) {
        let query = Query::numbered(query).unwrap();
        for (precision, equal) in [(Precision::Rounded, rounded), (Precision::CutOff, cut_off)] {
            let result = compare(query, &rows(expected), &rows(got), precision);
            assert_eq!(
                result.is_ok(),
                equal,
                "{query:?} {expected} {got} {precision:?} {result:?}"
            );
        }
    }

    #[test]
    fn what_is_equal_and_what_is_not() {
        let (yes, no) = (true, false);
        // Query 6: one exact number.
        check(6, "12.50;", "12.5;", yes, yes);
        check(6, "12.00;", "12;", yes, yes);
        check(6, "120;", "12;", no, no);
        check(6, "12.5001;", "12.5002;", no, no);
        check(6, ";", ";", yes, yes);
        check(6, ";", "0;", no, no);
        // Query 14: one quotient.
        check(14, "15.4865458122840715;", "15.486546;", yes, yes);
        check(14, "15.486545;", "15.4865458;", no, yes);
        check(14, "15.486544;", "15.4865458;", no, no);
        check(14, "-1.0000005;", "-1.000001;", yes, yes);
        check(14, "NaN;", "NaN;", yes, yes);
        check(14, "NaN;", "1;", no, no);
        // Query 20: char(25) sorted, and a text.
        check(20, "a,x;b,y;", "a                        ,x;b,y;", yes, yes);
        check(20, "a,x;b,y;", "a,x ;b,y;", no, no);
        check(20, "a,x;b,y;", "b,y;a,x;", no, no);
        check(20, "a,x;a,y;", "a,y;a,x;", yes, yes);
        check(20, "a,x;a,x;", "a,x;", no, no);
        check(20, "a,x;a,y;", "a,x;a,x;", no, no);
        check(20, "a,x;", "a,x,z;", no, no);
        // Query 8: the quotient does not decide the order.
        check(8, "1995,0.100000;1996,0.2;", "1995,0.1;1996,0.20000049;", yes, yes);
    }

    #[test]
    fn csv_tells_null_from_the_empty_text() {
        let text = |s: &str| Some(s.to_string());
        assert_eq!(
            parse_csv("a,\"b,\"\"c\"\"\n\",\n\"\",,\n"),
            [vec![text("a"), text("b,\"c\"\n"), None], vec![text(""), None, None]]
        );
    }

    #[test]
    fn every_stored_answer_equals_itself() {
        for query in &QUERIES {
            let stored = stored_answer(query);
            assert!(!stored.is_empty(), "{query:?}");
            assert_eq!(compare(query, &stored, &stored, Precision::Rounded), Ok(()), "{query:?}");
        }
    }
}
