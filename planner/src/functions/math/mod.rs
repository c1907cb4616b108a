//! Functions of numbers: exact over numerics, errors instead of infinities, in PostgreSQL's result
//! types.

mod abs;
mod degrees;
mod double;
mod integer;
mod logarithm;
mod number_format;
mod remainder;
mod round;
mod rows;
mod sign;
mod size;
mod to_number;

pub(crate) use degrees::DEGREE_FUNCTIONS;
pub(crate) use number_format::fraction_digits;
pub(crate) use rows::ROW_FUNCTIONS;
pub(crate) use size::SIZE_FUNCTIONS;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{common::Result, logical_expr::ScalarUDF};
use kestrel_proto::{ErrorReport, SqlState};

use super::{arithmetic::types::Class, function, sql_name};
use crate::error::to_datafusion;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        function(abs::Abs::new()),
        function(sign::Sign::new()),
        function(remainder::Mod::new()),
        function(remainder::Div::new()),
    ];
    functions.extend(round::all());
    functions.extend(double::all());
    functions.extend(integer::all());
    functions.extend(logarithm::all());
    functions
}

/// The classes of a call's arguments, if all are numbers; NULL counts as double precision.
fn numbers(name: &str, arguments: &[DataType], counts: &[usize]) -> Result<Vec<Class>> {
    let classes: Option<Vec<Class>> = arguments
        .iter()
        .map(|t| match Class::of(t) {
            Some(Class::Unknown) => Some(Class::Double),
            class => class.filter(|c| c.is_number()),
        })
        .collect();
    classes
        .filter(|classes| counts.contains(&classes.len()))
        .ok_or_else(|| no_function(name, arguments))
}

/// `function round(text) does not exist` (42883).
fn no_function(name: &str, arguments: &[DataType]) -> datafusion::error::DataFusionError {
    let types: Vec<_> = arguments.iter().map(sql_name).collect();
    to_datafusion(
        ErrorReport::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {name}({}) does not exist", types.join(", ")),
        )
        .hint(
            "No function matches the given name and argument types. You might need to add explicit \
             type casts.",
        ),
    )
}

/// The numeric that holds every value of the class.
fn as_numeric(class: Class) -> (u8, i8) {
    match class {
        Class::Numeric(precision, scale) => (precision, scale),
        Class::Integer(2) => (5, 0),
        Class::Integer(4) => (10, 0),
        _ => (19, 0),
    }
}

fn is_exact(class: &Class) -> bool {
    matches!(class, Class::Numeric(..) | Class::Integer(_))
}

fn is_float(class: &Class) -> bool {
    matches!(class, Class::Real | Class::Double)
}
