//! Arrays of the catalogs.

use super::{super::rows::Value, Function, Returns, TEXT, lenient, strict, string};

pub(super) const FUNCTIONS: &[Function] = &[
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
];

/// An array as PostgreSQL prints it.
pub(in super::super) const ARRAY_TEXT: &str = "kestrel_array_text";
/// `ARRAY(SELECT prefix || x FROM unnest(array) x)`: (prefix, array).
pub(in super::super) const PREFIXED: &str = "kestrel_prefixed";
/// The subscripts of an array.
pub(in super::super) const SUBSCRIPTS: &str = "kestrel_subscripts";

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
