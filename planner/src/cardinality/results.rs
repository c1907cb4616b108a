//! What is known of aggregates' results: counts, sums and averages over groups.
//!
//! A group has one row, and the others come to it by chance: of `n` rows on average the variance is
//! `n - 1`. A sum over so many values is then of variance `n · var(x) + (n - 1) · mean(x)²` (the law of
//! total variance), and it is thought to be normal, as sums of many values are.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    physical_expr::{PhysicalExpr, aggregate::AggregateFunctionExpr, expressions::Literal},
    physical_plan::aggregates::AggregateExec,
};

use super::{ColumnFacts, Estimate, Groups, expression::facts_of};
use crate::statistics::{ColumnStatistics, Value};

/// Buckets of a result's histogram.
const BUCKETS: usize = 100;
/// The histogram ends so many deviations from the mean: beyond is less than a bucket's hundredth.
const ENDS: f64 = 3.0;

/// How results are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    mean: f64,
    variance: f64,
    /// No less, no more.
    bounds: (f64, f64),
}

impl Groups {
    /// Facts of an aggregate's results, in their order; `None`: nothing is known. `input`: the rows
    /// that it aggregates.
    pub fn results(self, aggregate: &AggregateExec, input: &Estimate) -> Vec<Option<ColumnFacts>> {
        let filters = aggregate.filter_expr().iter();
        let calls = aggregate.aggr_expr().iter().zip(filters);
        let results = calls.map(|(call, filter)| match filter {
            Some(_) => None,
            None => self.result(call, input),
        });
        results.collect()
    }

    fn result(self, call: &AggregateFunctionExpr, input: &Estimate) -> Option<ColumnFacts> {
        if self.is_guess || call.is_distinct() {
            return None;
        }
        let arguments = call.expressions();
        let [argument] = arguments.as_slice() else { return None };
        let rows = (input.rows / self.count.max(1.0)).max(1.0);
        let name = call.fun().name().to_ascii_lowercase();
        let mut facts = ColumnFacts::unknown(&call.field());
        if matches!(name.as_str(), "min" | "max") {
            let values = facts_of(argument, &input.columns);
            facts.distinct = values.distinct.map(|distinct| distinct.min(self.count).max(1.0));
            facts.domain = facts.distinct;
            facts.null_fraction = facts.null_fraction.or(Some(0.0));
            let (bounds, origin, among) = (values.bounds, values.origin, Some(rows));
            return Some(ColumnFacts { bounds, origin, among, ..facts });
        }
        let (spread, distinct) = match name.as_str() {
            "count" => {
                let spread = counted(argument, rows, input)?;
                (spread, 2.0 * ENDS * spread.variance.sqrt() + 1.0)
            }
            "sum" | "avg" => {
                let values = facts_of(argument, &input.columns);
                let one = Spread::of(&values)?;
                let rows = (rows * values.values_fraction()).max(1.0);
                let all = if name == "sum" { one.summed(rows) } else { one.averaged(rows) };
                (all, self.count)
            }
            _ => return None,
        };
        facts.distinct = Some(distinct.min(self.count).max(1.0));
        facts.domain = facts.distinct;
        facts.null_fraction = facts.null_fraction.or(Some(0.0));
        let histogram = spread.histogram();
        facts.bounds = histogram.first().cloned().zip(histogram.last().cloned());
        facts.statistics = Some(Arc::new(ColumnStatistics {
            rows: self.count.round() as u64,
            distinct: facts.distinct.unwrap_or_default(),
            minimum: histogram.first().cloned(),
            maximum: histogram.last().cloned(),
            histogram,
            ..ColumnStatistics::default()
        }));
        Some(facts)
    }
}

/// Of so many rows per group, those whose value is not NULL.
fn counted(argument: &Arc<dyn PhysicalExpr>, rows: f64, input: &Estimate) -> Option<Spread> {
    let part = match argument.is::<Literal>() {
        true => 1.0,
        false => 1.0 - facts_of(argument, &input.columns).null_fraction?,
    };
    let least = if part >= 1.0 { 1.0 } else { 0.0 };
    let variance = (rows - 1.0) * part * part + rows * part * (1.0 - part);
    Some(Spread { mean: rows * part, variance, bounds: (least, f64::INFINITY) })
}

impl Spread {
    /// Of a column's values, by its common ones and the middles of its buckets. `None`: they are no
    /// numbers, or not known.
    fn of(facts: &ColumnFacts) -> Option<Self> {
        let is_number = |t: &DataType| t.is_numeric();
        facts.data_type.as_ref().filter(|data_type| is_number(data_type))?;
        let statistics = facts.statistics.as_ref()?;
        let (low, high) = facts.bounds.as_ref()?;
        let bounds = (low.number()?, high.number()?);
        let common = statistics.common.iter();
        let common = common.map(|c| Some((c.frequency, c.value.number()?, 0.0)));
        let mut weighted = common.collect::<Option<Vec<_>>>()?;
        let buckets = statistics.histogram.windows(2);
        let weight = statistics.rest_fraction() / buckets.len().max(1) as f64;
        for bucket in buckets {
            let (low, high) = (bucket[0].number()?, bucket[1].number()?);
            // A bucket's values are thought to be anywhere in it.
            weighted.push((weight, (low + high) / 2.0, (high - low).powi(2) / 12.0));
        }
        let total = weighted.iter().map(|(weight, ..)| weight).sum::<f64>();
        if total <= 0.0 {
            return None;
        }
        let mean = weighted.iter().map(|(weight, value, _)| weight * value).sum::<f64>() / total;
        let around =
            |(weight, value, within): &(f64, f64, f64)| weight * ((value - mean).powi(2) + within);
        let variance = weighted.iter().map(around).sum::<f64>() / total;
        (mean.is_finite() && variance.is_finite()).then_some(Self { mean, variance, bounds })
    }

    /// Of sums of so many on average.
    fn summed(self, rows: f64) -> Self {
        let variance = rows * self.variance + (rows - 1.0) * self.mean.powi(2);
        let (low, high) = self.bounds;
        let low = if low >= 0.0 { low } else { f64::NEG_INFINITY };
        let high = if high <= 0.0 { high } else { f64::INFINITY };
        Self { mean: rows * self.mean, variance, bounds: (low, high) }
    }

    /// Of averages of so many on average.
    fn averaged(self, rows: f64) -> Self {
        Self { variance: self.variance / rows, ..self }
    }

    /// Bounds of buckets of equally many results.
    fn histogram(self) -> Vec<Value> {
        let (low, high) = self.bounds;
        let deviation = self.variance.sqrt();
        let bounds = (0..=BUCKETS).map(|bound| {
            let quantile = normal_quantile(bound as f64 / BUCKETS as f64).clamp(-ENDS, ENDS);
            number((self.mean + quantile * deviation).max(low).min(high))
        });
        bounds.collect()
    }
}

/// A number as statistics keep it.
pub(super) fn number(value: f64) -> Value {
    /// Larger ones have gaps between them.
    const EXACT: f64 = 9e15;
    match value.fract() == 0.0 && value.abs() < EXACT {
        true => Value::Integer(value as i64),
        false => Value::float(value),
    }
}

/// Below which deviation from the mean such a part of a normal distribution lies, to 0.00045 (Hastings,
/// Approximations for digital computers, 1955; Abramowitz and Stegun 26.2.23).
fn normal_quantile(part: f64) -> f64 {
    let tail = part.min(1.0 - part);
    if tail <= 0.0 {
        return if part < 0.5 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let deviation = t - above / below;
    if part < 0.5 { -deviation } else { deviation }
}

impl Estimate {
    /// With what is known of some of its columns, from this position on.
    pub fn knowing(self, first: usize, results: Vec<Option<ColumnFacts>>) -> Self {
        let mut columns = self.columns.to_vec();
        for (column, result) in columns.iter_mut().skip(first).zip(results) {
            // It may have another type when it is there.
            if let Some(result) = result.filter(|result| result.data_type == column.data_type) {
                *column = result;
            }
        }
        self.of_columns(columns)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        for (part, expected) in [(0.5, 0.0), (0.975, 1.95996), (0.01, -2.32635), (0.75, 0.67449)] {
            let quantile = normal_quantile(part);
            assert!((quantile - expected).abs() < 0.0005, "{part}: {quantile}");
        }
    }

    #[test]
    fn spreads_are_those_of_the_values() {
        // 1 … 50, each as often.
        let histogram = (0..=49).map(|bound| Value::Integer(bound + 1)).collect();
        let statistics = ColumnStatistics { histogram, ..ColumnStatistics::default() };
        let facts = ColumnFacts {
            bounds: Some((Value::Integer(1), Value::Integer(50))),
            statistics: Some(Arc::new(statistics)),
            ..ColumnFacts::unknown(&Field::new("x", DataType::Int32, false))
        };
        let one = Spread::of(&facts).unwrap();
        assert!((one.mean - 25.5).abs() < 1e-9 && (one.variance - 200.08).abs() < 0.1, "{one:?}");
        let sums = one.summed(4.0);
        assert!((sums.mean - 102.0).abs() < 1e-9, "{sums:?}");
        assert!((sums.variance - (4.0 * one.variance + 3.0 * 650.25)).abs() < 1e-6, "{sums:?}");
        let histogram = sums.histogram();
        assert_eq!((histogram.len(), &histogram[0]), (101, &Value::Integer(1)));
        assert!(histogram.is_sorted());
    }
}
