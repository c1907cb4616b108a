//! The functions and operators of arrays (PostgreSQL's array_userfuncs.c, arrayfuncs.c and
//! varlena.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::{
    row::{
        Call, Datum, Function,
        Type::{
            AnyArray, AnyElement, BigIntArray, Boolean, Integer, IntegerArray, Output, Text,
            TextArray,
        },
        lenient, strict,
    },
    string::like,
};

/// `kestrel_…` are what operators and syntax become.
pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "array_append",
        overloads: &[lenient(&[AnyArray, AnyElement], AnyArray, |_, a| {
            Ok(Datum::List([a[0].list(), &a[1..]].concat()))
        })],
    },
    Function {
        name: "array_cat",
        overloads: &[lenient(&[AnyArray, AnyArray], AnyArray, |_, a| {
            Ok(match a.iter().all(Datum::is_null) {
                true => Datum::Null,
                false => Datum::List([a[0].list(), a[1].list()].concat()),
            })
        })],
    },
    Function {
        name: "array_dims",
        overloads: &[strict(&[AnyArray], Text, |_, a| {
            Ok(match a[0].list().len() {
                0 => Datum::Null,
                length => Datum::Text(format!("[1:{length}]")),
            })
        })],
    },
    Function {
        name: "array_fill",
        overloads: &[lenient(&[AnyElement, IntegerArray], AnyArray, fill)],
    },
    Function {
        name: "array_length",
        overloads: &[strict(&[AnyArray, Integer], Integer, |_, a| Ok(length(a)))],
    },
    Function {
        name: "array_lower",
        overloads: &[strict(&[AnyArray, Integer], Integer, |_, a| {
            Ok(if length(a).is_null() { Datum::Null } else { Datum::Int(1) })
        })],
    },
    Function {
        name: "array_ndims",
        overloads: &[strict(&[AnyArray], Integer, |_, a| {
            Ok(if a[0].list().is_empty() { Datum::Null } else { Datum::Int(1) })
        })],
    },
    Function {
        name: "array_position",
        overloads: &[
            lenient(&[AnyArray, AnyElement], Integer, |_, a| position(a, Some(1))),
            lenient(&[AnyArray, AnyElement, Integer], Integer, |_, a| position(a, a[2].int())),
        ],
    },
    Function {
        name: "array_positions",
        overloads: &[lenient(&[AnyArray, AnyElement], IntegerArray, |_, a| {
            if a[0].is_null() {
                return Ok(Datum::Null);
            }
            let found = a[0].list().iter().zip(1..).filter(|(e, _)| e.is_same(&a[1]));
            Ok(Datum::List(found.map(|(_, at)| Datum::Int(at)).collect()))
        })],
    },
    Function {
        name: "array_prepend",
        overloads: &[lenient(&[AnyElement, AnyArray], AnyArray, |_, a| {
            Ok(Datum::List([&a[..1], a[1].list()].concat()))
        })],
    },
    Function {
        name: "array_remove",
        overloads: &[lenient(&[AnyArray, AnyElement], AnyArray, |_, a| {
            let kept = |element: &&Datum| !element.is_same(&a[1]);
            Ok(unless_null(&a[0], || a[0].list().iter().filter(kept).cloned().collect()))
        })],
    },
    Function {
        name: "array_replace",
        overloads: &[lenient(&[AnyArray, AnyElement, AnyElement], AnyArray, |_, a| {
            let replaced = |e: &Datum| if e.is_same(&a[1]) { a[2].clone() } else { e.clone() };
            Ok(unless_null(&a[0], || a[0].list().iter().map(replaced).collect()))
        })],
    },
    Function {
        name: "array_to_string",
        overloads: &[
            lenient(&[Output, Text], Text, |_, a| joined(a)),
            lenient(&[Output, Text, Text], Text, |_, a| joined(a)),
        ],
    },
    Function {
        name: "array_upper",
        overloads: &[strict(&[AnyArray, Integer], Integer, |_, a| Ok(length(a)))],
    },
    Function {
        name: "cardinality",
        overloads: &[strict(&[AnyArray], Integer, |_, a| Ok(Datum::Int(a[0].list().len() as i64)))],
    },
    Function {
        name: "string_to_array",
        overloads: &[
            lenient(&[Text, Text], TextArray, |_, a| Ok(split(a))),
            lenient(&[Text, Text, Text], TextArray, |_, a| Ok(split(a))),
        ],
    },
    Function { name: "trim_array", overloads: &[strict(&[AnyArray, Integer], AnyArray, trim)] },
    Function {
        name: "kestrel_all",
        overloads: &[lenient(&[AnyElement, AnyArray, Text], Boolean, |call, a| {
            quantified(call, a, false)
        })],
    },
    Function {
        name: "kestrel_any",
        overloads: &[lenient(&[AnyElement, AnyArray, Text], Boolean, |call, a| {
            quantified(call, a, true)
        })],
    },
    Function {
        name: "kestrel_array_compare",
        overloads: &[strict(&[AnyArray, AnyArray], Integer, |_, a| {
            Ok(a[0].compare(&a[1]).map_or(Datum::Null, |order| Datum::Int(order as i64)))
        })],
    },
    Function {
        name: "kestrel_array_contains",
        overloads: &[strict(&[AnyArray, AnyArray], Boolean, |_, a| {
            let within = |e: &Datum| !e.is_null() && a[0].list().iter().any(|x| x.is_same(e));
            Ok(Datum::Bool(a[1].list().iter().all(within)))
        })],
    },
    Function {
        name: "kestrel_array_element",
        overloads: &[strict(&[AnyArray, Integer], AnyElement, |_, a| {
            let at = a[1].int().and_then(|at| usize::try_from(at - 1).ok());
            Ok(at.and_then(|at| a[0].list().get(at)).cloned().unwrap_or(Datum::Null))
        })],
    },
    Function {
        name: "kestrel_array_or_empty",
        overloads: &[lenient(&[AnyArray], AnyArray, |_, a| Ok(Datum::List(a[0].list().to_vec())))],
    },
    Function {
        name: "kestrel_array_overlaps",
        overloads: &[strict(&[AnyArray, AnyArray], Boolean, |_, a| {
            let within = |e: &Datum| !e.is_null() && a[0].list().iter().any(|x| x.is_same(e));
            Ok(Datum::Bool(a[1].list().iter().any(within)))
        })],
    },
    Function {
        name: "kestrel_array_slice",
        overloads: &[strict(&[AnyArray, Integer, Integer], AnyArray, |_, a| {
            let bound = |at: usize| a[at].int().unwrap_or(0);
            let within = |(_, at): &(&Datum, i64)| (bound(1)..=bound(2)).contains(at);
            let kept = a[0].list().iter().zip(1..).filter(within);
            Ok(Datum::List(kept.map(|(element, _)| element.clone()).collect()))
        })],
    },
    Function {
        name: "kestrel_ordinals",
        overloads: &[strict(&[AnyArray], BigIntArray, |_, a| {
            Ok(Datum::List((1..=a[0].list().len() as i64).map(Datum::Int).collect()))
        })],
    },
];

fn unless_null(array: &Datum, elements: impl FnOnce() -> Vec<Datum>) -> Datum {
    if array.is_null() { Datum::Null } else { Datum::List(elements()) }
}

/// The length of a dimension: they have one, an empty array none.
fn length(arguments: &[Datum]) -> Datum {
    match (arguments[0].list().len(), arguments[1].int()) {
        (length, Some(1)) if length > 0 => Datum::Int(length as i64),
        _ => Datum::Null,
    }
}

fn position(arguments: &[Datum], from: Option<i64>) -> Result<Datum> {
    if arguments[0].is_null() {
        return Ok(Datum::Null);
    }
    let Some(from) = from else {
        let message = "initial position must not be null";
        return Err(ErrorReport::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
    };
    let elements = arguments[0].list().iter().zip(1..);
    let mut found = elements.filter(|(e, at)| *at >= from && e.is_same(&arguments[1]));
    Ok(found.next().map_or(Datum::Null, |(_, at)| Datum::Int(at)))
}

/// `array_fill(value, ARRAY[length])`
fn fill(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    match arguments[1].list() {
        [] if arguments[1].is_null() => Err(ErrorReport::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "dimension array or low bound array cannot be null",
        )),
        [] => Ok(Datum::List(vec![])),
        [Datum::Int(length)] => match usize::try_from(*length) {
            Ok(length) if length <= 134_217_727 => {
                Ok(Datum::List(vec![arguments[0].clone(); length]))
            }
            _ => {
                let message = "array size exceeds the maximum allowed (134217727)";
                Err(ErrorReport::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
            }
        },
        _ => Err(ErrorReport::unsupported("arrays of more than one dimension are not supported")),
    }
}

/// `array_to_string(array, separator [, text for NULL])`
fn joined(arguments: &[Datum]) -> Result<Datum> {
    let (array, separator) = (&arguments[0], &arguments[1]);
    let Datum::List(elements) = array else {
        return match array {
            Datum::Null => Ok(Datum::Null),
            _ => {
                let message = "function array_to_string takes an array";
                Err(ErrorReport::new(SqlState::UNDEFINED_FUNCTION, message))
            }
        };
    };
    if separator.is_null() {
        return Ok(Datum::Null);
    }
    let for_null = arguments.get(2).filter(|text| !text.is_null());
    let texts = elements.iter().filter_map(|element| match element {
        Datum::Null => for_null.map(Datum::text),
        other => Some(other.text()),
    });
    Ok(Datum::Text(texts.collect::<Vec<_>>().join(separator.text())))
}

/// `string_to_array(text, separator [, text that is NULL])`: without a separator (NULL) the
/// characters, with an empty one the whole.
fn split(arguments: &[Datum]) -> Datum {
    let Datum::Text(text) = &arguments[0] else { return Datum::Null };
    let for_null = arguments.get(2).filter(|text| !text.is_null()).map(Datum::text);
    let pieces: Vec<String> = match &arguments[1] {
        _ if text.is_empty() => vec![],
        Datum::Null => text.chars().map(String::from).collect(),
        Datum::Text(separator) if separator.is_empty() => vec![text.clone()],
        separator => text.split(separator.text()).map(str::to_string).collect(),
    };
    let element = |piece: String| match for_null == Some(piece.as_str()) {
        true => Datum::Null,
        false => Datum::Text(piece),
    };
    Datum::List(pieces.into_iter().map(element).collect())
}

fn trim(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let elements = arguments[0].list();
    match usize::try_from(arguments[1].int().unwrap_or(0)) {
        Ok(count) if count <= elements.len() => {
            Ok(Datum::List(elements[..elements.len() - count].to_vec()))
        }
        _ => Err(ErrorReport::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("number of elements to trim must be between 0 and {}", elements.len()),
        )),
    }
}

/// `x op ANY (array)`, `x op ALL (array)` (`ExecEvalScalarArrayOp`): NULL where a NULL could change
/// the answer.
fn quantified(call: &Call, arguments: &[Datum], any: bool) -> Result<Datum> {
    let [value, array, op] = arguments else { return Ok(Datum::Null) };
    if array.is_null() {
        return Ok(Datum::Null);
    }
    let mut unknown = false;
    for element in array.list() {
        match holds(call, value, op.text(), element)? {
            None => unknown = true,
            Some(holds) if holds == any => return Ok(Datum::Bool(any)),
            Some(_) => {}
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(!any) })
}

/// `a op b`; `None` for NULL.
fn holds(call: &Call, a: &Datum, op: &str, b: &Datum) -> Result<Option<bool>> {
    if a.is_null() || b.is_null() {
        return Ok(None);
    }
    let (text, pattern) = (a.text(), b.text());
    Ok(match op {
        "=" => a.compare(b).map(std::cmp::Ordering::is_eq),
        "<>" => a.compare(b).map(std::cmp::Ordering::is_ne),
        "<" => a.compare(b).map(std::cmp::Ordering::is_lt),
        "<=" => a.compare(b).map(std::cmp::Ordering::is_le),
        ">" => a.compare(b).map(std::cmp::Ordering::is_gt),
        ">=" => a.compare(b).map(std::cmp::Ordering::is_ge),
        "~~" => Some(like(text, pattern, false)),
        "!~~" => Some(!like(text, pattern, false)),
        "~~*" => Some(like(text, pattern, true)),
        "!~~*" => Some(!like(text, pattern, true)),
        "~" => Some(call.patterns.is_match(text, pattern, "")?),
        "!~" => Some(!call.patterns.is_match(text, pattern, "")?),
        "~*" => Some(call.patterns.is_match(text, pattern, "i")?),
        "!~*" => Some(!call.patterns.is_match(text, pattern, "i")?),
        other => {
            let message = format!("operator {other} ANY/ALL (array) is not supported");
            return Err(ErrorReport::unsupported(message));
        }
    })
}
