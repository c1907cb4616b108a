//! What jsonb's operators make of values: parts removed, replaced, joined, looked for.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::Json;

/// What is done at the end of a path.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The value there is replaced; `create`: or put there.
    Set { create: bool },
    /// A value is put before the element there (`after`: behind it), or a new member.
    Insert { after: bool },
}

fn invalid(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// `json || json`: members of both, the right ones winning; else elements of both.
pub(super) fn joined(left: Json, right: Json) -> Json {
    match (left, right) {
        (Json::Object(mut members), Json::Object(more)) => {
            members.extend(more);
            Json::Object(members).canonical()
        }
        (left, right) => {
            let elements = |json| match json {
                Json::Array(elements) => elements,
                other => vec![other],
            };
            Json::Array([elements(left), elements(right)].concat())
        }
    }
}

/// `json - key`, `json - keys`: members with these keys, or strings in an array.
pub(super) fn without_key(json: Json, keys: &[&str]) -> Result<Json> {
    match json {
        Json::Object(members) => {
            let kept = members.into_iter().filter(|(key, _)| !keys.contains(&key.as_str()));
            Ok(Json::Object(kept.collect()))
        }
        Json::Array(elements) => {
            let is_kept = |e: &Json| !matches!(e, Json::String(s) if keys.contains(&s.as_str()));
            Ok(Json::Array(elements.into_iter().filter(is_kept).collect()))
        }
        _ => Err(invalid("cannot delete from scalar")),
    }
}

/// `json - position`
pub(super) fn without_element(json: Json, position: i64) -> Result<Json> {
    match json {
        Json::Array(mut elements) => {
            if let Some(at) = place_of(position, elements.len()) {
                elements.remove(at);
            }
            Ok(Json::Array(elements))
        }
        Json::Object(_) => Err(invalid("cannot delete from object using integer index")),
        _ => Err(invalid("cannot delete from scalar")),
    }
}

/// `json #- path`
pub(super) fn without_path(json: Json, path: &[&str]) -> Result<Json> {
    let Some((step, rest)) = path.split_first() else { return Ok(json) };
    match json {
        Json::Object(members) => {
            let mut kept = Vec::with_capacity(members.len());
            for (key, value) in members {
                match (key == *step, rest.is_empty()) {
                    (true, true) => {}
                    (true, false) => kept.push((key, inner(value, |v| without_path(v, rest))?)),
                    (false, _) => kept.push((key, value)),
                }
            }
            Ok(Json::Object(kept))
        }
        Json::Array(mut elements) => {
            if let Some(at) = place_of(index(step)?, elements.len()) {
                if rest.is_empty() {
                    elements.remove(at);
                } else {
                    let value = std::mem::replace(&mut elements[at], Json::Null);
                    elements[at] = inner(value, |v| without_path(v, rest))?;
                }
            }
            Ok(Json::Array(elements))
        }
        _ => Err(invalid("cannot delete path in scalar")),
    }
}

/// Below the first level a scalar has no parts, which is no error.
fn inner(value: Json, change: impl FnOnce(Json) -> Result<Json>) -> Result<Json> {
    match value {
        Json::Object(_) | Json::Array(_) => change(value),
        scalar => Ok(scalar),
    }
}

fn index(step: &str) -> Result<i64> {
    step.trim().parse().map_err(|_| {
        let message = format!("path element at position 1 is not an integer: \"{step}\"");
        ErrorReport::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    })
}

/// The position in an array of `length`; negative ones count from the end.
fn place_of(position: i64, length: usize) -> Option<usize> {
    let position = if position < 0 { position + length as i64 } else { position };
    usize::try_from(position).ok().filter(|at| *at < length)
}

/// `jsonb_set` and `jsonb_insert`.
pub(super) fn at_path(json: Json, path: &[&str], new: Json, place: Place) -> Result<Json> {
    if !matches!(json, Json::Object(_) | Json::Array(_)) {
        return Err(invalid("cannot set path in scalar"));
    }
    changed(json, path, new, place)
}

fn changed(json: Json, path: &[&str], new: Json, place: Place) -> Result<Json> {
    let Some((step, rest)) = path.split_first() else { return Ok(json) };
    match json {
        Json::Object(mut members) => {
            let at = members.iter().position(|(key, _)| key == step);
            match (at, rest.is_empty(), place) {
                (Some(at), true, Place::Set { .. }) => members[at].1 = new,
                (Some(_), true, Place::Insert { .. }) => {
                    return Err(invalid("cannot replace existing key")
                        .hint("Try using the function jsonb_set to replace key value."));
                }
                (Some(at), false, _) => {
                    let value = std::mem::replace(&mut members[at].1, Json::Null);
                    members[at].1 = inner(value, |value| changed(value, rest, new, place))?;
                }
                (None, true, Place::Set { create: true } | Place::Insert { .. }) => {
                    members.push((step.to_string(), new));
                }
                (None, ..) => {}
            }
            Ok(Json::Object(members).canonical())
        }
        Json::Array(elements) => changed_element(elements, step, rest, new, place),
        scalar => Ok(scalar),
    }
}

fn changed_element(
    mut elements: Vec<Json>,
    step: &str,
    rest: &[&str],
    new: Json,
    place: Place,
) -> Result<Json> {
    let position = index(step)?;
    match (place_of(position, elements.len()), rest.is_empty(), place) {
        (Some(at), true, Place::Set { .. }) => elements[at] = new,
        (Some(at), true, Place::Insert { after }) => elements.insert(at + usize::from(after), new),
        (Some(at), false, _) => {
            let value = std::mem::replace(&mut elements[at], Json::Null);
            elements[at] = inner(value, |value| changed(value, rest, new, place))?;
        }
        // Beyond the ends it becomes the first or the last one.
        (None, true, Place::Set { create: true } | Place::Insert { .. }) => {
            let at = if position < 0 { 0 } else { elements.len() };
            elements.insert(at, new);
        }
        (None, ..) => {}
    }
    Ok(Json::Array(elements))
}

/// Members that are null go, at every level; elements stay.
pub(super) fn without_nulls(json: Json) -> Json {
    match json {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .filter(|(_, value)| *value != Json::Null)
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Json::Array(elements) => Json::Array(elements.into_iter().map(without_nulls).collect()),
        scalar => scalar,
    }
}

/// `json ? key`: a key of an object, a string in an array, or the string itself.
pub(super) fn has_key(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(members) => members.iter().any(|(k, _)| k == key),
        Json::Array(elements) => {
            elements.iter().any(|e| matches!(e, Json::String(text) if text == key))
        }
        Json::String(text) => text == key,
        _ => false,
    }
}

/// `json @> part` (`JsonbDeepContains`). An array also contains a scalar.
pub(super) fn contains(json: &Json, part: &Json) -> bool {
    match (json, part) {
        (
            Json::Array(elements),
            scalar @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)),
        ) => elements.iter().any(|element| is_equal(element, scalar)),
        _ => contains_deeply(json, part),
    }
}

fn contains_deeply(json: &Json, part: &Json) -> bool {
    match (json, part) {
        (Json::Object(_), Json::Object(parts)) => parts
            .iter()
            .all(|(key, part)| json.member(key).is_some_and(|value| contains_deeply(value, part))),
        (Json::Array(elements), Json::Array(parts)) => {
            parts.iter().all(|part| elements.iter().any(|e| contains_deeply(e, part)))
        }
        (a, b) => is_equal(a, b),
    }
}

/// Numbers are equal by their values: 1 and 1.0.
fn is_equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let bare = |digits: &str| match digits.contains('.') {
                true => digits.trim_end_matches('0').trim_end_matches('.').to_string(),
                false => digits.to_string(),
            };
            bare(a) == bare(b)
        }
        (a, b) => a == b,
    }
}
