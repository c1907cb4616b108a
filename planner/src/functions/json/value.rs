//! JSON values and how they are printed (`jsonb_out` in PostgreSQL's jsonb.c).

use std::fmt::Write;

/// A value. Numbers keep their digits; members keep their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is printed.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value as type jsonb holds it: of members with the same key the last, shorter keys
    /// first, numbers without exponent.
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::Number(digits) => Self::Number(plain_number(&digits)),
            Self::Array(elements) => {
                Self::Array(elements.into_iter().map(Self::canonical).collect())
            }
            Self::Object(members) => {
                let mut unique: Vec<(String, Self)> = Vec::with_capacity(members.len());
                for (key, value) in members {
                    unique.push((key, value.canonical()));
                }
                // The sort is stable, so that the last of equal keys stays last.
                unique.sort_by(|(a, _), (b, _)| key_order(a).cmp(&key_order(b)));
                let mut kept: Vec<(String, Self)> = Vec::with_capacity(unique.len());
                for member in unique {
                    match kept.last_mut() {
                        Some(last) if last.0 == member.0 => *last = member,
                        _ => kept.push(member),
                    }
                }
                Self::Object(kept)
            }
            other => other,
        }
    }

    /// `{"a": 1, "b": [2, 3]}`, as jsonb is printed.
    pub(crate) fn spaced(&self) -> String {
        let mut out = String::new();
        self.print(&mut out, ", ", ": ");
        out
    }

    /// `{"a":1,"b":[2,3]}`, as json functions print what they take apart.
    pub(crate) fn compact(&self) -> String {
        let mut out = String::new();
        self.print(&mut out, ",", ":");
        out
    }

    fn print(&self, out: &mut String, comma: &str, colon: &str) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::String(text) => quote(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at > 0 { comma } else { "" });
                    element.print(out, comma, colon);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { comma } else { "" });
                    quote(key, out);
                    out.push_str(colon);
                    value.print(out, comma, colon);
                }
                out.push('}');
            }
        }
    }

    /// `jsonb_pretty`: four blanks per level.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.print_pretty(&mut out, 0);
        out
    }

    fn print_pretty(&self, out: &mut String, level: usize) {
        let line = |out: &mut String, level: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("    ", level));
        };
        match self {
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, level + 1);
                    element.print_pretty(out, level + 1);
                }
                line(out, level);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, level + 1);
                    quote(key, out);
                    out.push_str(": ");
                    value.print_pretty(out, level + 1);
                }
                line(out, level);
                out.push('}');
            }
            scalar => scalar.print(out, ", ", ": "),
        }
    }

    /// What `->>` gives: a string without quotes, nothing for null.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::String(text) => Some(text.clone()),
            other => Some(other.spaced()),
        }
    }

    /// The word of `jsonb_typeof`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// A member by its key; of several with this key the last.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Neither an object nor an array.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(self, Self::Object(_) | Self::Array(_))
    }

    /// An element by its position from 0, or from the end by a negative one.
    pub(crate) fn element(&self, position: i64) -> Option<&Self> {
        let Self::Array(elements) = self else { return None };
        let position = if position < 0 { position + elements.len() as i64 } else { position };
        elements.get(usize::try_from(position).ok()?)
    }

    /// One step of a path: a key of an object, a position of an array.
    pub(crate) fn step(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Object(_) => self.member(step),
            Self::Array(_) => self.element(step.trim().parse().ok()?),
            _ => None,
        }
    }
}

/// Members of jsonb: shorter keys first, then by their bytes (`lengthCompareJsonbStringValue`).
fn key_order(key: &str) -> (usize, &str) {
    (key.len(), key)
}

/// A string with quotes around it (`escape_json`).
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The digits of a numeric: `1e3` is 1000, `1.50` stays.
fn plain_number(digits: &str) -> String {
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        return if digits == "-0" { "0".into() } else { digits.into() };
    };
    let exponent: i64 = exponent.parse::<i64>().unwrap_or(0).clamp(-20_000, 150_000);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: String = format!("{whole}{fraction}");
    let point = whole.len() as i64 + exponent;
    let (whole, fraction) = if point <= 0 {
        ("0".to_string(), format!("{}{all}", "0".repeat(point.unsigned_abs() as usize)))
    } else if point as usize >= all.len() {
        (format!("{all}{}", "0".repeat(point as usize - all.len())), String::new())
    } else {
        (all[..point as usize].to_string(), all[point as usize..].to_string())
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let is_zero = whole == "0" && fraction.bytes().all(|b| b == b'0');
    let sign = if is_zero { "" } else { sign };
    match fraction.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_is_printed_as_postgresql_prints_it() {
        // select x::jsonb
        let cases = [
            (r#"{"bb":1, "a" : [1,2, {"x":null}],"a":2}"#, r#"{"a": 2, "bb": 1}"#),
            ("[1e3, 1.50, -0, 1E-3, 12.5e1, -1.5e0]", "[1000, 1.50, 0, 0.001, 125, -1.5]"),
            (r#""a\u00e9\n\ud83d\ude00""#, "\"aé\\n😀\""),
            (" true ", "true"),
            ("{}", "{}"),
            ("[]", "[]"),
        ];
        for (text, expected) in cases {
            assert_eq!(Json::parse(text).unwrap().canonical().spaced(), expected);
        }
    }
}
