//! Functions of numbers that are computed row by row, and what ordered-set aggregates do with their
//! sorted values.

use std::cmp::Ordering;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{number_format, to_number};
use crate::functions::{
    arithmetic::between_intervals,
    decimal,
    operand::out_of_range,
    row::{
        Call, Datum, Function,
        Type::{
            Any, AnyArray, AnyElement, BigInt, Double, DoubleArray, Integer, Interval,
            IntervalArray, Numeric, Text,
        },
        lenient, strict,
    },
};

pub(crate) const ROW_FUNCTIONS: &[Function] = &[
    Function {
        name: "kestrel_mode",
        overloads: &[strict(&[AnyArray], AnyElement, |_, a| Ok(mode(a[0].list())))],
    },
    Function {
        name: "kestrel_percentile_cont",
        overloads: &[
            strict(&[Double, DoubleArray], Double, |_, a| {
                percentile_cont(fraction(&a[0])?, a[1].list())
            }),
            strict(&[Double, IntervalArray], Interval, |_, a| {
                percentile_cont(fraction(&a[0])?, &by_length(a[1].list()))
            }),
            strict(&[DoubleArray, DoubleArray], DoubleArray, |_, a| {
                percentiles_cont(&a[0], a[1].list())
            }),
            strict(&[DoubleArray, IntervalArray], IntervalArray, |_, a| {
                percentiles_cont(&a[0], &by_length(a[1].list()))
            }),
        ],
    },
    Function {
        name: "kestrel_percentile_disc",
        overloads: &[strict(&[Double, AnyArray], AnyElement, |_, a| {
            percentile_disc(fraction(&a[0])?, a[1].list())
        })],
    },
    Function {
        name: "kestrel_percentiles_disc",
        overloads: &[strict(&[DoubleArray, AnyArray], AnyArray, |_, a| {
            let each = a[0].list().iter().map(|f| match f.is_null() {
                true => Ok(Datum::Null),
                false => percentile_disc(fraction(f)?, a[1].list()),
            });
            Ok(Datum::List(each.collect::<Result<_>>()?))
        })],
    },
    Function {
        name: "kestrel_to_char_number",
        overloads: &[
            strict(&[Numeric, Text], Text, |_, a| {
                let digits = number_format::fraction_digits(a[1].text())?.min(38) as i8;
                let number = match &a[0] {
                    Datum::Numeric(value, scale) => decimal::rescale(*value, *scale, digits),
                    _ => None,
                };
                let number = number.ok_or_else(decimal::overflow)?;
                let text = decimal::format(number, digits);
                number_format::format(&text, a[1].text()).map(Datum::Text)
            }),
            strict(&[BigInt, Text], Text, |_, a| {
                let digits = number_format::fraction_digits(a[1].text())?.min(38) as i8;
                let number = decimal::rescale(a[0].int().unwrap_or(0).into(), 0, digits);
                let text = decimal::format(number.ok_or_else(decimal::overflow)?, digits);
                number_format::format(&text, a[1].text()).map(Datum::Text)
            }),
            strict(&[Double, Text], Text, |_, a| {
                let digits = number_format::fraction_digits(a[1].text())?;
                let text = format!("{:.*}", digits, a[0].double().unwrap_or(0.0));
                number_format::format(&text, a[1].text()).map(Datum::Text)
            }),
        ],
    },
    Function {
        name: "kestrel_to_number",
        overloads: &[strict(&[Text, Text, Numeric], Numeric, |_, a| {
            to_number::number(a[0].text(), a[1].text())
        })],
    },
    Function {
        name: "min_scale",
        overloads: &[strict(&[Numeric], Integer, |_, a| Ok(min_scale(&a[0])))],
    },
    Function {
        name: "scale",
        overloads: &[strict(&[Numeric], Integer, |_, a| match &a[0] {
            Datum::Numeric(_, scale) => Ok(Datum::Int(i64::from(*scale))),
            _ => Ok(Datum::Int(0)),
        })],
    },
    Function {
        name: "pg_typeof",
        overloads: &[lenient(&[Any], Text, |_, _| Ok(Datum::Text("unknown".into())))],
    },
    Function {
        name: "width_bucket",
        overloads: &[
            strict(&[Double, Double, Double, Integer], Integer, bucket_of_doubles),
            strict(&[Numeric, Numeric, Numeric, Integer], Integer, bucket_of_numerics),
            strict(&[AnyElement, AnyArray], Integer, |_, a| {
                let below = |bound: &&Datum| {
                    matches!(bound.compare(&a[0]), Some(Ordering::Less | Ordering::Equal))
                };
                Ok(Datum::Int(a[1].list().iter().take_while(below).count() as i64))
            }),
        ],
    },
];

/// Fractional digits that are needed.
fn min_scale(value: &Datum) -> Datum {
    let Datum::Numeric(mut value, mut scale) = *value else { return Datum::Int(0) };
    while scale > 0 && value % 10 == 0 {
        (value, scale) = (value / 10, scale - 1);
    }
    Datum::Int(i64::from(scale))
}

fn fraction(value: &Datum) -> Result<f64> {
    let fraction = value.double().unwrap_or(0.0);
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    let message = format!("percentile value {fraction} is not between 0 and 1");
    Err(ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
}

/// Sorted values without NULLs (`percentile_cont_final` in orderedsetaggs.c).
fn percentile_cont(fraction: f64, values: &[Datum]) -> Result<Datum> {
    let Some(last) = values.len().checked_sub(1) else { return Ok(Datum::Null) };
    let place = fraction * last as f64;
    let (first, second) = (place.floor() as usize, place.ceil() as usize);
    let share = place - first as f64;
    let (Some(low), Some(high)) = (values.get(first), values.get(second)) else {
        return Ok(Datum::Null);
    };
    match (low, high) {
        _ if first == second => Ok(low.clone()),
        (Datum::Interval(low), Datum::Interval(high)) => between_intervals(*low, *high, share)
            .map(Datum::Interval)
            .ok_or_else(|| out_of_range("interval")),
        _ => {
            let (low, high) = (low.double().unwrap_or(0.0), high.double().unwrap_or(0.0));
            Ok(Datum::Double(low + share * (high - low)))
        }
    }
}

fn percentiles_cont(fractions: &Datum, values: &[Datum]) -> Result<Datum> {
    let each = fractions.list().iter().map(|f| match f.is_null() {
        true => Ok(Datum::Null),
        false => percentile_cont(fraction(f)?, values),
    });
    Ok(Datum::List(each.collect::<Result<_>>()?))
}

/// Intervals come sorted by months, then days, as the engine sorts them; here their length counts.
fn by_length(values: &[Datum]) -> Vec<Datum> {
    let key = |value: Option<&Datum>| match value {
        Some(Datum::Interval(i)) => (i.months, i.days, i.nanoseconds),
        _ => (0, 0, 0),
    };
    let descends = key(values.first()) > key(values.last());
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| {
        let (a, b) = if descends { (b, a) } else { (a, b) };
        a.compare(b).unwrap_or(Ordering::Equal)
    });
    sorted
}

fn percentile_disc(fraction: f64, values: &[Datum]) -> Result<Datum> {
    let row = (fraction * values.len() as f64).ceil() as usize;
    Ok(values.get(row.saturating_sub(1)).cloned().unwrap_or(Datum::Null))
}

/// The most frequent one of sorted values; of several the first.
fn mode(values: &[Datum]) -> Datum {
    let mut best: (usize, &Datum) = (0, &Datum::Null);
    for run in values.chunk_by(|a, b| a.is_same(b)) {
        if run.len() > best.0 {
            best = (run.len(), &run[0]);
        }
    }
    best.1.clone()
}

fn invalid_bucket(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message)
}

/// `width_bucket_float8` (float.c)
fn bucket_of_doubles(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let number = |at: usize| arguments[at].double().unwrap_or(f64::NAN);
    let (value, low, high) = (number(0), number(1), number(2));
    let count = arguments[3].int().unwrap_or(0);
    if count <= 0 {
        return Err(invalid_bucket("count must be greater than zero"));
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid_bucket("operand, lower bound, and upper bound cannot be NaN"));
    }
    if !low.is_finite() || !high.is_finite() {
        return Err(invalid_bucket("lower and upper bounds must be finite"));
    }
    let bucket = |value: f64, low: f64, high: f64| match value {
        v if v < low => 0,
        v if v >= high => count + 1,
        v => (count as f64 * ((v - low) / (high - low))) as i64 + 1,
    };
    match low.partial_cmp(&high) {
        Some(Ordering::Less) => Ok(Datum::Int(bucket(value, low, high))),
        Some(Ordering::Greater) => Ok(Datum::Int(bucket(-value, -low, -high))),
        _ => Err(invalid_bucket("lower bound cannot equal upper bound")),
    }
}

/// `width_bucket_numeric` (numeric.c)
fn bucket_of_numerics(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let scale_of = |value: &Datum| match value {
        Datum::Numeric(_, scale) => *scale,
        _ => 0,
    };
    let scale = arguments[..3].iter().map(scale_of).max().unwrap_or(0);
    let number = |at: usize| match &arguments[at] {
        Datum::Numeric(value, from) => decimal::rescale(*value, *from, scale),
        _ => None,
    };
    let (Some(value), Some(low), Some(high)) = (number(0), number(1), number(2)) else {
        return Err(decimal::overflow());
    };
    let count = arguments[3].int().unwrap_or(0);
    if count <= 0 {
        return Err(invalid_bucket("count must be greater than zero"));
    }
    let (value, low, high) = match low.cmp(&high) {
        Ordering::Equal => return Err(invalid_bucket("lower bound cannot equal upper bound")),
        Ordering::Less => (value, low, high),
        Ordering::Greater => (-value, -low, -high),
    };
    Ok(Datum::Int(if value < low {
        0
    } else if value >= high {
        count + 1
    } else {
        let within = (value - low).checked_mul(count.into()).map(|v| v / (high - low));
        within.and_then(|v| i64::try_from(v).ok()).ok_or_else(decimal::overflow)? + 1
    }))
}
