//! `generate_series` and `generate_subscripts`: the values of a series as an array, which the
//! binder takes apart into rows (`bind/set_returning.rs`).

use arrow::datatypes::IntervalMonthDayNano;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    arithmetic::{comparable_interval, interval_micros},
    civil::{self, DAY, add_months},
    decimal,
    row::{
        Call, Datum, Function,
        Type::{
            AnyArray, BigInt, BigIntArray, Boolean, Integer, IntegerArray, Interval, Numeric,
            NumericArray, Timestamp, TimestampArray, TimestampTz, TimestampTzArray,
        },
        strict,
    },
};

/// PostgreSQL's MaxArraySize for elements of eight bytes.
const MAX_ELEMENTS: usize = 134_217_727;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "generate_series",
        overloads: &[
            strict(&[Integer, Integer], IntegerArray, integers),
            strict(&[Integer, Integer, Integer], IntegerArray, integers),
            strict(&[BigInt, BigInt], BigIntArray, integers),
            strict(&[BigInt, BigInt, BigInt], BigIntArray, integers),
            strict(&[Numeric, Numeric], NumericArray, numerics),
            strict(&[Numeric, Numeric, Numeric], NumericArray, numerics),
            strict(&[Timestamp, Timestamp, Interval], TimestampArray, |_, arguments| {
                moments(arguments, plus)
            }),
            strict(&[TimestampTz, TimestampTz, Interval], TimestampTzArray, |call, arguments| {
                moments(arguments, |moment, step| {
                    let days = IntervalMonthDayNano::new(step.months, step.days, 0);
                    let local = plus(call.formats.zone.to_local(moment)?, days)?;
                    let time = IntervalMonthDayNano::new(0, 0, step.nanoseconds);
                    plus(call.formats.zone.to_utc(local)?, time)
                })
            }),
        ],
    },
    Function {
        name: "generate_subscripts",
        overloads: &[
            strict(&[AnyArray, Integer], IntegerArray, subscripts),
            strict(&[AnyArray, Integer, Boolean], IntegerArray, subscripts),
        ],
    },
];

fn zero_step() -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn push(values: &mut Vec<Datum>, value: Datum) -> Result<()> {
    if values.len() >= MAX_ELEMENTS {
        let message = format!("array size exceeds the maximum allowed ({MAX_ELEMENTS})");
        return Err(ErrorReport::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    values.push(value);
    Ok(())
}

/// `generate_series_step_int8` (int8.c): a series that leaves the type's range ends there.
fn integers(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let number = |at: usize| arguments.get(at).and_then(Datum::int);
    let (start, stop) = (number(0).unwrap_or(0), number(1).unwrap_or(0));
    let step = if arguments.len() > 2 { number(2).unwrap_or(0) } else { 1 };
    if step == 0 {
        return Err(zero_step());
    }
    let mut values = Vec::new();
    let mut next = Some(start);
    while let Some(value) = next.filter(|v| if step > 0 { *v <= stop } else { *v >= stop }) {
        push(&mut values, Datum::Int(value))?;
        next = value.checked_add(step);
    }
    Ok(Datum::List(values))
}

/// `generate_series_step_numeric` (numeric.c).
fn numerics(call: &Call, arguments: &[Datum]) -> Result<Datum> {
    let number = |at: usize| match arguments.get(at) {
        Some(Datum::Numeric(value, from)) => decimal::rescale(*value, *from, call.scale),
        _ => decimal::rescale(1, 0, call.scale),
    };
    let (Some(start), Some(stop), Some(step)) = (number(0), number(1), number(2)) else {
        return Err(decimal::overflow());
    };
    if step == 0 {
        return Err(zero_step());
    }
    let mut values = Vec::new();
    let mut next = Some(start);
    while let Some(value) = next.filter(|v| if step > 0 { *v <= stop } else { *v >= stop }) {
        push(&mut values, Datum::Numeric(value, call.scale))?;
        next = value.checked_add(step).filter(|v| decimal::fits(*v));
    }
    Ok(Datum::List(values))
}

/// `generate_series_timestamp` (timestamp.c).
fn moments(
    arguments: &[Datum],
    plus: impl Fn(i64, IntervalMonthDayNano) -> Result<i64>,
) -> Result<Datum> {
    let [Datum::Timestamp(start), Datum::Timestamp(stop), Datum::Interval(step)] = arguments else {
        return Ok(Datum::Null);
    };
    let sign = comparable_interval(*step).signum();
    if sign == 0 {
        return Err(zero_step());
    }
    let mut values = Vec::new();
    let mut value = *start;
    while if sign > 0 { value <= *stop } else { value >= *stop } {
        push(&mut values, Datum::Timestamp(value))?;
        value = plus(value, *step)?;
    }
    Ok(Datum::List(values))
}

/// A wall-clock time that is an interval later (`timestamp_pl_interval`).
pub(super) fn plus(moment: i64, by: IntervalMonthDayNano) -> Result<i64> {
    let day = add_months(moment.div_euclid(DAY), i64::from(by.months)) + i64::from(by.days);
    let micros = day
        .checked_mul(DAY)
        .and_then(|m| m.checked_add(moment.rem_euclid(DAY)))
        .and_then(|m| m.checked_add(interval_micros(by)));
    civil::timestamp(micros)
}

fn subscripts(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let is_first = arguments.get(1).and_then(Datum::int) == Some(1);
    let length = if is_first { arguments[0].list().len() as i64 } else { 0 };
    let mut subscripts: Vec<_> = (1..=length).map(Datum::Int).collect();
    if arguments.get(2) == Some(&Datum::Bool(true)) {
        subscripts.reverse();
    }
    Ok(Datum::List(subscripts))
}
