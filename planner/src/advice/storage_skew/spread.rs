//! How rows lie on the datanodes when they are distributed by a key: frequent values where the real hash
//! places them, the others evenly, but for chance.

use std::{collections::HashSet, sync::Arc};

use arrow::array::{Array, ArrayRef, Int64Array};
use datafusion::scalar::ScalarValue;

use super::super::TableState;
use crate::{
    cardinality::scalar,
    catalog::{ColumnDef, HashClass},
    placement::{buckets, owners},
    statistics::{ColumnStatistics, TableStatistics, Value},
};

/// Frequent values of each column of a key of several: all their combinations are hashed.
const COMBINED_VALUES: usize = 32;
/// Of more values chance makes little; so many are hashed in less than a tenth of a millisecond.
const HASHED_MAX: i64 = 8192;
/// As many values as integers from the smallest to the largest, but for the error of the estimate.
const WITHOUT_GAPS: f64 = 0.95;

/// How rows would lie.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Spread {
    /// 0 … 1: the part of the rows that the fullest datanode would have.
    pub(in super::super) fullest: f64,
    /// How many values the key has, other than NULL.
    pub(in super::super) distinct: f64,
    /// ANALYZE has counted them: of one column always, of several what CREATE STATISTICS asks for.
    pub(in super::super) is_counted: bool,
    /// The most frequent of them as text, and its part of the rows.
    pub(in super::super) heaviest: Option<(String, f64)>,
    /// The part of the rows of which the whole key is NULL.
    pub(in super::super) nulls: f64,
}

/// A key's value that is frequent, one for each column; `None`: NULL.
#[derive(Clone, Debug)]
struct Frequent {
    values: Vec<ScalarValue>,
    text: Vec<String>,
    part: f64,
}

impl Spread {
    /// By these columns; `None`: one of them cannot be hashed, or was not analyzed.
    pub(in super::super) fn of(state: &TableState, key: &[u32]) -> Option<Self> {
        let statistics = state.statistics.as_deref()?;
        let columns = key.iter().map(|id| state.column(*id)).collect::<Option<Vec<_>>>()?;
        let classes = columns.iter().map(|(column, _)| column.sql_type.hash_class());
        let classes = classes.collect::<Option<Vec<_>>>()?;
        let limit = if columns.len() == 1 { usize::MAX } else { COMBINED_VALUES };
        let mut frequent = vec![Frequent { values: vec![], text: vec![], part: 1.0 }];
        for (column, known) in &columns {
            frequent = combined(&frequent, &frequent_values(column, known, limit)?);
        }
        let counted = counted(statistics, key);
        let distinct = counted.unwrap_or_else(|| distinct(state, &columns));
        let nulls = columns.iter().map(|(_, known)| known.null_fraction).product();
        let is_value = |frequent: &&Frequent| frequent.values.iter().all(|v| !v.is_null());
        let heaviest = frequent.iter().filter(is_value).max_by(|a, b| a.part.total_cmp(&b.part));
        let heaviest = heaviest.map(|frequent| (frequent.text.join(", "), frequent.part));
        let squares = squares(&columns, &frequent, distinct);
        let known = Known { frequent: &frequent, others: others(&columns), squares };
        let fullest = fullest(state, &known, &classes)?;
        let is_counted = columns.len() == 1 || counted.is_some();
        Some(Self { fullest, distinct, is_counted, heaviest, nulls })
    }

    /// 0 … 1: the part of the datanodes' time that a scan would leave idle.
    pub(in super::super) fn idle(&self, datanodes: usize) -> f64 {
        (1.0 - 1.0 / (datanodes.max(1) as f64 * self.fullest)).max(0.0)
    }
}

/// A column's NULL and its most common values; `None`: they have no form in Arrow here.
fn frequent_values(
    column: &ColumnDef,
    known: &ColumnStatistics,
    limit: usize,
) -> Option<Vec<Frequent>> {
    let data_type = column.sql_type.arrow();
    let mut values = Vec::new();
    if known.null_fraction > 0.0 {
        let null = ScalarValue::try_from(&data_type).ok()?;
        let text = vec!["NULL".to_string()];
        values.push(Frequent { values: vec![null], text, part: known.null_fraction });
    }
    for common in known.common.iter().take(limit) {
        values.push(Frequent {
            values: vec![scalar(&common.value, &data_type)?],
            text: vec![common.value.quoted(column.sql_type)],
            part: common.frequency,
        });
    }
    Some(values)
}

/// Each with each, as if columns did not depend on one another.
fn combined(before: &[Frequent], column: &[Frequent]) -> Vec<Frequent> {
    let pairs = before.iter().flat_map(|one| column.iter().map(move |other| (one, other)));
    let pair = |(one, other): (&Frequent, &Frequent)| Frequent {
        values: [one.values.as_slice(), &other.values].concat(),
        text: [one.text.as_slice(), &other.text].concat(),
        part: one.part * other.part,
    };
    pairs.map(pair).collect()
}

/// How many values a key of several columns has, if CREATE STATISTICS has asked for it.
fn counted(statistics: &TableStatistics, key: &[u32]) -> Option<f64> {
    let mut sorted = key.to_vec();
    sorted.sort_unstable();
    let mut groups = statistics.groups.iter().flat_map(|group| &group.distinct);
    groups.find(|group| group.columns == sorted).map(|group| group.distinct)
}

/// How many values a key has at most.
fn distinct(state: &TableState, columns: &[(&ColumnDef, &ColumnStatistics)]) -> f64 {
    let rows = state.rows as f64;
    let of_columns = columns.iter().map(|(_, known)| known.distinct_of(rows).max(1.0));
    of_columns.product::<f64>().min(rows.max(1.0))
}

/// The values beside the common ones of a key that is one column of integers without gaps: what rows of a
/// dimension are numbered by.
fn others(columns: &[(&ColumnDef, &ColumnStatistics)]) -> Option<ArrayRef> {
    let [(column, known)] = columns else { return None };
    let (Some(Value::Integer(low)), Some(Value::Integer(high))) = (&known.minimum, &known.maximum)
    else {
        return None;
    };
    let values = high.checked_sub(*low)?.checked_add(1)?;
    let is_integer = column.sql_type.hash_class() == Some(HashClass::Integer);
    let is_dense = known.distinct >= WITHOUT_GAPS * values as f64;
    if !is_integer || !is_dense || values > HASHED_MAX {
        return None;
    }
    let common: HashSet<&Value> = known.common.iter().map(|common| &common.value).collect();
    let values = (*low..=*high).filter(|value| !common.contains(&Value::Integer(*value)));
    let values: Int64Array = values.map(Some).collect();
    (!values.is_empty()).then(|| Arc::new(values) as ArrayRef)
}

/// The sum of the squares of the parts that values have beside the frequent ones, as if columns did not
/// depend on one another. Of one column it is `rest² / K`; a pair of NULL in half the rows and of a hundred
/// values is as uneven as few values are, however many pairs there are.
fn squares(
    columns: &[(&ColumnDef, &ColumnStatistics)],
    frequent: &[Frequent],
    distinct: f64,
) -> f64 {
    let of_columns = columns.iter().map(|(_, known)| {
        let common = known.common.iter().map(|common| common.frequency.powi(2)).sum::<f64>();
        let rest = known.rest_fraction().powi(2) / known.rest_distinct().max(1.0);
        known.null_fraction.powi(2) + common + rest
    });
    let of_frequent = frequent.iter().map(|value| value.part.powi(2)).sum::<f64>();
    let others = (distinct - frequent.len() as f64).max(1.0);
    (of_columns.product::<f64>() - of_frequent).max(rest(frequent).powi(2) / others)
}

/// 0 … 1: the part of the rows that no frequent value has.
fn rest(frequent: &[Frequent]) -> f64 {
    (1.0 - frequent.iter().map(|value| value.part).sum::<f64>()).max(0.0)
}

/// What is known of a key's values.
struct Known<'a> {
    frequent: &'a [Frequent],
    /// Those beside the frequent ones, if all of them are known.
    others: Option<ArrayRef>,
    /// See [`squares`].
    squares: f64,
}

/// The part of the rows on the fullest datanode.
fn fullest(state: &TableState, known: &Known<'_>, classes: &[HashClass]) -> Option<f64> {
    let (frequent, nodes) = (known.frequent, state.shards.len());
    let owned =
        |columns: &[ArrayRef]| Some(owners(&buckets(columns, classes).ok()?, &state.bucket_map));
    let mut loads = vec![0.0; nodes];
    if !frequent.is_empty() {
        let columns = (0..classes.len()).map(|at| {
            let values = frequent.iter().map(|value| value.values.get(at).cloned());
            let values = values.collect::<Option<Vec<_>>>()?;
            ScalarValue::iter_to_array(values).ok()
        });
        let columns = columns.collect::<Option<Vec<ArrayRef>>>()?;
        for (value, owner) in frequent.iter().zip(owned(&columns)?) {
            loads[owner_of(owner, nodes)?] += value.part;
        }
    }
    let rest = rest(frequent);
    let chance = match &known.others {
        Some(others) => {
            let part = rest / others.len() as f64;
            for owner in owned(std::slice::from_ref(others))? {
                loads[owner_of(owner, nodes)?] += part;
            }
            0.0
        }
        None => {
            let owners = state.bucket_map.owners();
            let part = rest / owners.len().max(1) as f64;
            for owner in owners {
                loads[owner_of(owner.0, nodes)?] += part;
            }
            chance(&loads, known.squares)
        }
    };
    let fullest = loads.into_iter().fold(0.0, f64::max) + chance;
    Some(fullest.clamp(1.0 / nodes as f64, 1.0))
}

/// What the fullest of `n` datanodes is likely to have more than its own, where chance deals out values
/// whose parts' squares have this sum, `S`. What one datanode gets of them has a variance of
/// `S · (n − 1) / n²`, and what the others get is less by as much (the multinomial distribution): the
/// largest is `√(S / n)` times the expected maximum of normal variables. Only those are compared that may
/// be the fullest.
fn chance(loads: &[f64], squares: f64) -> f64 {
    let nodes = loads.len() as f64;
    let largest = loads.iter().copied().fold(0.0, f64::max);
    let within = 2.0 * (squares * (nodes - 1.0)).sqrt() / nodes;
    let near = loads.iter().filter(|load| largest - **load <= within).count();
    (squares / nodes).sqrt() * expected_maximum(near as f64)
}

/// Of `n` independent standard normal variables: the quantile at `(n − 3/8) / (n + 1/4)` (Blom: Statistical
/// estimates and transformed beta-variables, 1958), by Abramowitz and Stegun's formula 26.2.23.
fn expected_maximum(n: f64) -> f64 {
    let above = 0.625 / (n + 0.25);
    let t = (-2.0 * above.ln()).sqrt();
    let numerator = 2.515517 + t * (0.802853 + t * 0.010328);
    let denominator = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    (t - numerator / denominator).max(0.0)
}

fn owner_of(owner: u32, nodes: usize) -> Option<usize> {
    Some(owner as usize).filter(|owner| *owner < nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Harter: Expected values of normal order statistics, 1961.
    #[test]
    fn the_expected_maximum_is_that_of_tables() {
        for (n, expected) in [(1.0, 0.0), (2.0, 0.564), (3.0, 0.846), (4.0, 1.029), (8.0, 1.424)] {
            let found = expected_maximum(n);
            assert!((found - expected).abs() < 0.03, "{n}: {found}");
        }
    }

    #[test]
    fn chance_is_of_those_that_may_be_the_fullest() {
        let all = chance(&[0.25; 4], 1.0 / 400.0);
        assert!((all - 0.25 * 0.1 * 1.029).abs() < 0.001, "{all}");
        assert!(chance(&[0.7, 0.1, 0.1, 0.1], 0.4 * 0.4 / 400.0) < 1e-3);
    }
}
