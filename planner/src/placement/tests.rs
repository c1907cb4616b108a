//! Every bucket and hash that PostgreSQL 15 printed, in every Arrow form that a value has.
//!
//! The files stand in `planner/testdata/placement`; `more-buckets.sql` makes the largest of them.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
        FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
        IntervalMonthDayNanoArray, LargeBinaryArray, StringArray, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    },
    compute::{CastOptions, cast, cast_with_options, concat},
    datatypes::{DataType, IntervalMonthDayNano, TimeUnit},
};

use super::{
    buckets,
    jenkins::combine,
    numeric::NumericHasher,
    scalar::{PARTITION_SEED, hash_binary, hash_float8, hash_int4, hash_int8},
};
use crate::catalog::HashClass;

const BUCKETS: &str = include_str!("../../testdata/placement/pg15-buckets.txt");
const MORE_BUCKETS: &str = include_str!("../../testdata/placement/pg15-more-buckets.txt");
const HASHES: &str = include_str!("../../testdata/placement/pg15-hash-vectors.txt");

fn lines(file: &str) -> impl Iterator<Item = &str> {
    file.lines().filter(|line| !line.starts_with('#'))
}

/// Lines of equal Arrow types, the key of which is one row each.
#[derive(Default)]
struct Group<'a> {
    lines: Vec<&'a str>,
    keys: Vec<Vec<ArrayRef>>,
    classes: Vec<HashClass>,
    expected: Vec<u16>,
}

#[test]
fn buckets_are_postgresqls() {
    let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
    let mut line_count = 0;
    for line in lines(BUCKETS).chain(lines(MORE_BUCKETS)) {
        line_count += 1;
        let [types, values, bucket] = line.split('|').collect::<Vec<_>>().try_into().unwrap();
        let types = split_types(types);
        let values: Vec<&str> =
            if types.len() == 1 { vec![values] } else { values.split(',').collect() };
        assert_eq!(types.len(), values.len(), "{line}");
        let bucket: u16 = bucket.parse().unwrap();
        if (types[0], values[0]) == ("numeric", "NaN") {
            // No Arrow decimal holds it; PostgreSQL's hash of it is the seed.
            assert_eq!(combine(0, PARTITION_SEED) & 4095, u64::from(bucket), "{line}");
            continue;
        }

        let value = |text| (text != "\\N").then_some(text);
        let forms: Vec<_> = types.iter().zip(values).map(|(t, v)| forms(t, value(v))).collect();
        for i in 0..forms.iter().map(Vec::len).max().unwrap() {
            let key: Vec<_> =
                forms.iter().map(|forms| Arc::clone(&forms[i % forms.len()])).collect();
            let classes: Vec<_> = types.iter().map(|t| class(t)).collect();
            let held: Vec<_> = key.iter().map(|column| column.data_type()).collect();
            let group = groups.entry(format!("{classes:?} as {held:?}")).or_default();
            group.lines.push(line);
            group.keys.push(key);
            group.classes = classes;
            group.expected.push(bucket);
        }
    }
    assert_eq!(line_count, 100 + 303);
    for (name, group) in groups {
        check(&name, &group);
    }
}

/// Hashes the keys of a group as one batch, and again as a slice of one.
fn check(name: &str, group: &Group<'_>) {
    let columns: Vec<_> = (0..group.classes.len())
        .map(|column| {
            let values: Vec<&dyn Array> =
                group.keys.iter().map(|key| key[column].as_ref()).collect();
            concat(&values).unwrap()
        })
        .collect();
    let found = buckets(&columns, &group.classes).unwrap();
    for ((line, expected), found) in group.lines.iter().zip(&group.expected).zip(&found) {
        assert_eq!(expected, found, "{name}: {line}");
    }
    assert_eq!(found.len(), group.lines.len());

    let rest: Vec<_> = columns.iter().map(|c| c.slice(1, c.len() - 1)).collect();
    assert_eq!(buckets(&rest, &group.classes).unwrap(), found[1..], "{name}, sliced");
}

#[test]
fn hashes_are_postgresqls_for_any_seed() {
    let mut line_count = 0;
    for line in lines(HASHES) {
        line_count += 1;
        let [sql_type, value, plain, seeded] =
            line.split('|').collect::<Vec<_>>().try_into().unwrap();
        for (seed, expected) in [(0, plain), (PARTITION_SEED, seeded)] {
            let hash = match sql_type {
                "i8" => hash_int8(value.parse().unwrap(), seed),
                "i4" => hash_int4(value.parse().unwrap(), seed),
                "t" => hash_binary(value.as_bytes(), seed),
                "f8" => hash_float8(value.parse().unwrap(), seed),
                "n" => {
                    let scale = value.split_once('.').map_or(0, |(_, decimals)| decimals.len());
                    let integer = decimal(value).at_scale(scale as i8).unwrap();
                    NumericHasher::new(scale as i8).hash(integer, seed)
                }
                _ => panic!("{line}"),
            };
            assert_eq!(hash as i64, expected.parse::<i64>().unwrap(), "{line}, seed {seed}");
        }
    }
    assert_eq!(line_count, 39);
}

/// At the commas outside of parentheses.
fn split_types(types: &str) -> Vec<&str> {
    let mut depth = 0;
    types
        .split(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        })
        .collect()
}

fn base(sql_type: &str) -> &str {
    sql_type.split_once('(').map_or(sql_type, |(base, _)| base)
}

fn class(sql_type: &str) -> HashClass {
    match base(sql_type) {
        "smallint" | "integer" | "bigint" => HashClass::Integer,
        "real" | "double precision" => HashClass::Float,
        "numeric" => HashClass::Numeric,
        "boolean" => HashClass::Boolean,
        "text" | "character varying" => HashClass::Text,
        "character" => HashClass::Char,
        "date" => HashClass::Date,
        "time" => HashClass::Time,
        "timestamp" => HashClass::Timestamp,
        "timestamp with time zone" => HashClass::TimestampTz,
        "interval" => HashClass::Interval,
        "uuid" => HashClass::Uuid,
        "bytea" => HashClass::Bytea,
        other => panic!("{other}"),
    }
}

/// A value in every Arrow form that its class may have, as columns of one row: integers of every
/// width that holds it, numerics of every scale, strings of every encoding.
fn forms(sql_type: &str, value: Option<&str>) -> Vec<ArrayRef> {
    match class(sql_type) {
        HashClass::Integer => integers(value),
        HashClass::Float => floats(sql_type, value),
        HashClass::Numeric => numerics(value),
        HashClass::Boolean => vec![Arc::new(BooleanArray::from(vec![value.map(|v| v == "true")]))],
        HashClass::Text => strings(value.map(str::to_string)),
        HashClass::Char => [0, 3]
            .iter()
            .flat_map(|blanks| strings(value.map(|v| format!("{v}{}", " ".repeat(*blanks)))))
            .collect(),
        HashClass::Date => vec![date(value)],
        HashClass::Time => {
            vec![Arc::new(Time64MicrosecondArray::from(vec![value.map(clock_us)]))]
        }
        HashClass::Timestamp => vec![timestamp(value, None)],
        HashClass::TimestampTz => vec![timestamp(value, Some("UTC"))],
        HashClass::Interval => {
            vec![Arc::new(IntervalMonthDayNanoArray::from(vec![value.map(interval)]))]
        }
        HashClass::Uuid => {
            let bytes = value.map(|v| *uuid::Uuid::parse_str(v).unwrap().as_bytes());
            let held =
                FixedSizeBinaryArray::try_from_sparse_iter_with_size([bytes].into_iter(), 16);
            vec![Arc::new(held.unwrap())]
        }
        HashClass::Bytea => bytea(value),
    }
}

fn integers(value: Option<&str>) -> Vec<ArrayRef> {
    let mut forms: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![value.map(|v| v.parse::<i64>().unwrap())]))];
    if let Ok(narrow) = value.map(str::parse::<i32>).transpose() {
        forms.push(Arc::new(Int32Array::from(vec![narrow])));
    }
    if let Ok(narrow) = value.map(str::parse::<i16>).transpose() {
        forms.push(Arc::new(Int16Array::from(vec![narrow])));
    }
    forms
}

fn floats(sql_type: &str, value: Option<&str>) -> Vec<ArrayRef> {
    let narrow = value.map(|v| v.parse::<f32>().unwrap());
    let wide = match sql_type {
        "real" => narrow.map(f64::from),
        _ => value.map(|v| v.parse::<f64>().unwrap()),
    };
    let mut forms: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(vec![wide]))];
    if wide.is_none_or(|v| v.is_nan() || f64::from(v as f32) == v) {
        forms.push(Arc::new(Float32Array::from(vec![narrow])));
    }
    forms
}

fn numerics(value: Option<&str>) -> Vec<ArrayRef> {
    let forms: Vec<ArrayRef> = (-4..=38)
        .filter_map(|scale| {
            let held = match value {
                Some(value) => Some(decimal(value).at_scale(scale)?),
                None => None,
            };
            let column = Decimal128Array::from(vec![held]);
            let column: ArrayRef = Arc::new(column.with_precision_and_scale(38, scale).unwrap());
            Some(column)
        })
        .collect();
    assert!(!forms.is_empty(), "no decimal of 38 digits is {value:?}");
    forms
}

/// `integer * 10^-scale`, the scale as low as it can be.
struct Decimal {
    integer: i128,
    scale: i32,
}

fn decimal(text: &str) -> Decimal {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let mut integer: i128 = format!("{whole}{decimals}").parse().unwrap();
    let mut scale = decimals.len() as i32;
    while integer != 0 && integer % 10 == 0 {
        integer /= 10;
        scale -= 1;
    }
    Decimal { integer, scale: if integer == 0 { i32::from(i8::MIN) } else { scale } }
}

impl Decimal {
    /// The integer at this scale, if it has at most 38 digits.
    fn at_scale(&self, scale: i8) -> Option<i128> {
        if self.integer == 0 {
            return Some(0);
        }
        let zeros = u32::try_from(i32::from(scale) - self.scale).ok()?;
        let integer = self.integer.checked_mul(10_i128.checked_pow(zeros)?)?;
        (integer.abs() < 10_i128.pow(38)).then_some(integer)
    }
}

fn strings(value: Option<String>) -> Vec<ArrayRef> {
    let plain: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let dictionary = |value| DataType::Dictionary(Box::new(DataType::Int32), Box::new(value));
    let held = [
        DataType::Utf8,
        DataType::Utf8View,
        DataType::LargeUtf8,
        dictionary(DataType::Utf8),
        dictionary(DataType::Utf8View),
    ];
    held.iter().map(|held| cast(&plain, held).unwrap()).collect()
}

fn bytea(value: Option<&str>) -> Vec<ArrayRef> {
    let bytes = value.map(|v| {
        let digits = v.strip_prefix("\\x").unwrap();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect::<Vec<u8>>()
    });
    let bytes = vec![bytes.as_deref()];
    vec![
        Arc::new(BinaryArray::from(bytes.clone())),
        Arc::new(LargeBinaryArray::from(bytes.clone())),
        Arc::new(BinaryViewArray::from(bytes)),
    ]
}

fn date(value: Option<&str>) -> ArrayRef {
    match value {
        Some("infinity") => Arc::new(Date32Array::from(vec![i32::MAX])),
        Some("-infinity") => Arc::new(Date32Array::from(vec![i32::MIN])),
        _ => parsed(value, &DataType::Date32),
    }
}

fn timestamp(value: Option<&str>, zone: Option<&str>) -> ArrayRef {
    let infinite = |us: i64| TimestampMicrosecondArray::from(vec![us]).with_timezone_opt(zone);
    match value {
        Some("infinity") => Arc::new(infinite(i64::MAX)),
        Some("-infinity") => Arc::new(infinite(i64::MIN)),
        _ => parsed(value, &DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))),
    }
}

fn parsed(value: Option<&str>, data_type: &DataType) -> ArrayRef {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&StringArray::from(vec![value]), data_type, &options).unwrap()
}

/// `[-]hh:mm:ss[.ffffff]` in microseconds.
fn clock_us(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let [hours, minutes, seconds] = text.split(':').collect::<Vec<_>>().try_into().unwrap();
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let number = |digits: &str| digits.parse::<i64>().unwrap();
    let seconds = (number(hours) * 60 + number(minutes)) * 60 + number(seconds);
    sign * (seconds * 1_000_000 + number(&format!("{fraction:0<6}")))
}

/// PostgreSQL's `1 year -2 mons 3 days 04:05:06.789`; months, days and time are kept apart.
fn interval(text: &str) -> IntervalMonthDayNano {
    let mut interval = IntervalMonthDayNano::ZERO;
    let mut words = text.split(' ');
    while let Some(word) = words.next() {
        if word.contains(':') {
            interval.nanoseconds += clock_us(word) * 1000;
            continue;
        }
        let count: i32 = word.parse().unwrap();
        match words.next().unwrap_or("seconds").trim_end_matches('s') {
            "year" => interval.months += count * 12,
            "month" | "mon" => interval.months += count,
            "day" => interval.days += count,
            "hour" => interval.nanoseconds += i64::from(count) * 3_600_000_000_000,
            "microsecond" => interval.nanoseconds += i64::from(count) * 1000,
            "second" => interval.nanoseconds += i64::from(count) * 1_000_000_000,
            unit => panic!("{unit}"),
        }
    }
    interval
}
