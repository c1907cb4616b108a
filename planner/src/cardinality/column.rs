//! What is known of the values of one column of an operator's output.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::{TableFacts, distinct_left, selectivity::Test, value_set::ValueSet};
use crate::statistics::{ColumnStatistics, CommonValue, Value};

/// Bytes assumed for a string, with its view.
const STRING_WIDTH: f64 = 32.0;
/// Bytes of a string's view, which has short strings in itself.
const VIEW_WIDTH: f64 = 16.0;
/// So long is a string at most that its view has in itself.
const SHORT_STRING: f64 = 12.0;

/// A column.
#[derive(Clone, Debug, Default)]
pub struct ColumnFacts {
    /// Its type.
    pub data_type: Option<DataType>,
    /// How many values the rows have, other than NULL. `None`: unknown.
    pub distinct: Option<f64>,
    /// How many there were before conditions on other columns took rows away: what the values of
    /// another column are found among when the two are joined. `None`: unknown.
    pub domain: Option<f64>,
    /// 0 … 1: the part of the rows that is NULL. `None`: unknown.
    pub null_fraction: Option<f64>,
    /// The smallest and the largest value.
    pub bounds: Option<(Value, Value)>,
    /// The fractions of its common values and its histogram, of the rows that are here. How many rows
    /// and values there are, others tell.
    pub statistics: Option<Arc<ColumnStatistics>>,
    /// Bytes of a value in memory, as Arrow.
    pub width: f64,
    /// The column of a table whose values these are.
    pub origin: Option<Origin>,
    /// What `min` and `max` give is the value of one row of its group: of so many, on average.
    pub among: Option<f64>,
    /// Columns of the same class have the same value in each row: the origin of one of them.
    pub class: Option<Origin>,
    /// The columns of that class, also of those that are not here any more; empty: its own.
    pub equal: Arc<[Origin]>,
    /// What the values were found among.
    pub sets: Arc<[ValueSet]>,
}

/// A column of one scan.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The scan's table.
    pub table: Arc<TableFacts>,
    /// The column's id.
    pub column: u32,
}

impl PartialEq for Origin {
    /// Two scans of a table are two tables.
    fn eq(&self, other: &Self) -> bool {
        self.is_beside(other) && self.column == other.column
    }
}

impl Origin {
    /// Are both columns of one scan?
    pub fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table)
    }

    /// Have both the same values?
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.column == other.column && self.table.is_like(&other.table)
    }

    /// Are both the same column, of whichever rows?
    pub(super) fn is_of_same_column(&self, other: &Self) -> bool {
        self.column == other.column && self.table.table.id == other.table.table.id
    }

    /// How many values the column has in all rows of its table, if ANALYZE has found out.
    pub(super) fn distinct_in_table(&self) -> Option<f64> {
        let statistics = self.table.statistics.as_ref()?.columns.get(&self.column)?;
        Some(statistics.distinct_of(self.table.rows)).filter(|distinct| *distinct >= 1.0)
    }
}

/// Bytes of a value in memory, where nothing is known of the values.
pub(super) fn type_width(data_type: &DataType) -> f64 {
    match data_type {
        DataType::Boolean => 1.0,
        other => other.primitive_width().map_or(STRING_WIDTH, |width| width as f64),
    }
}

impl ColumnFacts {
    /// Of values of which only the type is known.
    pub fn unknown(field: &Field) -> Self {
        let data_type = field.data_type().clone();
        let null_fraction = (!field.is_nullable()).then_some(0.0);
        let width = type_width(&data_type);
        Self { data_type: Some(data_type), null_fraction, width, ..Self::default() }
    }

    /// With what ANALYZE has found out, of a table that has so many rows now.
    pub fn analyzed(mut self, statistics: &Arc<ColumnStatistics>, rows: f64) -> Self {
        let is_nullable = self.null_fraction.is_none();
        self.null_fraction = Some(if is_nullable { statistics.null_fraction } else { 0.0 });
        let is_known = statistics.distinct > 0.0 || statistics.null_fraction >= 1.0;
        self.distinct = is_known.then(|| statistics.distinct_of(rows).max(1.0));
        self.domain = self.distinct;
        self.bounds = statistics.minimum.clone().zip(statistics.maximum.clone());
        let is_fixed = self.data_type.as_ref().is_some_and(|t| t.primitive_width().is_some());
        if !is_fixed && statistics.average_width > 0.0 && self.width > 1.0 {
            let long = statistics.average_width > SHORT_STRING;
            self.width = VIEW_WIDTH + if long { statistics.average_width } else { 0.0 };
        }
        self.statistics = Some(Arc::clone(statistics));
        self
    }

    /// The part of the rows that is not NULL.
    pub fn values_fraction(&self) -> f64 {
        // Of a union's parts the NULLs may be more than all, by an error of rounding.
        (1.0 - self.null_fraction.unwrap_or(0.0)).clamp(0.0, 1.0)
    }

    /// When `kept` of `rows` rows are left, whatever their values in this column are.
    pub fn sampled(mut self, rows: f64, kept: f64) -> Self {
        self.distinct = self.distinct.map(|distinct| distinct_left(distinct, rows, kept));
        self
    }

    /// Of the rows whose value passes all `tests`: `fraction` of all rows.
    pub(super) fn narrowed(mut self, tests: &[Test], fraction: f64) -> Self {
        if tests.iter().all(|test| *test == Test::IsNull) {
            let (data_type, width) = (self.data_type, self.width);
            let (distinct, null_fraction) = (Some(1.0), Some(1.0));
            return Self { data_type, width, distinct, null_fraction, ..Self::default() };
        }
        let values = self.values_fraction();
        self.null_fraction = Some(0.0);
        let fraction = fraction.max(f64::MIN_POSITIVE);
        if let Some(statistics) = self.statistics.take() {
            let passes = |value: &Value| tests.iter().all(|test| test.passes(value));
            let kept = |common: &&CommonValue| passes(&common.value);
            let common: Vec<_> = statistics.common.iter().filter(kept).cloned().collect();
            let of_common: f64 = common.iter().map(|common| common.frequency).sum();
            let of_rest = (fraction - of_common).max(0.0) / statistics.rest_fraction().max(1e-9);
            let all = self.distinct.unwrap_or(statistics.distinct);
            let rest = (all - statistics.common.len() as f64).max(0.0);
            let distinct = common.len() as f64 + rest * of_rest.min(1.0);
            self.distinct = Some(distinct.max(1.0).min(all.max(1.0)));
            let share = |common: CommonValue| CommonValue {
                frequency: (common.frequency / fraction).min(1.0),
                ..common
            };
            self.statistics = Some(Arc::new(ColumnStatistics {
                null_fraction: 0.0,
                distinct: self.distinct.unwrap_or_default(),
                common: common.into_iter().map(share).collect(),
                histogram: statistics.histogram.iter().filter(|v| passes(v)).cloned().collect(),
                ..ColumnStatistics::clone(&statistics)
            }));
        } else {
            let part = (fraction / values.max(f64::MIN_POSITIVE)).min(1.0);
            self.distinct = self.distinct.map(|distinct| (distinct * part).max(1.0));
        }
        self.domain = self.distinct;
        for test in tests {
            self.bounds = self.bounds.map(|bounds| test.clip(bounds));
        }
        self
    }

    /// When so large a part of the rows has become NULL, as outer joins make them.
    pub fn nulled(mut self, part: f64) -> Self {
        if part <= 0.0 {
            return self;
        }
        let values = self.values_fraction() * (1.0 - part);
        self.null_fraction = Some(1.0 - values);
        self.statistics = self.statistics.map(|statistics| {
            let mut statistics = ColumnStatistics::clone(&statistics);
            statistics.null_fraction = 1.0 - (1.0 - statistics.null_fraction) * (1.0 - part);
            for common in &mut statistics.common {
                common.frequency *= 1.0 - part;
            }
            Arc::new(statistics)
        });
        self
    }

    /// With every value made another one, in the same order.
    pub(super) fn mapped(mut self, map: impl Fn(&Value) -> Option<Value>) -> Self {
        self.bounds = self.bounds.and_then(|(low, high)| Some((map(&low)?, map(&high)?)));
        self.statistics = self.statistics.and_then(|statistics| {
            let common = statistics.common.iter().map(|common| {
                Some(CommonValue { value: map(&common.value)?, frequency: common.frequency })
            });
            let common = common.collect::<Option<Vec<_>>>()?;
            let histogram = statistics.histogram.iter().map(&map).collect::<Option<Vec<_>>>()?;
            let statistics = ColumnStatistics::clone(&statistics);
            Some(Arc::new(ColumnStatistics { common, histogram, ..statistics }))
        });
        self.without_origin()
    }

    /// Values that were made of a column's are not the column's.
    pub(super) fn without_origin(self) -> Self {
        Self { origin: None, class: None, equal: Arc::default(), sets: Arc::default(), ..self }
    }
}
