//! The statistics of a column.

use serde::{Deserialize, Serialize};

use super::Value;

/// More distinct values than this part of the rows: more rows bring more of them
/// (PostgreSQL's `compute_scalar_stats`, analyze.c).
const GROWING: f64 = 0.1;

/// What ANALYZE has found out about a column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// Rows of the table when the column was analyzed.
    pub rows: u64,
    /// 0 … 1: the part of the rows that is NULL.
    pub null_fraction: f64,
    /// Bytes of a value that is not NULL, on average, as PostgreSQL would hold it.
    pub average_width: f64,
    /// How many values there were, other than NULL. 0: all rows are NULL, or the type's values
    /// cannot be compared (json).
    pub distinct: f64,
    /// The smallest value, or what it begins with if it has more than 1 KB. `None`: all rows are NULL,
    /// or have such values, or values have no order.
    pub minimum: Option<Value>,
    /// The largest value. `None`: likewise, or it has more than 1 KB.
    pub maximum: Option<Value>,
    /// The most common values, the most frequent one first, at most as many as the statistics
    /// target. All values there are, if their frequencies and `null_fraction` add up to 1.
    pub common: Vec<CommonValue>,
    /// `n + 1` bounds of `n` buckets, in order: each has as many of those rows that are neither
    /// NULL nor have one of the `common` values. Empty: there are too few such rows. A bound that
    /// is there several times is a frequent value.
    pub histogram: Vec<Value>,
    /// -1 … 1: how the order of rows in files goes with that of values. `None`: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<f64>,
}

/// A value that many rows have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonValue {
    /// The value.
    pub value: Value,
    /// 0 … 1: the part of all rows that has it, NULLs counted among the rows.
    pub frequency: f64,
}

impl ColumnStatistics {
    /// How many distinct values there are likely to be when the table has so many rows.
    pub fn distinct_of(&self, rows: f64) -> f64 {
        let grows = self.grows();
        let distinct = match grows && self.rows > 0 {
            true => self.distinct / self.rows as f64 * rows,
            false => self.distinct,
        };
        distinct.min(rows)
    }

    /// Do more rows bring more distinct values?
    pub fn grows(&self) -> bool {
        self.distinct > GROWING * self.rows as f64
    }

    /// PostgreSQL's `n_distinct`: a number of values, or minus a part of the rows.
    pub fn n_distinct(&self) -> f64 {
        match self.grows() && self.rows > 0 {
            true => -(self.distinct / self.rows as f64).min(1.0),
            false => self.distinct,
        }
    }

    /// The part of all rows that has one of the common values.
    pub fn common_fraction(&self) -> f64 {
        self.common.iter().map(|common| common.frequency).sum()
    }

    /// The part of all rows that is neither NULL nor one of the common values: the histogram's.
    pub fn rest_fraction(&self) -> f64 {
        (1.0 - self.null_fraction - self.common_fraction()).max(0.0)
    }

    /// How many distinct values there were beside the common ones.
    pub fn rest_distinct(&self) -> f64 {
        (self.distinct - self.common.len() as f64).max(0.0)
    }

    /// Are the common values all that there were?
    pub fn common_are_all(&self) -> bool {
        !self.common.is_empty() && self.rest_distinct() < 0.5
    }

    /// The frequency of a common value; `None`: it is not one of them.
    pub fn frequency_of(&self, value: &Value) -> Option<f64> {
        let found = self.common.iter().find(|common| common.value == *value);
        found.map(|common| common.frequency)
    }

    /// 0 … 1: the part of the histogram's rows whose value is below this one, interpolated in its
    /// bucket (PostgreSQL's `ineq_histogram_selectivity`, selfuncs.c). `None`: no histogram.
    pub fn histogram_fraction_below(&self, value: &Value) -> Option<f64> {
        let bounds = self.histogram.as_slice();
        let buckets = bounds.len().checked_sub(1).filter(|buckets| *buckets > 0)?;
        let above = bounds.partition_point(|bound| bound < value);
        if above == 0 {
            return Some(0.0);
        }
        if above > buckets {
            return Some(1.0);
        }
        let within = value.position_between(&bounds[above - 1], &bounds[above]);
        Some(((above - 1) as f64 + within) / buckets as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(rows: u64, distinct: f64) -> ColumnStatistics {
        ColumnStatistics { rows, distinct, ..Default::default() }
    }

    #[test]
    fn distinct_values_grow_with_rows_where_they_are_many() {
        assert_eq!(column(1000, 1000.0).n_distinct(), -1.0);
        assert_eq!(column(1000, 1000.0).distinct_of(2000.0), 2000.0);
        assert_eq!(column(1000, 7.0).n_distinct(), 7.0);
        assert_eq!(column(1000, 7.0).distinct_of(2000.0), 7.0);
        assert_eq!(column(1000, 7.0).distinct_of(3.0), 3.0);
        assert_eq!(column(0, 0.0).n_distinct(), 0.0);
    }

    #[test]
    fn common_values_may_be_all_there_are() {
        let common = CommonValue { value: Value::Integer(1), frequency: 1.0 };
        let column = ColumnStatistics { common: vec![common], ..column(30, 1.0) };
        assert_eq!(column.n_distinct(), 1.0);
        assert!(column.common_are_all());
        assert_eq!(column.frequency_of(&Value::Integer(1)), Some(1.0));
        assert_eq!(column.frequency_of(&Value::Integer(2)), None);
    }

    #[test]
    fn ranges_are_interpolated_in_the_histogram() {
        let histogram = [0, 10, 20, 20, 40].map(Value::Integer).to_vec();
        let column = ColumnStatistics { histogram, ..Default::default() };
        let below = |value| column.histogram_fraction_below(&Value::Integer(value));
        assert_eq!(below(-1), Some(0.0));
        assert_eq!(below(0), Some(0.0));
        assert_eq!(below(5), Some(0.125));
        assert_eq!(below(20), Some(0.5));
        assert_eq!(below(30), Some(0.875));
        assert_eq!(below(41), Some(1.0));
        assert_eq!(ColumnStatistics::default().histogram_fraction_below(&Value::Integer(1)), None);
    }
}
