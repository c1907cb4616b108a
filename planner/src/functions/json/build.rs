//! JSON made of SQL values (`datum_to_json` in PostgreSQL's json.c). Each value comes with the name
//! of its type, which says of texts whether they are JSON already, and of moments whether they have
//! a zone.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{Json, value::quote};
use crate::functions::{
    cast::output,
    decimal,
    formats::DateStyle,
    row::{Call, Datum},
};

/// The name of a type that nothing is known of.
const UNKNOWN: &str = "";

/// `to_json(value)`
pub(super) fn value(call: &Call, arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    match arguments.first() {
        None | Some(Datum::Null) => Ok(Datum::Null),
        Some(value) => {
            let type_name = arguments.get(1).map_or(UNKNOWN, Datum::text);
            finished(text(call, value, type_name), is_jsonb)
        }
    }
}

/// Before an element that has a line of its own in `json_agg`'s array; no JSON begins so.
const ON_ITS_OWN_LINE: char = '\u{1e}';

/// An element of `json_agg`: NULL is null, arrays and rows begin a line.
pub(super) fn element(call: &Call, arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    let is_row = arguments.get(1).map(Datum::text) == Some("record");
    let is_array = matches!(arguments.first(), Some(Datum::List(_)));
    match value(call, arguments, is_jsonb)? {
        Datum::Null => Ok(Datum::Text("null".into())),
        Datum::Text(text) if !is_jsonb && (is_row || is_array) => {
            Ok(Datum::Text(format!("{ON_ITS_OWN_LINE}{text}")))
        }
        other => Ok(other),
    }
}

/// `json_build_array(value, type, …)`
pub(super) fn array(call: &Call, arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    let texts = arguments.chunks(2).map(|pair| pair_text(call, pair)).collect::<Vec<_>>();
    finished(format!("[{}]", texts.join(", ")), is_jsonb)
}

/// `json_build_object(key, type, value, type, …)`
pub(super) fn object(call: &Call, arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    if !arguments.len().is_multiple_of(4) {
        let message = "argument list must have even number of elements";
        let hint = match is_jsonb {
            true => {
                "The arguments of jsonb_build_object() must consist of alternating keys and values."
            }
            false => {
                "The arguments of json_build_object() must consist of alternating keys and values."
            }
        };
        return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message).hint(hint));
    }
    let mut members = Vec::new();
    for (member, number) in arguments.chunks(4).zip(0..) {
        let [key, key_type, value @ ..] = member else { continue };
        if key.is_null() {
            let message = format!("argument {}: key must not be null", number * 2 + 1);
            return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let mut out = String::new();
        match key {
            Datum::Text(key) => quote(key, &mut out),
            key => {
                let bare = text(call, key, key_type.text());
                quote(bare.trim_matches('"'), &mut out);
            }
        }
        members.push(format!("{out} : {}", pair_text(call, value)));
    }
    finished(format!("{{{}}}", members.join(", ")), is_jsonb)
}

/// `json_agg`'s array of texts that are JSON.
pub(super) fn of_elements(arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    let mut out = String::from("[");
    for (at, element) in arguments[0].list().iter().enumerate() {
        let bare = element.text().trim_start_matches(ON_ITS_OWN_LINE);
        let begins_line = bare.len() < element.text().len();
        out.push_str(if at > 0 { ", " } else { "" });
        out.push_str(if at > 0 && begins_line { "\n " } else { "" });
        out.push_str(bare);
    }
    out.push(']');
    finished(out, is_jsonb)
}

/// `json_object_agg`'s keys, and values that are JSON.
pub(super) fn of_members(arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    let mut members = Vec::new();
    for (key, value) in arguments[0].list().iter().zip(arguments[1].list()) {
        if key.is_null() {
            let message = "field name must not be null";
            return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let mut out = String::new();
        quote(key.text(), &mut out);
        members.push(format!("{out} : {}", value.text().trim_start_matches(ON_ITS_OWN_LINE)));
    }
    finished(format!("{{ {} }}", members.join(", ")), is_jsonb)
}

fn finished(text: String, is_jsonb: bool) -> Result<Datum> {
    Ok(Datum::Text(match is_jsonb {
        true => Json::parse(&text)?.canonical().spaced(),
        false => text,
    }))
}

fn pair_text(call: &Call, pair: &[Datum]) -> String {
    match pair {
        [value, type_name] => text(call, value, type_name.text()),
        [value] => text(call, value, UNKNOWN),
        _ => "null".into(),
    }
}

/// The value as JSON.
pub(super) fn text(call: &Call, value: &Datum, type_name: &str) -> String {
    // Moments are written as in XML Schema, whatever the session's style.
    let iso = DateStyle::default();
    let quoted = |text: &str| {
        let mut out = String::new();
        quote(text, &mut out);
        out
    };
    let digits = call.formats.extra_float_digits;
    let number = |digits: String| match digits.as_str() {
        "NaN" | "Infinity" | "-Infinity" => format!("\"{digits}\""),
        _ => digits,
    };
    match value {
        Datum::Null => "null".into(),
        Datum::Bool(value) => value.to_string(),
        Datum::Int(value) => value.to_string(),
        Datum::Numeric(value, scale) => decimal::format(*value, *scale),
        Datum::Double(value) if type_name == "real" => number(output::real(*value as f32, digits)),
        Datum::Double(value) => number(output::double(*value, digits)),
        Datum::Text(text) if matches!(type_name, "json" | "jsonb" | "record") => text.clone(),
        Datum::Text(text) => quoted(text),
        Datum::Bytes(bytes) => quoted(&output::bytea(bytes, call.formats.bytea_output)),
        Datum::Date(days) => quoted(&output::date(*days, iso)),
        Datum::Time(micros) => quoted(&output::time(*micros)),
        Datum::Timestamp(micros) if type_name == "timestamp with time zone" => {
            // The offset has its minutes always.
            let text = output::timestamp_tz(*micros, iso, call.formats.zone).replacen(' ', "T", 1);
            let has_minutes = text.rsplit(['+', '-']).next().is_some_and(|o| o.contains(':'));
            quoted(&if has_minutes { text } else { format!("{text}:00") })
        }
        Datum::Timestamp(micros) => quoted(&output::timestamp(*micros, iso).replacen(' ', "T", 1)),
        Datum::Interval(interval) => {
            quoted(&output::interval(*interval, call.formats.interval_style))
        }
        Datum::Uuid(bytes) => quoted(&output::uuid(bytes)),
        Datum::List(elements) => {
            let of = type_name.strip_suffix("[]").unwrap_or(UNKNOWN);
            let texts = elements.iter().map(|element| text(call, element, of));
            format!("[{}]", texts.collect::<Vec<_>>().join(","))
        }
    }
}
