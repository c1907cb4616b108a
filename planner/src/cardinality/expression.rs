//! What is known of the values of an expression.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::physical_expr::{
    PhysicalExpr, ScalarFunctionExpr,
    expressions::{CaseExpr, CastExpr, Column, Literal, TryCastExpr},
};

use super::{ColumnFacts, column::type_width, results::number};
use crate::statistics::Value;

/// Microseconds.
const DAY: i128 = 86_400_000_000;

/// Functions that say the same of a value in another form.
const CASTS: [&str; 3] = ["kestrel_cast", "kestrel_assign", "kestrel_numeric"];

/// Functions that give other values for other arguments, mostly.
const ARITHMETIC: [&str; 4] =
    ["kestrel_add", "kestrel_subtract", "kestrel_multiply", "kestrel_divide"];

/// How many values a part of a date or a time can have; what is not here grows with the years.
const PARTS: [(&str, f64); 11] = [
    ("century", 2.0),
    ("day", 31.0),
    ("dow", 7.0),
    ("doy", 366.0),
    ("hour", 24.0),
    ("isodow", 7.0),
    ("minute", 60.0),
    ("month", 12.0),
    ("quarter", 4.0),
    ("second", 60.0),
    ("week", 53.0),
];

/// Of an expression over columns of which these facts are known.
pub(super) fn facts_of(expr: &Arc<dyn PhysicalExpr>, columns: &[ColumnFacts]) -> ColumnFacts {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return columns.get(column.index()).cloned().unwrap_or_default();
    }
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        return constant(literal);
    }
    if let Some((inner, to)) = cast_of(expr) {
        return cast(facts_of(inner, columns), to);
    }
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>()
        && let Some(facts) = shifted(call, columns)
    {
        return facts;
    }
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>()
        && let Some(facts) = scaled(call, columns)
    {
        return facts;
    }
    if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        return of_case(case, columns);
    }
    let mut facts = of_arguments(expr, columns);
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
        facts.data_type = Some(call.return_type().clone());
        facts.width = type_width(call.return_type());
        if let Some(values) = values_of_part(call, columns) {
            facts.distinct = Some(facts.distinct.map_or(values, |distinct| distinct.min(values)));
            facts.domain = facts.distinct;
        } else if !ARITHMETIC.contains(&call.fun().name()) {
            // So many values at most: what is one of them may be one of far fewer.
            facts.domain = None;
        }
    }
    facts
}

/// The expression that a cast is of, and the type it is cast to.
pub(super) fn cast_of(expr: &Arc<dyn PhysicalExpr>) -> Option<(&Arc<dyn PhysicalExpr>, &DataType)> {
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        return Some((cast.expr(), cast.cast_type()));
    }
    if let Some(cast) = expr.downcast_ref::<TryCastExpr>() {
        return Some((cast.expr(), cast.cast_type()));
    }
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let is_cast = CASTS.contains(&call.fun().name());
    is_cast.then(|| Some((call.args().first()?, call.return_type()))).flatten()
}

/// Does a cast between these leave values as statistics keep them?
pub(super) fn keeps_values(from: &DataType, to: &DataType) -> bool {
    let is_exact = |t: &DataType| t.is_integer() || t.is_decimal();
    (is_exact(from) && is_exact(to)) || (from.is_string() && to.is_string()) || from == to
}

fn cast(facts: ColumnFacts, to: &DataType) -> ColumnFacts {
    let Some(from) = facts.data_type.clone() else { return facts.without_origin() };
    let (data_type, width) = (Some(to.clone()), type_width(to));
    if keeps_values(&from, to) {
        let width = if from.is_string() { facts.width } else { width };
        return ColumnFacts { data_type, width, ..facts };
    }
    let is_number = |t: &DataType| t.is_numeric();
    let facts = match (&from, to) {
        (from, to) if is_number(from) && to.is_floating() => {
            facts.mapped(|value| value.number().map(Value::float))
        }
        (DataType::Date32, DataType::Timestamp(..)) => facts.mapped(|value| match value {
            Value::Integer(days) => Some(Value::decimal(i128::from(*days) * DAY, 0)),
            _ => None,
        }),
        (DataType::Timestamp(..), DataType::Date32) => {
            let facts = facts.mapped(|value| match value {
                Value::Integer(at) => Some(Value::decimal(i128::from(*at).div_euclid(DAY), 0)),
                _ => None,
            });
            at_most(facts, 1.0)
        }
        _ => ColumnFacts { bounds: None, statistics: None, ..facts.without_origin() },
    };
    ColumnFacts { data_type, width, ..facts }
}

/// No more values than there are steps of so much between the bounds.
fn at_most(mut facts: ColumnFacts, step: f64) -> ColumnFacts {
    let bounds = facts.bounds.as_ref();
    let room = bounds.and_then(|(low, high)| Some(high.number()? - low.number()?));
    if let Some(room) = room {
        let most = (room / step).floor() + 1.0;
        facts.distinct = facts.distinct.map(|distinct| distinct.min(most));
        facts.domain = facts.distinct;
    }
    facts
}

fn constant(literal: &Literal) -> ColumnFacts {
    let value = Value::of(literal.value());
    let data_type = literal.value().data_type();
    ColumnFacts {
        distinct: Some(1.0),
        domain: Some(1.0),
        null_fraction: Some(f64::from(u8::from(literal.value().is_null()))),
        bounds: value.clone().zip(value),
        width: type_width(&data_type),
        data_type: Some(data_type),
        ..ColumnFacts::default()
    }
}

/// `x + constant`, `x - constant`: the same values, elsewhere.
fn shifted(call: &ScalarFunctionExpr, columns: &[ColumnFacts]) -> Option<ColumnFacts> {
    let sign = match call.fun().name() {
        "kestrel_add" => 1,
        "kestrel_subtract" => -1,
        _ => return None,
    };
    let [moved, by] = call.args() else { return None };
    let is_counted = |t: &DataType| t.is_integer() || *t == DataType::Date32;
    let by = by.downcast_ref::<Literal>()?.value();
    let by = match Value::of(by).filter(|_| is_counted(&by.data_type()))? {
        Value::Integer(by) => sign * i128::from(by),
        _ => return None,
    };
    let facts = facts_of(moved, columns);
    if !facts.data_type.as_ref().is_some_and(is_counted) || !is_counted(call.return_type()) {
        return None;
    }
    let facts = facts.mapped(|value| match value {
        Value::Integer(value) => Some(Value::decimal(i128::from(*value) + by, 0)),
        _ => None,
    });
    let (data_type, width) = (Some(call.return_type().clone()), type_width(call.return_type()));
    Some(ColumnFacts { data_type, width, ..facts })
}

/// `x * constant`, `constant * x`, `x / constant`, if the constant is more than 0: in the same order.
fn scaled(call: &ScalarFunctionExpr, columns: &[ColumnFacts]) -> Option<ColumnFacts> {
    let [left, right] = call.args() else { return None };
    let constant = |expr: &Arc<dyn PhysicalExpr>| {
        Value::of(expr.downcast_ref::<Literal>()?.value())?.number().filter(|by| *by > 0.0)
    };
    let (scaled, by) = match (call.fun().name(), constant(left), constant(right)) {
        ("kestrel_multiply", None, Some(by)) => (left, by),
        ("kestrel_multiply", Some(by), None) => (right, by),
        ("kestrel_divide", None, Some(by)) => (left, 1.0 / by),
        _ => return None,
    };
    let facts = facts_of(scaled, columns);
    let to = call.return_type();
    // Of integers, a quotient has fewer values than its dividend.
    let is_exact = to.is_decimal() || to.is_floating();
    if !is_exact || !facts.data_type.as_ref().is_some_and(DataType::is_numeric) {
        return None;
    }
    let facts = facts.mapped(|value| value.number().map(|value| number(value * by)));
    Some(ColumnFacts { data_type: Some(to.clone()), width: type_width(to), ..facts })
}

fn of_case(case: &CaseExpr, columns: &[ColumnFacts]) -> ColumnFacts {
    let then = case.when_then_expr().iter().map(|(_, then)| then);
    let results: Vec<_> =
        then.chain(case.else_expr()).map(|result| facts_of(result, columns)).collect();
    let distinct = results.iter().map(|facts| facts.distinct).sum::<Option<f64>>();
    let width = results.iter().map(|facts| facts.width).fold(1.0, f64::max);
    let data_type = results.first().and_then(|facts| facts.data_type.clone());
    ColumnFacts { data_type, distinct, domain: distinct, width, ..ColumnFacts::default() }
}

/// As many values as its arguments have together (PostgreSQL's `estimate_num_groups` takes an
/// expression for its columns). Most functions of NULL are NULL.
fn of_arguments(expr: &Arc<dyn PhysicalExpr>, columns: &[ColumnFacts]) -> ColumnFacts {
    let arguments: Vec<_> =
        expr.children().into_iter().map(|child| facts_of(child, columns)).collect();
    let distinct = arguments.iter().map(|facts| facts.distinct).product::<Option<f64>>();
    let distinct = distinct.filter(|_| !arguments.is_empty());
    let values = arguments.iter().map(|facts| facts.null_fraction.map(|part| 1.0 - part));
    let null_fraction = values.product::<Option<f64>>().map(|values| 1.0 - values);
    let data_type = arguments.first().and_then(|facts| facts.data_type.clone());
    let width = data_type.as_ref().map_or(8.0, type_width);
    let domain = distinct;
    ColumnFacts { data_type, distinct, domain, null_fraction, width, ..ColumnFacts::default() }
}

/// `date_part('month', x)`, `date_trunc('day', x)`: how many values there can be.
fn values_of_part(call: &ScalarFunctionExpr, columns: &[ColumnFacts]) -> Option<f64> {
    let name = call.fun().name();
    if !["date_part", "kestrel_extract", "date_trunc"].contains(&name) {
        return None;
    }
    let part = call.args().first()?.downcast_ref::<Literal>()?.value().try_as_str()??;
    let known = PARTS.iter().find(|(known, _)| part.eq_ignore_ascii_case(known));
    if let Some((_, values)) = known
        && name != "date_trunc"
    {
        return Some(*values);
    }
    let facts = facts_of(call.args().get(1)?, columns);
    let days = match facts.data_type.as_ref()? {
        DataType::Date32 => 1.0,
        DataType::Timestamp(..) => DAY as f64,
        _ => return None,
    };
    let (low, high) = facts.bounds?;
    let room = (high.number()? - low.number()?) / days;
    let step = match part.to_ascii_lowercase().as_str() {
        "hour" => 1.0 / 24.0,
        "day" => 1.0,
        "week" => 7.0,
        "month" => 365.25 / 12.0,
        "quarter" => 365.25 / 4.0,
        "year" | "isoyear" => 365.25,
        "decade" => 3652.5,
        _ => return None,
    };
    Some((room / step).floor() + 1.0)
}
