//! How evenly rows come to datanodes that are redistributed by columns with common values.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::{common::ScalarValue, physical_expr::PhysicalExpr};
use kestrel_proto::BucketMap;
use std::sync::Arc;

use super::{ColumnFacts, Estimate, expression::facts_of};
use crate::{
    catalog::HashClass,
    placement::buckets,
    statistics::{ColumnStatistics, Value},
};

/// How many times the average the rows of the datanode are that gets most of them, by this key; 1:
/// even, or nothing is known. Several columns are as even as the most even of them.
pub fn redistribution<'a>(
    rows: &Estimate,
    keys: impl Iterator<Item = (&'a Arc<dyn PhysicalExpr>, HashClass)>,
    map: &BucketMap,
    datanodes: usize,
) -> f64 {
    let of_key = |(expr, class): (&Arc<dyn PhysicalExpr>, HashClass)| {
        of_column(&facts_of(expr, &rows.columns), class, map, datanodes)
    };
    keys.map(of_key).reduce(f64::min).unwrap_or(1.0)
}

fn of_column(facts: &ColumnFacts, class: HashClass, map: &BucketMap, datanodes: usize) -> f64 {
    if datanodes < 2 {
        return 1.0;
    }
    let nodes = datanodes as f64;
    let Some(statistics) = facts.statistics.as_ref().filter(|s| !s.common.is_empty()) else {
        // So many values at least come to one of the datanodes.
        return facts.distinct.map_or(1.0, |distinct| {
            let distinct = distinct.round().max(1.0);
            ((distinct / nodes).ceil() * nodes / distinct).clamp(1.0, nodes)
        });
    };
    let owners = owners(facts, statistics, class, map);
    let mut loads = vec![statistics.rest_fraction() / nodes; datanodes];
    for (at, common) in statistics.common.iter().enumerate() {
        // Without its bucket each comes to another one.
        let owner = owners.as_ref().map_or(at, |owners| owners[at]);
        if let Some(load) = loads.get_mut(owner % datanodes) {
            *load += common.frequency;
        }
    }
    if let Some(first) = loads.get_mut(map.owner(0).0 as usize) {
        *first += facts.null_fraction.unwrap_or(0.0);
    }
    let all: f64 = loads.iter().sum();
    let most = loads.into_iter().fold(0.0, f64::max);
    if all > 0.0 { (most * nodes / all).max(1.0) } else { 1.0 }
}

/// The datanode of each common value. `None`: its form in Arrow is not known here.
fn owners(
    facts: &ColumnFacts,
    statistics: &ColumnStatistics,
    class: HashClass,
    map: &BucketMap,
) -> Option<Vec<usize>> {
    let data_type = facts.data_type.as_ref()?;
    let values = statistics.common.iter().map(|common| scalar(&common.value, data_type));
    let values = values.collect::<Option<Vec<_>>>()?;
    let array = ScalarValue::iter_to_array(values).ok()?;
    let buckets = buckets(&[array], &[class]).ok()?;
    Some(buckets.into_iter().map(|bucket| map.owner(bucket).0 as usize).collect())
}

/// A value of statistics in its form in Arrow. `None`: it has none here.
pub(crate) fn scalar(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    use ScalarValue as S;
    Some(match (value, data_type) {
        (Value::Boolean(v), DataType::Boolean) => S::Boolean(Some(*v)),
        (Value::Integer(v), DataType::Int16) => S::Int16(Some(i16::try_from(*v).ok()?)),
        (Value::Integer(v), DataType::Int32) => S::Int32(Some(i32::try_from(*v).ok()?)),
        (Value::Integer(v), DataType::Int64) => S::Int64(Some(*v)),
        (Value::Integer(v), DataType::Date32) => S::Date32(Some(i32::try_from(*v).ok()?)),
        (Value::Integer(v), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            S::TimestampMicrosecond(Some(*v), zone.clone())
        }
        (Value::Integer(v), DataType::Decimal128(precision, scale)) => {
            decimal(i128::from(*v), 0, *precision, *scale)?
        }
        (Value::Decimal(digits, of), DataType::Decimal128(precision, scale)) => {
            decimal(i128::from(*digits), *of, *precision, *scale)?
        }
        (Value::Integer(v), DataType::Time64(TimeUnit::Microsecond)) => {
            S::Time64Microsecond(Some(*v))
        }
        (Value::Float(bits), DataType::Float32) => S::Float32(Some(f64::from_bits(*bits) as f32)),
        (Value::Float(bits), DataType::Float64) => S::Float64(Some(f64::from_bits(*bits))),
        (Value::Text(text), DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8) => {
            S::Utf8View(Some(text.to_string()))
        }
        (Value::Bytes(bytes), DataType::BinaryView | DataType::Binary | DataType::LargeBinary) => {
            S::BinaryView(Some(bytes.to_vec()))
        }
        (Value::Bytes(bytes), DataType::FixedSizeBinary(width)) => {
            S::FixedSizeBinary(*width, Some(bytes.to_vec()))
        }
        _ => return None,
    })
}

fn decimal(unscaled: i128, from: i8, precision: u8, to: i8) -> Option<ScalarValue> {
    let factor = 10i128.checked_pow(u32::try_from(to.checked_sub(from)?).ok()?)?;
    let unscaled = unscaled.checked_mul(factor)?;
    Some(ScalarValue::Decimal128(Some(unscaled), precision, to))
}
