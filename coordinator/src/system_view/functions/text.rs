//! Quoting, and arrays of the catalogs.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{SystemViewContext, name, rows::Value},
    ANY_NUMBER, Function, INTEGER, Returns, TEXT, int, lenient, strict, string,
};

pub(super) const FUNCTIONS: &[Function] = &[
    strict("array_lower", (2, 2), INTEGER, |_, a| Ok(bound(a, |b| b.0))),
    strict("array_upper", (2, 2), INTEGER, |_, a| Ok(bound(a, |b| b.1))),
    lenient("format", (1, ANY_NUMBER), TEXT, format),
    strict(ARRAY_TEXT, (1, 1), TEXT, |_, arguments| Ok(array_text(&arguments[0]).into())),
    lenient(PREFIXED, (2, 2), Returns::Texts, |_, arguments| {
        let prefix = string(arguments, 0).unwrap_or_default();
        Ok(match &arguments[1] {
            Value::Texts(texts) => {
                texts.iter().map(|t| format!("{prefix}{t}")).collect::<Vec<_>>().into()
            }
            // No array has no elements.
            _ => Value::Texts(vec![]),
        })
    }),
    strict(SUBSCRIPTS, (1, 1), Returns::Ints, |_, arguments| {
        let last = bounds(&arguments[0]).map_or(0, |(_, last)| last);
        Ok((1..=last).collect::<Vec<_>>().into())
    }),
    strict("quote_ident", (1, 1), TEXT, |_, arguments| {
        Ok(name::quoted(&arguments[0].to_text()).into())
    }),
    strict("quote_literal", (1, 1), TEXT, |_, arguments| {
        Ok(literal(&arguments[0].to_text()).into())
    }),
    lenient("quote_nullable", (1, 1), TEXT, |_, arguments| {
        Ok(match &arguments[0] {
            Value::Null => "NULL".into(),
            value => literal(&value.to_text()).into(),
        })
    }),
];

/// An array as PostgreSQL prints it.
pub(in super::super) const ARRAY_TEXT: &str = "kestrel_array_text";
/// `ARRAY(SELECT prefix || x FROM unnest(array) x)`: (prefix, array).
pub(in super::super) const PREFIXED: &str = "kestrel_prefixed";
/// The subscripts of an array.
pub(in super::super) const SUBSCRIPTS: &str = "kestrel_subscripts";

/// A bound of an array's dimension: they have one.
fn bound(arguments: &[Value], which: fn((i64, i64)) -> i64) -> Value {
    bounds(&arguments[0]).filter(|_| int(arguments, 1) == Some(1)).map(which).into()
}

/// First and last index of a list; none for an empty one.
fn bounds(list: &Value) -> Option<(i64, i64)> {
    let length = match list {
        Value::Ints(ints) => ints.len(),
        Value::Texts(texts) => texts.len(),
        _ => 0,
    };
    (length > 0).then_some((1, length as i64))
}

/// `array_out` (arrayfuncs.c)
fn array_text(array: &Value) -> Option<String> {
    let elements: Vec<String> = match array {
        Value::Ints(ints) => ints.iter().map(i64::to_string).collect(),
        Value::Texts(texts) => texts.iter().map(|t| element_text(t)).collect(),
        _ => return None,
    };
    Some(format!("{{{}}}", elements.join(",")))
}

fn element_text(text: &str) -> String {
    let is_special = |c: char| "{},\"\\".contains(c) || c.is_ascii_whitespace();
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(is_special) {
        return text.into();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `quote_literal` (quote.c)
fn literal(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// `format` (varlena.c, `text_format`): `%s`, `%I`, `%L`, `%%`, `%n$s`; widths are not supported.
fn format(_: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let Some(template) = string(arguments, 0) else { return Ok(Value::Null) };
    let mut out = String::new();
    let mut next = 1;
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (index, after) = match after.split_once('$') {
            Some((digits, after)) if digits.parse::<usize>().is_ok() => {
                (digits.parse().unwrap_or(next), after)
            }
            _ => (next, after),
        };
        let mut chars = after.chars();
        let conversion =
            chars.next().ok_or_else(|| invalid("unterminated format() type specifier"))?;
        let value =
            arguments.get(index).ok_or_else(|| invalid("too few arguments for format()"))?;
        match conversion {
            's' if *value == Value::Null => {}
            's' => out.push_str(&value.to_text()),
            'I' if *value == Value::Null => {
                return Err(ErrorReport::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            'I' => out.push_str(&name::quoted(&value.to_text())),
            'L' if *value == Value::Null => out.push_str("NULL"),
            'L' => out.push_str(&literal(&value.to_text())),
            other => {
                let message = format!("unrecognized format() type specifier \"{other}\"");
                return Err(invalid(&message).hint("For a single \"%\" use \"%%\"."));
            }
        }
        next = index + 1;
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(out.into())
}

fn invalid(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
