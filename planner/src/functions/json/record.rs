//! JSON made of rows, and rows made of JSON (`composite_to_json` in PostgreSQL's json.c,
//! `populate_record` in jsonfuncs.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{Json, build, read::Parts, value::quote};
use crate::functions::{
    array::put_element,
    row::{
        Call, Datum, Function,
        Type::{Any, AnyArray, Boolean, Json as JsonType, Jsonb as JsonbType, Text, TextArray},
        lenient, strict, variadic,
    },
};

/// A row is a call of `kestrel_row(name, value, …)`, which becomes one of `kestrel_json_row` with the
/// types' names: what is done with rows is JSON.
pub(crate) const RECORD_FUNCTIONS: &[Function] = &[
    Function {
        name: "array_to_json",
        overloads: &[
            strict(&[AnyArray], JsonType, array),
            strict(&[AnyArray, Boolean], JsonType, array),
        ],
    },
    Function {
        name: "json_object",
        overloads: &[
            strict(&[TextArray], JsonType, |_, a| object(a, false)),
            strict(&[TextArray, TextArray], JsonType, |_, a| object(a, false)),
        ],
    },
    Function {
        name: "jsonb_object",
        overloads: &[
            strict(&[TextArray], JsonbType, |_, a| object(a, true)),
            strict(&[TextArray, TextArray], JsonbType, |_, a| object(a, true)),
        ],
    },
    Function {
        name: "row_to_json",
        overloads: &[
            strict(&[JsonType], JsonType, |_, a| Ok(a[0].clone())),
            strict(&[JsonType, Boolean], JsonType, |_, a| pretty(a)),
        ],
    },
    Function {
        name: "kestrel_array_to_json",
        overloads: &[variadic(&[Any], JsonType, |call, a| {
            if a.iter().any(Datum::is_null) { Ok(Datum::Null) } else { array(call, a) }
        })],
    },
    Function { name: "kestrel_row", overloads: &[variadic(&[Any], JsonType, row)] },
    Function { name: "kestrel_row_or_column", overloads: &[variadic(&[Any], JsonType, row)] },
    Function { name: "kestrel_row_or_null", overloads: &[variadic(&[Any], JsonType, row)] },
    Function { name: "kestrel_json_row", overloads: &[variadic(&[Any], JsonType, row)] },
    Function {
        name: "kestrel_json_row_or_null",
        overloads: &[variadic(&[Any], JsonType, |call, a| {
            match a.chunks(4).all(|field| field.get(2).is_none_or(Datum::is_null)) {
                true => Ok(Datum::Null),
                false => row(call, a),
            }
        })],
    },
    Function {
        name: "kestrel_json_fields",
        overloads: &[
            lenient(&[JsonType, Text, Text, Text], TextArray, |_, a| fields(a)),
            lenient(&[JsonbType, Text, Text, Text], TextArray, |_, a| fields(a)),
        ],
    },
];

/// `{"f1":1,"f2":"a"}` of (name, its type, value, its type)s.
fn row(call: &Call, arguments: &[Datum]) -> Result<Datum> {
    let mut out = String::from("{");
    for field in arguments.chunks(4) {
        let [name, _, value, type_name] = field else { continue };
        if out.len() > 1 {
            out.push(',');
        }
        quote(name.text(), &mut out);
        out.push(':');
        out.push_str(&build::text(call, value, type_name.text()));
    }
    out.push('}');
    Ok(Datum::Text(out))
}

/// `row_to_json(row, pretty)`: a line for each field.
fn pretty(arguments: &[Datum]) -> Result<Datum> {
    let (Parts::Members(members), Datum::Bool(true)) =
        (Parts::of(arguments[0].text())?, &arguments[1])
    else {
        return Ok(arguments[0].clone());
    };
    let line = |(name, value): (String, &str)| {
        let mut out = String::new();
        quote(&name, &mut out);
        format!("{out}:{value}")
    };
    let lines: Vec<_> = members.into_iter().map(line).collect();
    Ok(Datum::Text(format!("{{{}}}", lines.join(",\n "))))
}

/// `array_to_json(array, its type [, pretty, …])`: a line for each element, if it is to be pretty.
fn array(call: &Call, arguments: &[Datum]) -> Result<Datum> {
    let type_name = arguments.get(1).map_or("", Datum::text);
    let element = type_name.strip_suffix("[]").unwrap_or_default();
    let comma = if arguments.get(2) == Some(&Datum::Bool(true)) { ",\n " } else { "," };
    let texts = arguments[0].list().iter().map(|value| build::text(call, value, element));
    Ok(Datum::Text(format!("[{}]", texts.collect::<Vec<_>>().join(comma))))
}

/// `json_object(keys and values)`, `json_object(keys, values)`
fn object(arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    let pairs: Vec<(&Datum, &Datum)> = match arguments {
        [pairs] if !pairs.list().len().is_multiple_of(2) => {
            let message = "array must have even number of elements";
            return Err(ErrorReport::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
        }
        [keys, values] if keys.list().len() != values.list().len() => {
            let message = "mismatched array dimensions";
            return Err(ErrorReport::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
        }
        [keys, values] => keys.list().iter().zip(values.list()).collect(),
        [pairs, ..] => pairs.list().chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
        [] => Vec::new(),
    };
    let mut members = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        if key.is_null() {
            let message = "null value not allowed for object key";
            return Err(ErrorReport::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        let mut out = String::new();
        quote(key.text(), &mut out);
        out.push_str(" : ");
        match value {
            Datum::Null => out.push_str("null"),
            value => quote(value.text(), &mut out),
        }
        members.push(out);
    }
    let text = format!("{{{}}}", members.join(", "));
    Ok(Datum::Text(if is_jsonb { Json::parse(&text)?.canonical().spaced() } else { text }))
}

/// `(json, name, form, function)`: what each of the objects has under that name, as a text, as JSON or
/// as the text of an array. `json_to_record` is given one object, `json_to_recordset` an array.
fn fields(arguments: &[Datum]) -> Result<Datum> {
    let [json, name, form, function] = arguments else { return Ok(Datum::Null) };
    let function = function.text();
    let is_set = function.ends_with("set");
    let invalid = |what: String| Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, what));
    let objects = match (json, is_set) {
        (Datum::Null, true) => return Ok(Datum::Null),
        (Datum::Null, false) => return Ok(Datum::List(vec![Datum::Null])),
        (json, false) => match Parts::of(json.text())? {
            object @ Parts::Members(_) => vec![object],
            Parts::Elements(_) => {
                return invalid("cannot call populate_composite on an array".into());
            }
            Parts::Scalar => return invalid("cannot call populate_composite on a scalar".into()),
        },
        (json, true) => match Parts::of(json.text())? {
            Parts::Elements(elements) => {
                elements.into_iter().map(Parts::of).collect::<Result<Vec<_>>>()?
            }
            _ if function.starts_with("jsonb") => {
                return invalid(format!("cannot call {function} on a non-array"));
            }
            Parts::Members(_) => return invalid(format!("cannot call {function} on an object")),
            Parts::Scalar => return invalid(format!("cannot call {function} on a scalar")),
        },
    };
    let mut values = Vec::with_capacity(objects.len());
    for object in &objects {
        if !matches!(object, Parts::Members(_)) {
            return invalid(format!("argument of {function} must be an array of objects"));
        }
        values.push(match object.member(name.text()) {
            None | Some("null") => Datum::Null,
            Some(part) => field(part, form.text())?,
        });
    }
    Ok(Datum::List(values))
}

fn field(part: &str, form: &str) -> Result<Datum> {
    let value = match form {
        "json" => return Ok(Datum::Text(part.into())),
        _ => Json::parse(part)?,
    };
    if let ("array", Json::Array(elements)) = (form, &value) {
        let texts = elements.iter().map(|element| {
            let mut out = String::new();
            match element.text() {
                Some(text) => put_element(&text, &mut out),
                None => out.push_str("NULL"),
            }
            out
        });
        return Ok(Datum::Text(format!("{{{}}}", texts.collect::<Vec<_>>().join(","))));
    }
    // What is no string is its text as it is written.
    Ok(Datum::Text(match value {
        Json::String(text) => text,
        _ => part.into(),
    }))
}
