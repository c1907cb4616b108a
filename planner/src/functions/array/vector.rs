//! The functions of `int2vector` and `oidvector`, arrays of the system catalogs whose subscripts
//! begin with 0 (`buildint2vector`, PostgreSQL's int.c).

use kestrel_proto::Result;

use crate::functions::row::{
    Datum, Function,
    Type::{AnyArray, AnyElement, Boolean, Integer, IntegerArray, Text},
    lenient, strict,
};

/// Functions of arrays that give or take subscripts, and what they become for a vector.
pub(crate) const OF_VECTORS: &[(&str, &str)] = &[
    ("array_dims", "kestrel_vector_dims"),
    ("array_lower", "kestrel_vector_lower"),
    ("array_position", "kestrel_vector_position"),
    ("array_positions", "kestrel_vector_positions"),
    ("array_upper", "kestrel_vector_upper"),
    ("generate_subscripts", "kestrel_vector_subscripts"),
    ("kestrel_array_element", "kestrel_vector_element"),
    ("kestrel_array_slice", "kestrel_vector_slice"),
];

/// A vector as text: numbers with blanks between.
pub(crate) const VECTOR_TEXT: &str = "kestrel_vector_text";

pub(crate) const VECTOR_FUNCTIONS: &[Function] = &[
    Function {
        name: "kestrel_vector_dims",
        overloads: &[strict(&[AnyArray], Text, |_, a| {
            Ok(Datum::Text(format!("[0:{}]", a[0].list().len() as i64 - 1)))
        })],
    },
    Function {
        name: "kestrel_vector_element",
        overloads: &[strict(&[AnyArray, Integer], AnyElement, |_, a| {
            let at = a[1].int().and_then(|at| usize::try_from(at).ok());
            Ok(at.and_then(|at| a[0].list().get(at)).cloned().unwrap_or(Datum::Null))
        })],
    },
    Function {
        name: "kestrel_vector_lower",
        overloads: &[strict(&[AnyArray, Integer], Integer, |_, a| Ok(bound(a, 0)))],
    },
    Function {
        name: "kestrel_vector_position",
        overloads: &[
            lenient(&[AnyArray, AnyElement], Integer, |_, a| Ok(positions(a, 0).0)),
            lenient(&[AnyArray, AnyElement, Integer], Integer, |_, a| {
                Ok(positions(a, a[2].int().unwrap_or(0)).0)
            }),
        ],
    },
    Function {
        name: "kestrel_vector_positions",
        overloads: &[lenient(&[AnyArray, AnyElement], IntegerArray, |_, a| Ok(positions(a, 0).1))],
    },
    Function {
        name: "kestrel_vector_slice",
        overloads: &[strict(&[AnyArray, Integer, Integer], AnyArray, |_, a| {
            let bound = |at: usize| a[at].int().unwrap_or(0);
            let within = |(_, at): &(&Datum, i64)| (bound(1)..=bound(2)).contains(at);
            let kept = a[0].list().iter().zip(0..).filter(within);
            Ok(Datum::List(kept.map(|(element, _)| element.clone()).collect()))
        })],
    },
    Function {
        name: "kestrel_vector_subscripts",
        overloads: &[
            strict(&[AnyArray, Integer], IntegerArray, |_, a| subscripts(a)),
            strict(&[AnyArray, Integer, Boolean], IntegerArray, |_, a| subscripts(a)),
        ],
    },
    Function {
        name: VECTOR_TEXT,
        overloads: &[strict(&[AnyArray], Text, |_, a| {
            let numbers = a[0].list().iter().filter_map(Datum::int).map(|n| n.to_string());
            Ok(Datum::Text(numbers.collect::<Vec<_>>().join(" ")))
        })],
    },
    Function {
        name: "kestrel_vector_upper",
        overloads: &[strict(&[AnyArray, Integer], Integer, |_, a| {
            Ok(bound(a, a[0].list().len() as i64 - 1))
        })],
    },
];

/// A bound of the one dimension.
fn bound(arguments: &[Datum], bound: i64) -> Datum {
    if arguments[1].int() == Some(1) { Datum::Int(bound) } else { Datum::Null }
}

/// The first place of a value from a subscript on, and all of them.
fn positions(arguments: &[Datum], from: i64) -> (Datum, Datum) {
    if arguments[0].is_null() {
        return (Datum::Null, Datum::Null);
    }
    let elements = arguments[0].list().iter().zip(0..);
    let found = elements.filter(|(e, at)| *at >= from && e.is_same(&arguments[1]));
    let found: Vec<Datum> = found.map(|(_, at)| Datum::Int(at)).collect();
    (found.first().cloned().unwrap_or(Datum::Null), Datum::List(found))
}

/// `generate_subscripts(vector, dimension [, reverse])`
fn subscripts(arguments: &[Datum]) -> Result<Datum> {
    let count = match arguments[1].int() {
        Some(1) => arguments[0].list().len() as i64,
        _ => 0,
    };
    let mut subscripts: Vec<Datum> = (0..count).map(Datum::Int).collect();
    if arguments.get(2) == Some(&Datum::Bool(true)) {
        subscripts.reverse();
    }
    Ok(Datum::List(subscripts))
}
