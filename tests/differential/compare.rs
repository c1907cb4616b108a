//! Are two answers the same?

use std::cmp::Ordering;

use crate::{generate::Kind, support::Answer};

/// A row, as the server wrote it.
type Row = Vec<Option<String>>;

/// `None`, or the first difference in words.
///
/// The order of the rows counts as far as `sorted_by` fixes it: those columns must have the same
/// values in the same order, and the rows be the same in any order.
pub(crate) fn difference(
    expected: &Answer,
    got: &Answer,
    kinds: &[Kind],
    sorted_by: &[usize],
) -> Option<String> {
    match (expected, got) {
        (Answer::Error(e), Answer::Error(g)) if e.sqlstate == g.sqlstate => None,
        (Answer::Error(e), Answer::Error(g)) => {
            Some(format!("expected SQLSTATE {}, got {}", e.sqlstate, g.sqlstate))
        }
        (Answer::Error(e), _) => Some(format!("expected SQLSTATE {}, got an answer", e.sqlstate)),
        (_, Answer::Error(g)) => Some(format!("expected an answer, got SQLSTATE {}", g.sqlstate)),
        (Answer::Done(_), _) | (_, Answer::Done(_)) => Some("expected rows".into()),
        (Answer::Rows { columns: e, .. }, Answer::Rows { columns: g, .. }) if e != g => {
            Some(format!("expected {e} columns, got {g}"))
        }
        (Answer::Rows { rows: e, .. }, Answer::Rows { rows: g, .. }) => {
            rows_difference(e, g, kinds, sorted_by)
        }
    }
}

fn rows_difference(
    expected: &[Row],
    got: &[Row],
    kinds: &[Kind],
    sorted_by: &[usize],
) -> Option<String> {
    if expected.len() != got.len() {
        return Some(format!("expected {} rows, got {}", expected.len(), got.len()));
    }
    for (index, (e, g)) in expected.iter().zip(got).enumerate() {
        for column in sorted_by {
            if !same(kinds[*column], &e[*column], &g[*column]) {
                return Some(format!(
                    "row {} is out of order: its column {} is {:?}, expected {:?}",
                    index + 1,
                    column + 1,
                    g[*column],
                    e[*column]
                ));
            }
        }
    }
    // Sorted, equal rows mostly stand side by side; inexact values may be sorted apart.
    let (mut expected, mut got) = (expected.to_vec(), got.to_vec());
    expected.sort_by(|a, b| by_value(a, b, kinds));
    got.sort_by(|a, b| by_value(a, b, kinds));
    let same_row = |e: &Row, g: &Row| (0..kinds.len()).all(|c| same(kinds[c], &e[c], &g[c]));
    let unmatched: Vec<&Row> =
        expected.iter().zip(&got).filter(|(e, g)| !same_row(e, g)).map(|(e, _)| e).collect();
    let mut others: Vec<&Row> =
        expected.iter().zip(&got).filter(|(e, g)| !same_row(e, g)).map(|(_, g)| g).collect();
    for row in unmatched {
        match others.iter().position(|other| same_row(row, other)) {
            Some(index) => {
                others.swap_remove(index);
            }
            None => return Some(format!("this row is missing: {row:?}; instead: {:?}", others[0])),
        }
    }
    None
}

fn by_value(a: &Row, b: &Row, kinds: &[Kind]) -> Ordering {
    // Exact columns first: rows that differ in them are never confused.
    let exact = |kind: &Kind| matches!(kind, Kind::Text | Kind::Number);
    let columns = |wanted: bool| {
        (0..kinds.len()).filter(move |c| exact(&kinds[*c]) == wanted).collect::<Vec<_>>()
    };
    for column in columns(true) {
        let ordering = match kinds[column] {
            Kind::Number => canonical(&a[column]).cmp(&canonical(&b[column])),
            _ => a[column].cmp(&b[column]),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    for column in columns(false) {
        let value = |row: &Row| row[column].as_deref().and_then(|v| v.parse::<f64>().ok());
        let ordering = match (value(a), value(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

fn same(kind: Kind, expected: &Option<String>, got: &Option<String>) -> bool {
    let (Some(e), Some(g)) = (expected, got) else { return expected == got };
    e == g
        || match kind {
            Kind::Text => false,
            Kind::Number => canonical(expected) == canonical(got),
            Kind::Rounded => same_rounded(e, g),
            Kind::Double => same_double(e, g),
        }
}

/// A decimal number in the one form in which equal numbers are equal.
fn canonical(value: &Option<String>) -> Option<String> {
    let text = value.as_deref()?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    Some(match (whole.is_empty(), fraction.is_empty()) {
        (true, true) => "0".into(),
        (false, true) => format!("{sign}{whole}"),
        (_, false) => format!("{sign}{whole}.{fraction}"),
    })
}

/// Six decimals must be right, or as many as PostgreSQL shows if they are fewer: it gives at least
/// 16 significant digits, which for large averages leaves few behind the point.
fn same_rounded(expected: &str, got: &str) -> bool {
    let decimals = expected.split_once('.').map_or(0, |(_, fraction)| fraction.len()).min(6);
    let unit = 10_i128.pow(DECIMALS - decimals as u32);
    match (fixed_point(expected), fixed_point(got)) {
        (Some(e), Some(g)) => (e - g).abs() <= unit / 2 + 1,
        // Too large for exact arithmetic, or NaN.
        _ => same_double(expected, got),
    }
}

/// The decimals that [`fixed_point`] keeps.
const DECIMALS: u32 = 12;

fn fixed_point(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction:0<width$}", width = DECIMALS as usize);
    let fraction: i128 = fraction.get(..DECIMALS as usize)?.parse().ok()?;
    let whole: i128 = whole.parse().ok()?;
    let value = whole.checked_mul(10_i128.pow(DECIMALS))?.checked_add(fraction)?;
    Some(if negative { -value } else { value })
}

fn same_double(expected: &str, got: &str) -> bool {
    let (Ok(e), Ok(g)) = (expected.parse::<f64>(), got.parse::<f64>()) else { return false };
    let close = || (e - g).abs() <= 1e-9 * e.abs().max(g.abs()).max(1.0);
    e == g || (e.is_nan() && g.is_nan()) || (e.is_finite() && g.is_finite() && close())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, expected: &str, got: &str, is_same: bool) {
        let value = |text: &str| (text != "NULL").then(|| text.to_string());
        assert_eq!(same(kind, &value(expected), &value(got)), is_same, "{kind:?} {expected} {got}");
    }

    #[test]
    fn values_are_compared_by_their_kind() {
        for (kind, expected, got, is_same) in [
            (Kind::Text, "a", "a", true),
            (Kind::Text, "a", "a ", false),
            (Kind::Text, "1", "1.0", false),
            (Kind::Text, "NULL", "NULL", true),
            (Kind::Text, "", "NULL", false),
            (Kind::Number, "1.50", "1.5", true),
            (Kind::Number, "-0.0", "0", true),
            (Kind::Number, "100", "1", false),
            (Kind::Number, "0.5", ".5000", true),
            (Kind::Number, "0.3333333333", "0.33333333", false),
            (Kind::Number, "NULL", "0", false),
            (Kind::Rounded, "0.66666666666666666667", "0.666667", true),
            (Kind::Rounded, "0.66666666666666666667", "0.666666", false),
            (Kind::Rounded, "3074457345618258602", "3074457345618258602.333333", true),
            (Kind::Rounded, "-1.5000000000000000", "1.5", false),
            (Kind::Double, "0.3", "0.30000000000000004", true),
            (Kind::Double, "0.3", "0.30001", false),
            (Kind::Double, "NaN", "NaN", true),
            (Kind::Double, "Infinity", "-Infinity", false),
        ] {
            check(kind, expected, got, is_same);
        }
    }

    #[test]
    fn rows_are_compared_as_far_as_their_order_is_fixed() {
        let rows = |text: &str| {
            let row = |line: &str| line.split(' ').map(|v| Some(v.to_string())).collect();
            Answer::Rows { columns: 2, rows: text.split(';').map(row).collect() }
        };
        let kinds = [Kind::Number, Kind::Double];
        for (expected, got, sorted_by, is_same) in [
            ("1 0.1;2 0.2", "2 0.2;1 0.1", &[][..], true),
            ("1 0.1;2 0.2", "2 0.2;1 0.1", &[0][..], false),
            ("1 0.1;1 0.2", "1 0.2;1 0.1", &[0][..], true),
            ("1 0.1;1 0.1;2 0.2", "1 0.1;2 0.2;2 0.2", &[][..], false),
            ("1 0.1", "1 0.1;1 0.1", &[][..], false),
            ("1 0.1;1 0.2", "1 0.20000000000001;1 0.1", &[][..], true),
        ] {
            let result = difference(&rows(expected), &rows(got), &kinds, sorted_by);
            assert_eq!(result.is_none(), is_same, "{expected} / {got}: {result:?}");
        }
    }
}
