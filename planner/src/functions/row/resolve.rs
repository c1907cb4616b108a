//! Which of the functions of one name a call means (`func_select_candidate` in PostgreSQL's
//! parse_func.c), and the types of its arguments and result.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::{Overload, Type};
use crate::{
    catalog::SqlType,
    functions::{
        arithmetic::types::Class,
        decimal::MAX_PRECISION,
        operators::{Known, common_type},
    },
};

/// What is known of an argument.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) data_type: DataType,
    /// A quoted literal or NULL: takes any type.
    pub(crate) is_untyped: bool,
    /// json or jsonb, which only their fields tell from text.
    pub(crate) json: Option<SqlType>,
}

/// A call's function and the types that its arguments are brought to.
pub(crate) struct Resolved {
    pub(crate) overload: &'static Overload,
    pub(crate) arguments: Vec<DataType>,
}

/// The overload with the fewest conversions; of equal ones the first.
pub(crate) fn resolve(overloads: &'static [Overload], call: &[Argument]) -> Option<Resolved> {
    let mut best: Option<(u32, Resolved)> = None;
    for overload in overloads {
        let Some(found) = price(overload, call) else { continue };
        if best.as_ref().is_none_or(|(price, _)| found.0 < *price) {
            best = Some(found);
        }
    }
    best.map(|(_, resolved)| resolved)
}

fn price(overload: &'static Overload, call: &[Argument]) -> Option<(u32, Resolved)> {
    let wanted = overload.arguments;
    let fits = match overload.variadic {
        true => call.len() + 1 >= wanted.len(),
        false => call.len() == wanted.len(),
    };
    if !fits {
        return None;
    }
    let element = common_element(overload, call)?;
    let mut total = 0;
    let mut arguments = Vec::with_capacity(call.len());
    for (at, argument) in call.iter().enumerate() {
        let wanted = wanted.get(at).or(wanted.last())?;
        let (price, data_type) = conversion(*wanted, argument, &element)?;
        total += price;
        arguments.push(data_type);
    }
    Some((total, Resolved { overload, arguments }))
}

/// The type of `anyelement`, which all polymorphic arguments share; `Null`: there are none.
fn common_element(overload: &Overload, call: &[Argument]) -> Option<DataType> {
    let mut known = Vec::new();
    for (at, argument) in call.iter().enumerate() {
        let wanted = overload.arguments.get(at).or(overload.arguments.last())?;
        match (wanted, &argument.data_type) {
            (Type::AnyArray, DataType::List(item)) => known.push(item.data_type().clone()),
            (Type::AnyElement, other) if !argument.is_untyped => known.push(other.clone()),
            _ => {}
        }
    }
    let text = |t: DataType| match t {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        other => other,
    };
    let known: Vec<_> = known.into_iter().map(text).collect();
    let Some(first) = known.first().cloned() else { return Some(DataType::Utf8View) };
    let known: Vec<_> = known.into_iter().map(Known::Typed).collect();
    // Of lists of lists nothing has to be brought together.
    common_type("", &known).ok().map(|common| common.unwrap_or(first))
}

/// How far the argument is from the wanted type, and the Arrow type it is brought to; `None`: there
/// is no implicit conversion.
fn conversion(wanted: Type, argument: &Argument, element: &DataType) -> Option<(u32, DataType)> {
    let found = &argument.data_type;
    let class = Class::of(found);
    let list =
        |item: &DataType| DataType::List(Arc::new(Field::new_list_field(item.clone(), true)));
    let polymorphic = match wanted {
        Type::Any | Type::Output => return Some((1, found.clone())),
        Type::AnyElement => Some((1, element.clone())),
        Type::AnyArray if matches!(found, DataType::List(_)) => Some((1, list(element))),
        Type::AnyArray if argument.is_untyped => Some((2, list(element))),
        Type::AnyArray => return None,
        _ => None,
    };
    if polymorphic.is_some() {
        return polymorphic;
    }
    let exact = wanted.arrow();
    if argument.is_untyped {
        return Some((if wanted == Type::Text { 1 } else { 2 }, exact));
    }
    let is_text = matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let price = match (wanted, class) {
        (Type::Text, _) if is_text => argument.json.is_none().then_some(0),
        (Type::Json, _) if is_text => (argument.json == Some(SqlType::Json)).then_some(0),
        (Type::Jsonb, _) if is_text => (argument.json == Some(SqlType::Jsonb)).then_some(0),
        (Type::Integer, Some(Class::Integer(4))) => Some(0),
        (Type::Integer, Some(Class::Integer(2))) => Some(1),
        (Type::BigInt, Some(Class::Integer(8))) => Some(0),
        (Type::BigInt, Some(Class::Integer(_))) => Some(1),
        (Type::Numeric, Some(Class::Numeric(p, s))) => {
            return Some((0, DataType::Decimal128(p, s)));
        }
        (Type::Numeric, Some(Class::Integer(_))) => {
            return Some((3, DataType::Decimal128(19, 0)));
        }
        (Type::Double, Some(Class::Double)) => Some(0),
        (Type::Double, Some(Class::Real)) => Some(1),
        (Type::Double, Some(Class::Integer(_) | Class::Numeric(..))) => Some(2),
        (Type::Boolean, _) if *found == DataType::Boolean => Some(0),
        (Type::Date, Some(Class::Date)) => Some(0),
        (Type::Time, Some(Class::Time)) => Some(0),
        (Type::Timestamp, Some(Class::Timestamp)) => Some(0),
        (Type::Timestamp, Some(Class::Date)) => Some(3),
        (Type::TimestampTz, Some(Class::TimestampTz)) => Some(0),
        (Type::TimestampTz, Some(Class::Timestamp | Class::Date)) => Some(2),
        (Type::Interval, Some(Class::Interval)) => Some(0),
        (Type::Interval, Some(Class::Time)) => Some(2),
        (Type::Bytea, _) if matches!(found, DataType::Binary | DataType::BinaryView) => Some(0),
        (Type::DoubleArray | Type::IntegerArray | Type::IntervalArray | Type::TextArray, _) => {
            match found {
                DataType::List(item) => elements(wanted, item.data_type()),
                _ => None,
            }
        }
        _ => None,
    };
    price.map(|price| (price, exact))
}

/// How far an array with such elements is from the wanted one.
fn elements(wanted: Type, found: &DataType) -> Option<u32> {
    match (wanted, Class::of(found), found) {
        (Type::DoubleArray, Some(Class::Double), _)
        | (Type::IntegerArray, Some(Class::Integer(4)), _)
        | (Type::IntervalArray, Some(Class::Interval), _)
        | (Type::TextArray, _, DataType::Utf8 | DataType::Utf8View) => Some(0),
        (Type::DoubleArray, Some(class), _) => class.is_number().then_some(1),
        (Type::IntegerArray, Some(Class::Integer(_)), _) => Some(1),
        _ => None,
    }
}

/// The Arrow type of a call's result.
pub(crate) fn result_type(overload: &Overload, arguments: &[DataType]) -> DataType {
    let list =
        |item: &DataType| DataType::List(Arc::new(Field::new_list_field(item.clone(), true)));
    let polymorphic = || {
        let of = |(at, found): (usize, &DataType)| {
            let wanted = overload.arguments.get(at).or(overload.arguments.last())?;
            match (wanted, found) {
                (Type::AnyArray, DataType::List(item)) => Some(item.data_type().clone()),
                (Type::AnyElement, DataType::Null) => None,
                (Type::AnyElement, other) => Some(other.clone()),
                _ => None,
            }
        };
        arguments.iter().enumerate().find_map(of).unwrap_or(DataType::Utf8View)
    };
    match overload.returns {
        Type::AnyElement => polymorphic(),
        Type::AnyArray => list(&polymorphic()),
        Type::Numeric | Type::NumericArray => {
            let scales = arguments.iter().map(|t| match t {
                DataType::Decimal128(_, scale) => *scale,
                _ => 0,
            });
            let number = DataType::Decimal128(MAX_PRECISION, scales.max().unwrap_or(0));
            if overload.returns == Type::Numeric { number } else { list(&number) }
        }
        other => other.arrow(),
    }
}
