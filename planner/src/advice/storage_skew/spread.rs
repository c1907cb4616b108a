//! How rows lie on the datanodes when they are distributed by a key: frequent values where the real hash
//! places them, the others evenly, but for chance.

use arrow::array::ArrayRef;
use datafusion::scalar::ScalarValue;

use super::super::TableState;
use crate::{
    cardinality::scalar,
    catalog::{ColumnDef, HashClass},
    placement::{buckets, owners},
    statistics::{ColumnStatistics, TableStatistics},
};

/// Frequent values of each column of a key of several: all their combinations are hashed.
const COMBINED_VALUES: usize = 32;

/// How rows would lie.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Spread {
    /// 0 … 1: the part of the rows that the fullest datanode would have.
    pub(in super::super) fullest: f64,
    /// How many values the key has, other than NULL.
    pub(in super::super) distinct: f64,
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
        let distinct = distinct(state, statistics, key, &columns);
        let nulls = columns.iter().map(|(_, known)| known.null_fraction).product();
        let is_value = |frequent: &&Frequent| frequent.values.iter().all(|v| !v.is_null());
        let heaviest = frequent.iter().filter(is_value).max_by(|a, b| a.part.total_cmp(&b.part));
        let heaviest = heaviest.map(|frequent| (frequent.text.join(", "), frequent.part));
        let fullest = fullest(state, &frequent, distinct, &classes)?;
        Some(Self { fullest, distinct, heaviest, nulls })
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

/// How many values a key has: what CREATE STATISTICS counts, else as many as columns allow.
fn distinct(
    state: &TableState,
    statistics: &TableStatistics,
    key: &[u32],
    columns: &[(&ColumnDef, &ColumnStatistics)],
) -> f64 {
    let rows = state.rows as f64;
    let mut sorted = key.to_vec();
    sorted.sort_unstable();
    let mut groups = statistics.groups.iter().flat_map(|group| &group.distinct);
    if let Some(counted) = groups.find(|group| group.columns == sorted) {
        return counted.distinct;
    }
    let of_columns = columns.iter().map(|(_, known)| known.distinct_of(rows).max(1.0));
    of_columns.product::<f64>().min(rows.max(1.0))
}

/// The part of the rows on the fullest datanode.
fn fullest(
    state: &TableState,
    frequent: &[Frequent],
    distinct: f64,
    classes: &[HashClass],
) -> Option<f64> {
    let (nodes, map) = (state.shards.len(), &state.bucket_map);
    let mut shares = vec![0.0; nodes];
    let bucket = 1.0 / map.owners().len().max(1) as f64;
    map.owners()
        .iter()
        .filter_map(|owner| owner_of(owner.0, nodes))
        .for_each(|o| shares[o] += bucket);
    let rest = (1.0 - frequent.iter().map(|value| value.part).sum::<f64>()).max(0.0);
    let mut loads: Vec<f64> = shares.iter().map(|share| share * rest).collect();
    if !frequent.is_empty() {
        let columns = (0..classes.len()).map(|at| {
            let values = frequent.iter().map(|value| value.values.get(at).cloned());
            let values = values.collect::<Option<Vec<_>>>()?;
            ScalarValue::iter_to_array(values).ok()
        });
        let columns = columns.collect::<Option<Vec<ArrayRef>>>()?;
        let owners = owners(&buckets(&columns, classes).ok()?, map);
        for (value, owner) in frequent.iter().zip(owners) {
            loads[owner_of(owner, nodes)?] += value.part;
        }
    }
    // The fullest of n shares of K values has about √(2 ln n) standard deviations of √((n − 1) / K) more
    // than its own (the expected maximum of n normal variables).
    let others = (distinct - frequent.len() as f64).max(1.0);
    let chance = ((nodes as f64 - 1.0) / others).sqrt() * (2.0 * (nodes as f64).ln()).sqrt();
    let fullest = loads.into_iter().fold(0.0, f64::max) + rest / nodes as f64 * chance;
    Some(fullest.clamp(1.0 / nodes as f64, 1.0))
}

fn owner_of(owner: u32, nodes: usize) -> Option<usize> {
    Some(owner as usize).filter(|owner| *owner < nodes)
}
