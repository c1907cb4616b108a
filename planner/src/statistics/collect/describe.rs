//! From a sample to common values and a histogram, as PostgreSQL chooses them
//! (`compute_scalar_stats`, analyze.c).

use arrow::{
    array::{Array, ArrayRef},
    compute::{filter, is_not_null, kernels::cmp::distinct, sort},
};
use datafusion::{common::ScalarValue, error::Result};

use super::{
    super::{ColumnStatistics, CommonValue, Value},
    wide,
};

/// Equal values of a sample, next to each other: in order, without NULLs.
pub(super) struct Runs {
    sorted: ArrayRef,
    /// Where each begins, and how many there are of it.
    runs: Vec<(usize, usize)>,
}

/// What is known without the sample.
pub(super) struct Facts {
    pub(super) rows: u64,
    pub(super) null_fraction: f64,
    pub(super) average_width: f64,
    pub(super) distinct: f64,
    /// NULL: ask the sample.
    pub(super) bounds: (ScalarValue, ScalarValue),
}

impl Runs {
    pub(super) fn of(values: &ArrayRef) -> Result<Self> {
        let present = filter(values, &is_not_null(values)?)?;
        let sorted = sort(&present, None)?;
        let mut runs = Vec::new();
        if !sorted.is_empty() {
            let rest = sorted.len() - 1;
            let changes = distinct(&sorted.slice(0, rest), &sorted.slice(1, rest))?;
            let mut start = 0;
            for end in changes.values().set_indices().map(|at| at + 1).chain([sorted.len()]) {
                runs.push((start, end - start));
                start = end;
            }
        }
        Ok(Self { sorted, runs })
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Values, each as often as it is there.
    pub(super) fn values(&self) -> usize {
        self.sorted.len()
    }

    /// How many values are there once.
    pub(super) fn once(&self) -> usize {
        self.runs.iter().filter(|(_, count)| *count == 1).count()
    }

    pub(super) fn has_duplicates(&self) -> bool {
        self.runs.len() < self.sorted.len()
    }

    fn value(&self, at: usize) -> Result<Option<Value>> {
        Ok(Value::of(&ScalarValue::try_from_array(&self.sorted, at)?))
    }
}

/// `sample_rows`: rows in the sample, NULLs too.
pub(super) fn describe(
    facts: Facts,
    runs: &Runs,
    sample_rows: usize,
    target: usize,
) -> Result<ColumnStatistics> {
    let Facts { rows, null_fraction, average_width, distinct, bounds } = facts;
    let mut statistics =
        ColumnStatistics { rows, null_fraction, average_width, distinct, ..Default::default() };
    if runs.len() == 0 {
        return Ok(statistics);
    }
    let common = common(&statistics, runs, sample_rows, target);
    for at in &common {
        let (start, count) = runs.runs[*at];
        if let Some(value) = runs.value(start)? {
            let frequency = count as f64 / sample_rows as f64;
            statistics.common.push(CommonValue { value, frequency });
        }
    }
    statistics.histogram = histogram(runs, &common, target)?;
    // By whole runs: of types whose order in Arrow is another.
    let mut ends = vec![runs.value(0)?, runs.value(runs.sorted.len() - 1)?];
    ends.extend([Value::of(&bounds.0), Value::of(&bounds.1)]);
    let listed = statistics.common.iter().map(|common| &common.value);
    let known: Vec<_> = ends.iter().flatten().chain(&statistics.histogram).chain(listed).collect();
    let (minimum, maximum) = (known.iter().min(), known.iter().max());
    let minimum = minimum.copied().cloned().map(wide::lower_bound);
    let maximum = maximum.copied().cloned().and_then(wide::upper_bound);
    Ok(ColumnStatistics { minimum, maximum, ..statistics })
}

/// The runs of the most common values, the most frequent one first.
fn common(column: &ColumnStatistics, runs: &Runs, sample_rows: usize, target: usize) -> Vec<usize> {
    let counts = runs.runs.iter().enumerate().map(|(at, (_, count))| (at, *count));
    let mut several: Vec<_> = counts.filter(|(_, count)| *count > 1).collect();
    several.sort_by(|(at, count), (other_at, other)| other.cmp(count).then(at.cmp(other_at)));
    let are_all = several.len() == runs.len()
        && !column.grows()
        && several.len() <= target
        && column.distinct <= several.len() as f64;
    several.truncate(target);
    if !are_all {
        let counts: Vec<_> = several.iter().map(|(_, count)| *count).collect();
        several.truncate(worth_keeping(&counts, column, sample_rows));
    }
    several.into_iter().map(|(at, _)| at).collect()
}

/// How many of these values, the most frequent one first, are more frequent than the rest by more
/// than chance (`analyze_mcv_list`, analyze.c).
fn worth_keeping(counts: &[usize], column: &ColumnStatistics, sample_rows: usize) -> usize {
    let (rows, sampled) = (column.rows as f64, sample_rows as f64);
    if sample_rows as u64 >= column.rows || rows <= 1.0 {
        return counts.len();
    }
    let mut kept = counts.len();
    let mut before: usize = counts.iter().rev().skip(1).sum();
    while kept > 0 {
        let rest = 1.0 - before as f64 / sampled - column.null_fraction;
        let others = (column.distinct - (kept - 1) as f64).max(1.0);
        let selectivity = rest.clamp(0.0, 1.0) / others;
        let count = counts[kept - 1] as f64;
        let expected = rows * count / sampled;
        let variance = sampled * expected * (rows - expected) * (rows - sampled)
            / (rows * rows * (rows - 1.0));
        if count > selectivity * sampled + 2.0 * variance.max(0.0).sqrt() + 0.5 {
            break;
        }
        kept -= 1;
        before -= if kept > 0 { counts[kept - 1] } else { 0 };
    }
    kept
}

/// Equally many values of the sample between one bound and the next, but for the common ones.
fn histogram(runs: &Runs, common: &[usize], target: usize) -> Result<Vec<Value>> {
    let mut is_common = vec![false; runs.len()];
    common.iter().for_each(|at| is_common[*at] = true);
    let rest: Vec<_> = runs.runs.iter().zip(is_common).filter(|(_, common)| !common).collect();
    let bounds = rest.len().min(target + 1);
    if bounds < 2 {
        return Ok(Vec::new());
    }
    let values: usize = rest.iter().map(|((_, count), _)| count).sum();
    let mut histogram = Vec::with_capacity(bounds);
    let (mut run, mut passed) = (0, 0);
    for bound in 0..bounds {
        let position = bound * (values - 1) / (bounds - 1);
        while passed + rest[run].0.1 <= position {
            passed += rest[run].0.1;
            run += 1;
        }
        histogram.extend(runs.value(rest[run].0.0)?);
    }
    histogram.sort();
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int32Array, StringViewArray},
        datatypes::DataType,
    };

    use super::{super::ColumnCollector, *};

    fn described(values: ArrayRef, parts: usize, target: usize) -> ColumnStatistics {
        let data_type = values.data_type().clone();
        let mut whole = ColumnCollector::new(&data_type, 30_000).unwrap();
        let length = values.len().div_ceil(parts);
        for part in 0..parts {
            let start = (part * length).min(values.len());
            let mut collector = ColumnCollector::new(&data_type, 30_000).unwrap();
            let slice = values.slice(start, length.min(values.len() - start));
            collector.update(&slice).unwrap();
            whole.merge(collector.state(&data_type).unwrap()).unwrap();
        }
        whole.describe(&data_type, target, None).unwrap()
    }

    fn integers(values: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
        Arc::new(values.into_iter().collect::<Int32Array>())
    }

    /// What PostgreSQL 15 has in `pg_stats` of the same rows.
    #[test]
    fn few_rows_are_described_as_postgresql_does() {
        let column = described(integers([Some(1), Some(1), Some(2), Some(3), None, None]), 2, 100);
        assert_eq!(column.rows, 6);
        assert!((column.null_fraction - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(column.n_distinct(), -0.5);
        assert_eq!(column.common.len(), 1);
        assert_eq!(column.common[0].value, Value::Integer(1));
        assert!((column.common[0].frequency - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(column.histogram, [Value::Integer(2), Value::Integer(3)]);
        assert_eq!(
            (column.minimum, column.maximum),
            (Some(Value::Integer(1)), Some(Value::Integer(3)))
        );
    }

    #[test]
    fn a_sample_is_described_as_the_rows_it_is_of() {
        let of_sample = |values: ArrayRef| {
            let data_type = values.data_type().clone();
            let mut collector = ColumnCollector::new(&data_type, 30_000).unwrap();
            collector.update(&values).unwrap();
            collector.describe(&data_type, 100, Some(100_000)).unwrap()
        };
        let few = of_sample(integers((0..10_000).map(|i| (i % 4 > 0).then_some(i % 4))));
        assert_eq!((few.rows, few.distinct, few.null_fraction), (100_000, 3.0, 0.25));
        assert!(few.common_are_all());
        let key = of_sample(integers((0..10_000).map(Some)));
        assert_eq!((key.rows, key.distinct, key.n_distinct()), (100_000, 100_000.0, -1.0));
        assert!(key.common.is_empty());
        // Of 6667 values 3334 are there once: 10000 · 6667 / (10000 − 3334 + 3334 / 10).
        let some = of_sample(integers((0..10_000).map(|i| Some(i % 6667))));
        assert!((9_500.0..9_550.0).contains(&some.distinct), "{}", some.distinct);
    }

    #[test]
    fn nothing_is_described() {
        let empty = described(integers([]), 1, 100);
        assert_eq!((empty.rows, empty.distinct), (0, 0.0));
        let nulls = described(integers([None, None]), 3, 100);
        assert_eq!((nulls.rows, nulls.null_fraction, nulls.distinct), (2, 1.0, 0.0));
        assert_eq!(nulls.minimum, None);
    }

    #[test]
    fn many_rows_are_described_within_bounds() {
        // 0 and 1 are frequent, the others equally rare.
        let value = |i: i32| match i % 10 {
            0..4 => 0,
            4..6 => 1,
            _ => i % 50_000 + 2,
        };
        let column = described(integers((0..200_000).map(|i| Some(value(i)))), 4, 100);
        let exact = 2.0 + 4.0 * 5000.0;
        assert!((column.distinct / exact - 1.0).abs() < 0.05, "{}", column.distinct);
        let common: Vec<_> = column.common.iter().take(2).map(|c| c.value.clone()).collect();
        assert_eq!(common, [Value::Integer(0), Value::Integer(1)]);
        assert!((column.common[0].frequency - 0.4).abs() < 0.02);
        let below = column.histogram_fraction_below(&Value::Integer(25_000)).unwrap();
        assert!((below - 0.5).abs() < 0.05, "{below}");
        assert_eq!(column.minimum, Some(Value::Integer(0)));
        assert_eq!(column.maximum, Some(Value::Integer(50_001)));
    }

    #[test]
    fn a_key_has_as_many_values_as_rows() {
        let column = described(integers((0..100_000).map(Some)), 3, 10);
        assert_eq!(column.distinct, 100_000.0);
        assert_eq!(column.n_distinct(), -1.0);
        assert!(column.common.is_empty());
        assert_eq!(column.histogram.len(), 11);
    }

    #[test]
    fn text_is_described() {
        let values: StringViewArray = (0..9000).map(|i| Some(format!("name {}", i % 3))).collect();
        let column = described(Arc::new(values), 2, 100);
        assert_eq!(column.n_distinct(), 3.0);
        assert_eq!(column.common.len(), 3);
        assert!(column.common_are_all() && column.histogram.is_empty());
        assert_eq!(column.average_width, 7.0);
        assert_eq!(column.maximum, Some(Value::Text("name 2".into())));
    }

    #[test]
    fn wide_values_are_counted_but_not_kept() {
        let value = |i: usize| match i % 10 {
            0 => format!("{}{i:02}", "x".repeat(2000)),
            _ => format!("a{}", i % 3),
        };
        let values: StringViewArray = (0..100).map(|i| Some(value(i))).collect();
        let column = described(Arc::new(values), 2, 100);
        assert_eq!((column.rows, column.null_fraction, column.distinct), (100, 0.0, 13.0));
        let average = (90.0 * 3.0 + 10.0 * 2006.0) / 100.0;
        assert!((column.average_width - average).abs() < 1e-9, "{}", column.average_width);
        assert_eq!(column.common.len(), 3);
        assert!(column.histogram.is_empty());
        assert_eq!(column.minimum, Some(Value::Text("a0".into())));
        // It would be wide.
        assert_eq!(column.maximum, None);
    }

    #[test]
    fn every_type_is_described() {
        use crate::catalog::SqlType::*;
        for sql_type in [
            SmallInt,
            BigInt,
            Real,
            Double,
            Numeric(10, 2),
            Boolean,
            Text,
            Date,
            Time,
            Timestamp,
            TimestampTz,
            Interval,
            Uuid,
            Bytea,
            Oid,
            Jsonb,
        ] {
            let data_type: DataType = sql_type.arrow();
            let value = ScalarValue::new_default(&data_type)
                .or_else(|_| ScalarValue::try_from_string("00".into(), &data_type));
            let Ok(value) = value else { continue };
            let column = described(value.to_array_of_size(20).unwrap(), 2, 100);
            assert_eq!(column.n_distinct(), 1.0, "{sql_type}");
            assert_eq!(column.common.len(), 1, "{sql_type}");
            assert!(column.minimum.is_some() && column.minimum == column.maximum, "{sql_type}");
        }
    }
}
