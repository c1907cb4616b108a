//! The functions and operators of json and jsonb (PostgreSQL's jsonfuncs.c, json.c, jsonb.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{Json, build, change, read::Parts};
use crate::functions::row::{
    Call, Datum, Function,
    Type::{Any, Boolean, Integer, Json as JsonType, Jsonb as JsonbType, Text, TextArray},
    lenient, strict, variadic,
};

/// `kestrel_…` are what operators become.
pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "json_array_elements",
        overloads: &[strict(&[JsonType], TextArray, |_, a| elements(a, false))],
    },
    Function {
        name: "jsonb_array_elements",
        overloads: &[strict(&[JsonbType], TextArray, |_, a| elements(a, true))],
    },
    Function {
        name: "json_array_elements_text",
        overloads: &[strict(&[JsonType], TextArray, |_, a| element_texts(a, false))],
    },
    Function {
        name: "jsonb_array_elements_text",
        overloads: &[strict(&[JsonbType], TextArray, |_, a| element_texts(a, true))],
    },
    Function { name: "json_array_length", overloads: &[strict(&[JsonType], Integer, length)] },
    Function { name: "jsonb_array_length", overloads: &[strict(&[JsonbType], Integer, length)] },
    Function { name: "json_object_keys", overloads: &[strict(&[JsonType], TextArray, keys)] },
    Function { name: "jsonb_object_keys", overloads: &[strict(&[JsonbType], TextArray, keys)] },
    Function {
        name: "kestrel_json_values",
        overloads: &[strict(&[JsonType], TextArray, |_, a| values(a, false))],
    },
    Function {
        name: "kestrel_jsonb_values",
        overloads: &[strict(&[JsonbType], TextArray, |_, a| values(a, true))],
    },
    Function {
        name: "kestrel_json_value_texts",
        overloads: &[strict(&[JsonType], TextArray, |_, a| value_texts(a, false))],
    },
    Function {
        name: "kestrel_jsonb_value_texts",
        overloads: &[strict(&[JsonbType], TextArray, |_, a| value_texts(a, true))],
    },
    Function { name: "json_typeof", overloads: &[strict(&[JsonType], Text, type_name)] },
    Function { name: "jsonb_typeof", overloads: &[strict(&[JsonbType], Text, type_name)] },
    Function {
        name: "json_extract_path",
        overloads: &[variadic(&[JsonType, Text], JsonType, |_, a| path(a, false, false))],
    },
    Function {
        name: "jsonb_extract_path",
        overloads: &[variadic(&[JsonbType, Text], JsonbType, |_, a| path(a, true, false))],
    },
    Function {
        name: "json_extract_path_text",
        overloads: &[variadic(&[JsonType, Text], Text, |_, a| path(a, false, true))],
    },
    Function {
        name: "jsonb_extract_path_text",
        overloads: &[variadic(&[JsonbType, Text], Text, |_, a| path(a, true, true))],
    },
    Function {
        name: "jsonb_pretty",
        overloads: &[strict(&[JsonbType], Text, |_, a| Ok(Datum::Text(read(&a[0])?.pretty())))],
    },
    Function {
        name: "jsonb_strip_nulls",
        overloads: &[strict(&[JsonbType], JsonbType, |_, a| {
            Ok(Datum::Text(change::without_nulls(read(&a[0])?).spaced()))
        })],
    },
    Function {
        name: "json_strip_nulls",
        overloads: &[strict(&[JsonType], JsonType, |_, a| {
            Ok(Datum::Text(change::without_nulls(read(&a[0])?).compact()))
        })],
    },
    Function {
        name: "jsonb_set",
        overloads: &[
            strict(&[JsonbType, TextArray, JsonbType], JsonbType, set),
            strict(&[JsonbType, TextArray, JsonbType, Boolean], JsonbType, set),
        ],
    },
    Function {
        name: "jsonb_insert",
        overloads: &[
            strict(&[JsonbType, TextArray, JsonbType], JsonbType, insert),
            strict(&[JsonbType, TextArray, JsonbType, Boolean], JsonbType, insert),
        ],
    },
    Function {
        name: "json_build_array",
        overloads: &[variadic(&[Any], JsonType, |call, a| build::array(call, a, false))],
    },
    Function {
        name: "jsonb_build_array",
        overloads: &[variadic(&[Any], JsonbType, |call, a| build::array(call, a, true))],
    },
    Function {
        name: "json_build_object",
        overloads: &[variadic(&[Any], JsonType, |call, a| build::object(call, a, false))],
    },
    Function {
        name: "jsonb_build_object",
        overloads: &[variadic(&[Any], JsonbType, |call, a| build::object(call, a, true))],
    },
    Function {
        name: "to_json",
        overloads: &[strict(&[Any], JsonType, |call, a| build::value(call, a, false))],
    },
    Function {
        name: "to_jsonb",
        overloads: &[strict(&[Any], JsonbType, |call, a| build::value(call, a, true))],
    },
    Function {
        name: "kestrel_json_element",
        overloads: &[
            lenient(&[Any], JsonType, |call, a| build::element(call, a, false)),
            lenient(&[Any, Text], JsonType, |call, a| build::element(call, a, false)),
        ],
    },
    Function {
        name: "kestrel_jsonb_element",
        overloads: &[
            lenient(&[Any], JsonbType, |call, a| build::element(call, a, true)),
            lenient(&[Any, Text], JsonbType, |call, a| build::element(call, a, true)),
        ],
    },
    Function {
        name: "kestrel_json_agg",
        overloads: &[strict(&[TextArray], JsonType, |_, a| build::of_elements(a, false))],
    },
    Function {
        name: "kestrel_jsonb_agg",
        overloads: &[strict(&[TextArray], JsonbType, |_, a| build::of_elements(a, true))],
    },
    Function {
        name: "kestrel_json_object_agg",
        overloads: &[strict(&[TextArray, TextArray], JsonType, |_, a| build::of_members(a, false))],
    },
    Function {
        name: "kestrel_jsonb_object_agg",
        overloads: &[strict(&[TextArray, TextArray], JsonbType, |_, a| build::of_members(a, true))],
    },
    // What the functions that build JSON become: they get pairs of a value and the name of its type.
    Function {
        name: "kestrel_json_build_array",
        overloads: &[variadic(&[Any], JsonType, |call, a| build::array(call, a, false))],
    },
    Function {
        name: "kestrel_jsonb_build_array",
        overloads: &[variadic(&[Any], JsonbType, |call, a| build::array(call, a, true))],
    },
    Function {
        name: "kestrel_json_build_object",
        overloads: &[variadic(&[Any], JsonType, |call, a| build::object(call, a, false))],
    },
    Function {
        name: "kestrel_jsonb_build_object",
        overloads: &[variadic(&[Any], JsonbType, |call, a| build::object(call, a, true))],
    },
    Function {
        name: "kestrel_to_json",
        overloads: &[lenient(&[Any, Text], JsonType, |call, a| build::value(call, a, false))],
    },
    Function {
        name: "kestrel_to_jsonb",
        overloads: &[lenient(&[Any, Text], JsonbType, |call, a| build::value(call, a, true))],
    },
    Function {
        name: "kestrel_json_get",
        overloads: &[
            strict(&[JsonType, Text], JsonType, |_, a| member(a, false, false)),
            strict(&[JsonType, Integer], JsonType, |_, a| member(a, false, false)),
        ],
    },
    Function {
        name: "kestrel_jsonb_get",
        overloads: &[
            strict(&[JsonbType, Text], JsonbType, |_, a| member(a, true, false)),
            strict(&[JsonbType, Integer], JsonbType, |_, a| member(a, true, false)),
        ],
    },
    Function {
        name: "kestrel_json_get_text",
        overloads: &[
            strict(&[JsonType, Text], Text, |_, a| member(a, false, true)),
            strict(&[JsonType, Integer], Text, |_, a| member(a, false, true)),
        ],
    },
    Function {
        name: "kestrel_jsonb_get_text",
        overloads: &[
            strict(&[JsonbType, Text], Text, |_, a| member(a, true, true)),
            strict(&[JsonbType, Integer], Text, |_, a| member(a, true, true)),
        ],
    },
    Function {
        name: "kestrel_json_path",
        overloads: &[strict(&[JsonType, TextArray], JsonType, |_, a| steps(a, false, false))],
    },
    Function {
        name: "kestrel_jsonb_path",
        overloads: &[strict(&[JsonbType, TextArray], JsonbType, |_, a| steps(a, true, false))],
    },
    Function {
        name: "kestrel_json_path_text",
        overloads: &[strict(&[JsonType, TextArray], Text, |_, a| steps(a, false, true))],
    },
    Function {
        name: "kestrel_jsonb_path_text",
        overloads: &[strict(&[JsonbType, TextArray], Text, |_, a| steps(a, true, true))],
    },
    Function {
        name: "kestrel_jsonb_contains",
        overloads: &[strict(&[JsonbType, JsonbType], Boolean, |_, a| {
            Ok(Datum::Bool(change::contains(&read(&a[0])?, &read(&a[1])?)))
        })],
    },
    Function {
        name: "kestrel_jsonb_exists",
        overloads: &[strict(&[JsonbType, Text], Boolean, |_, a| {
            Ok(Datum::Bool(change::has_key(&read(&a[0])?, a[1].text())))
        })],
    },
    Function {
        name: "kestrel_jsonb_exists_any",
        overloads: &[strict(&[JsonbType, TextArray], Boolean, |_, a| {
            let json = read(&a[0])?;
            let has = |key: &Datum| !key.is_null() && change::has_key(&json, key.text());
            Ok(Datum::Bool(a[1].list().iter().any(has)))
        })],
    },
    Function {
        name: "kestrel_jsonb_exists_all",
        overloads: &[strict(&[JsonbType, TextArray], Boolean, |_, a| {
            let json = read(&a[0])?;
            let has = |key: &Datum| key.is_null() || change::has_key(&json, key.text());
            Ok(Datum::Bool(a[1].list().iter().all(has)))
        })],
    },
    Function {
        name: "kestrel_jsonb_concat",
        overloads: &[strict(&[JsonbType, JsonbType], JsonbType, |_, a| {
            Ok(jsonb(change::joined(read(&a[0])?, read(&a[1])?)))
        })],
    },
    Function {
        name: "kestrel_jsonb_delete",
        overloads: &[
            strict(&[JsonbType, Text], JsonbType, |_, a| {
                Ok(jsonb(change::without_key(read(&a[0])?, &[a[1].text()])?))
            }),
            strict(&[JsonbType, Integer], JsonbType, |_, a| {
                let position = a[1].int().unwrap_or(0);
                Ok(jsonb(change::without_element(read(&a[0])?, position)?))
            }),
            strict(&[JsonbType, TextArray], JsonbType, |_, a| {
                let keys: Vec<_> = a[1].list().iter().map(Datum::text).collect();
                Ok(jsonb(change::without_key(read(&a[0])?, &keys)?))
            }),
        ],
    },
    Function {
        name: "kestrel_jsonb_delete_path",
        overloads: &[strict(&[JsonbType, TextArray], JsonbType, |_, a| {
            Ok(jsonb(change::without_path(read(&a[0])?, &texts(&a[1]))?))
        })],
    },
];

fn read(value: &Datum) -> Result<Json> {
    Json::parse(value.text())
}

fn jsonb(value: Json) -> Datum {
    Datum::Text(value.spaced())
}

fn texts(array: &Datum) -> Vec<&str> {
    array.list().iter().map(Datum::text).collect()
}

/// What was found in a jsonb: as it is printed, or as text.
fn found(value: Option<&Json>, as_text: bool) -> Datum {
    match (value, as_text) {
        (None, _) => Datum::Null,
        (Some(value), true) => value.text().map_or(Datum::Null, Datum::Text),
        (Some(value), false) => Datum::Text(value.spaced()),
    }
}

/// What was found in a json: as it is written, or a string without its quotes.
fn written(part: Option<&str>, as_text: bool) -> Result<Datum> {
    let Some(part) = part else { return Ok(Datum::Null) };
    if !as_text || part.starts_with(['{', '[']) {
        return Ok(Datum::Text(part.into()));
    }
    Ok(Json::parse(part)?.text().map_or(Datum::Null, Datum::Text))
}

/// `json -> key`, `json -> position`
fn member(arguments: &[Datum], is_jsonb: bool, as_text: bool) -> Result<Datum> {
    if !is_jsonb {
        let parts = Parts::of(arguments[0].text())?;
        return match &arguments[1] {
            Datum::Int(position) => written(parts.element(*position), as_text),
            key => written(parts.member(key.text()), as_text),
        };
    }
    let json = read(&arguments[0])?;
    let value = match &arguments[1] {
        // A scalar is held as an array of itself (`jsonb_array_element`, jsonfuncs.c).
        Datum::Int(0 | -1) if json.is_scalar() => Some(&json),
        Datum::Int(position) => json.element(*position),
        key => json.member(key.text()),
    };
    Ok(found(value, as_text))
}

/// `json #> path`
fn steps(arguments: &[Datum], is_jsonb: bool, as_text: bool) -> Result<Datum> {
    let path = arguments[1].list();
    if path.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    if !is_jsonb {
        let mut part = Some(arguments[0].text().trim_ascii());
        for step in path {
            part = match part {
                Some(part) => Parts::of(part)?.step(step.text()),
                None => None,
            };
        }
        return written(part, as_text);
    }
    let json = read(&arguments[0])?;
    let value = path.iter().try_fold(&json, |value, step| value.step(step.text()));
    Ok(found(value, as_text))
}

/// `json_extract_path(json, step, …)`
fn path(arguments: &[Datum], is_jsonb: bool, as_text: bool) -> Result<Datum> {
    if arguments.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let path = Datum::List(arguments[1..].to_vec());
    steps(&[arguments[0].clone(), path], is_jsonb, as_text)
}

fn not_an_array(json: &Json, what: &str) -> ErrorReport {
    let kind = match json {
        Json::Object(_) => "an object",
        _ => "a scalar",
    };
    let message = match what {
        "length" => format!(
            "cannot get array length of {}",
            match json {
                Json::Object(_) => "a non-array",
                _ => "a scalar",
            }
        ),
        _ => format!("cannot extract elements from {kind}"),
    };
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn elements(arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    if !is_jsonb && let Parts::Elements(parts) = Parts::of(arguments[0].text())? {
        return Ok(Datum::List(parts.into_iter().map(|p| Datum::Text(p.into())).collect()));
    }
    match read(&arguments[0])? {
        Json::Array(elements) => {
            Ok(Datum::List(elements.iter().map(|e| found(Some(e), false)).collect()))
        }
        other => Err(not_an_array(&other, "elements")),
    }
}

fn element_texts(arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    if !is_jsonb && let Parts::Elements(parts) = Parts::of(arguments[0].text())? {
        let texts = parts.into_iter().map(|part| written(Some(part), true));
        return Ok(Datum::List(texts.collect::<Result<_>>()?));
    }
    match read(&arguments[0])? {
        Json::Array(elements) => {
            let text = |e: &Json| e.text().map_or(Datum::Null, Datum::Text);
            Ok(Datum::List(elements.iter().map(text).collect()))
        }
        other => Err(not_an_array(&other, "elements")),
    }
}

fn length(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    match read(&arguments[0])? {
        Json::Array(elements) => Ok(Datum::Int(elements.len() as i64)),
        other => Err(not_an_array(&other, "length")),
    }
}

fn members(value: &Datum, function: &str) -> Result<Vec<(String, Json)>> {
    match read(value)? {
        Json::Object(members) => Ok(members),
        Json::Array(_) => Err(ErrorReport::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("cannot call {function} on an array"),
        )),
        _ => Err(ErrorReport::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("cannot call {function} on a scalar"),
        )),
    }
}

fn keys(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let members = members(&arguments[0], "jsonb_object_keys")?;
    Ok(Datum::List(members.into_iter().map(|(key, _)| Datum::Text(key)).collect()))
}

fn values(arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    if !is_jsonb && let Parts::Members(parts) = Parts::of(arguments[0].text())? {
        return Ok(Datum::List(parts.into_iter().map(|(_, p)| Datum::Text(p.into())).collect()));
    }
    let members = members(&arguments[0], "jsonb_each")?;
    Ok(Datum::List(members.iter().map(|(_, value)| found(Some(value), false)).collect()))
}

fn value_texts(arguments: &[Datum], is_jsonb: bool) -> Result<Datum> {
    if !is_jsonb && let Parts::Members(parts) = Parts::of(arguments[0].text())? {
        let texts = parts.into_iter().map(|(_, part)| written(Some(part), true));
        return Ok(Datum::List(texts.collect::<Result<_>>()?));
    }
    let members = members(&arguments[0], "jsonb_each_text")?;
    let text = |(_, value): (String, Json)| value.text().map_or(Datum::Null, Datum::Text);
    Ok(Datum::List(members.into_iter().map(text).collect()))
}

fn type_name(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    Ok(Datum::Text(read(&arguments[0])?.type_name().into()))
}

/// `jsonb_set(json, path, value [, create])`
fn set(_: &Call, a: &[Datum]) -> Result<Datum> {
    let create = a.get(3) != Some(&Datum::Bool(false));
    let place = change::Place::Set { create };
    Ok(jsonb(change::at_path(read(&a[0])?, &texts(&a[1]), read(&a[2])?, place)?))
}

/// `jsonb_insert(json, path, value [, after])`
fn insert(_: &Call, a: &[Datum]) -> Result<Datum> {
    let place = change::Place::Insert { after: a.get(3) == Some(&Datum::Bool(true)) };
    Ok(jsonb(change::at_path(read(&a[0])?, &texts(&a[1]), read(&a[2])?, place)?))
}
