//! What is known of several columns together: how many combinations of values there are, and which
//! columns determine others.

use std::{
    collections::{HashMap, HashSet},
    mem::size_of_val,
};

use arrow::{
    array::{Array, ArrayRef},
    datatypes::DataType,
    row::{RowConverter, SortField},
};
use datafusion::{
    common::hash_utils::{HLL_RANDOM_STATE, create_hashes},
    error::Result,
};

use super::{
    super::{ColumnGroup, Dependency, GroupDistinct},
    Sample,
    distinct::Distinct,
};

/// Rows that dependencies are looked for in.
const DEPENDENCY_ROWS: usize = 10_000;

/// Some columns of one part of the rows, or of parts that were merged.
#[derive(Debug)]
pub(crate) struct GroupCollector {
    rows: u64,
    sample: Sample,
    /// By set of columns.
    distinct: Vec<(Vec<usize>, Distinct)>,
    hashes: Vec<Vec<u64>>,
}

/// What is left of the rows: what one datanode tells the next.
pub(crate) struct GroupState {
    pub(crate) rows: u64,
    /// By set of columns.
    pub(crate) sketches: Vec<Vec<u8>>,
    pub(crate) threshold: u64,
    pub(crate) tags: Vec<u64>,
    pub(crate) columns: Vec<ArrayRef>,
}

impl GroupCollector {
    /// Of columns of these types; `sample_rows`: see [`Sample`].
    pub(crate) fn new(types: &[DataType], sample_rows: usize) -> Result<Self> {
        let sets = subsets(types.len()).into_iter().filter(|set| set.len() > 1);
        let distinct = sets.map(|set| Ok((set, Distinct::new()?))).collect::<Result<_>>()?;
        Ok(Self {
            rows: 0,
            sample: Sample::of_equality(types.to_vec(), sample_rows),
            distinct,
            hashes: types.iter().map(|_| Vec::new()).collect(),
        })
    }

    /// Rows that come.
    pub(crate) fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        if rows == 0 {
            return Ok(());
        }
        self.rows += rows as u64;
        for (hashes, column) in self.hashes.iter_mut().zip(columns) {
            hashes.clear();
            // NULLs stay 0.
            hashes.resize(rows, 0);
            create_hashes([column], &HLL_RANDOM_STATE, hashes)?;
        }
        for (set, distinct) in &mut self.distinct {
            let sketch = distinct.sketch()?;
            for row in 0..rows {
                let combined = set.iter().map(|column| self.hashes[*column][row]);
                sketch.update(combined.fold(0, combine));
            }
        }
        self.sample.update(columns, self.hashes.iter().map(|hashes| hashes[0]).fold(0, combine))
    }

    /// What other rows have left comes.
    pub(crate) fn merge(&mut self, state: GroupState) -> Result<()> {
        self.rows += state.rows;
        for ((_, distinct), sketch) in self.distinct.iter_mut().zip(&state.sketches) {
            distinct.merge(sketch)?;
        }
        self.sample.merge(state.threshold, &state.tags, state.columns)
    }

    /// What is left.
    pub(crate) fn state(&mut self) -> Result<GroupState> {
        let sketches = self.distinct.iter().map(|(_, distinct)| distinct.serialize()).collect();
        let (threshold, tags, columns) = self.sample.parts()?;
        Ok(GroupState { rows: self.rows, sketches, threshold, tags: tags.to_vec(), columns })
    }

    /// What there is to say of all of it; columns are told by their positions.
    pub(crate) fn describe(&mut self) -> Result<ColumnGroup> {
        let columns = self.sample.columns()?;
        let codes = columns.iter().map(codes).collect::<Result<Vec<_>>>()?;
        let sampled = self.sample.rows();
        let is_everything = self.sample.is_everything();
        let distinct = self.distinct.iter().map(|(set, sketch)| {
            let in_sample = distinct_in(&codes, set, sampled) as f64;
            let distinct = match is_everything {
                true => in_sample,
                false => sketch.estimate().round().clamp(in_sample, self.rows as f64),
            };
            GroupDistinct { columns: positions(set), distinct }
        });
        let distinct = distinct.collect();
        let looked_at = sampled.min(DEPENDENCY_ROWS);
        let mut dependencies = Vec::new();
        for from in subsets(columns.len()) {
            for to in (0..columns.len()).filter(|to| !from.contains(to)) {
                let degree = degree(&codes, &from, to, looked_at);
                if degree > 0.0 {
                    let from = positions(&from);
                    dependencies.push(Dependency { from, to: to as u32, degree });
                }
            }
        }
        Ok(ColumnGroup { statistics: 0, distinct, dependencies })
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        let sketches: usize = self.distinct.iter().map(|(_, distinct)| distinct.size()).sum();
        let hashes: usize = self.hashes.iter().map(|hashes| hashes.capacity() * 8).sum();
        size_of_val(self) + self.sample.size() + sketches + hashes
    }
}

fn combine(sum: u64, hash: u64) -> u64 {
    (sum.rotate_left(23) ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn positions(set: &[usize]) -> Vec<u32> {
    set.iter().map(|column| *column as u32).collect()
}

/// All sets of columns but the empty one, in an order that is always the same.
fn subsets(columns: usize) -> Vec<Vec<usize>> {
    let set = |bits: usize| (0..columns).filter(|column| bits >> column & 1 == 1).collect();
    (1..1usize << columns).map(set).collect()
}

/// A number for each row; equal values have equal numbers, NULL is one, too.
fn codes(column: &ArrayRef) -> Result<Vec<u32>> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(column))?;
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    let codes = (0..column.len()).map(|row| {
        let next = known.len() as u32;
        *known.entry(rows.row(row).data()).or_insert(next)
    });
    Ok(codes.collect())
}

fn distinct_in(codes: &[Vec<u32>], set: &[usize], rows: usize) -> usize {
    let keys = (0..rows).map(|row| set.iter().map(|c| codes[*c][row]).collect::<Vec<_>>());
    keys.collect::<HashSet<_>>().len()
}

/// The part of the rows whose values of `from` are only found together with one value of `to`
/// (`dependency_degree`, statistics/dependencies.c).
fn degree(codes: &[Vec<u32>], from: &[usize], to: usize, rows: usize) -> f64 {
    if rows == 0 {
        return 0.0;
    }
    // The value that came first, how many rows, and whether another came.
    let mut groups: HashMap<Vec<u32>, (u32, usize, bool)> = HashMap::new();
    for (row, value) in codes[to].iter().enumerate().take(rows) {
        let key = from.iter().map(|column| codes[*column][row]).collect();
        let group = groups.entry(key).or_insert((*value, 0, true));
        group.1 += 1;
        group.2 &= group.0 == *value;
    }
    let supporting = groups.values().filter(|(.., holds)| *holds).map(|(_, count, _)| count);
    supporting.sum::<usize>() as f64 / rows as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int32Array;

    use super::*;

    fn column(rows: i32, value: impl Fn(i32) -> Option<i32>) -> ArrayRef {
        Arc::new((0..rows).map(value).collect::<Int32Array>())
    }

    fn described(columns: &[ArrayRef], sample_rows: usize) -> ColumnGroup {
        let types: Vec<_> = columns.iter().map(|c| c.data_type().clone()).collect();
        let rows = columns[0].len();
        let mut whole = GroupCollector::new(&types, sample_rows).unwrap();
        for half in [0..rows / 2, rows / 2..rows] {
            let mut part = GroupCollector::new(&types, sample_rows).unwrap();
            let slices: Vec<_> = columns.iter().map(|c| c.slice(half.start, half.len())).collect();
            part.update(&slices).unwrap();
            whole.merge(part.state().unwrap()).unwrap();
        }
        whole.describe().unwrap()
    }

    #[test]
    fn combinations_are_counted_and_dependencies_found() {
        // 20 cities in 5 countries; the third column goes with neither.
        let city = column(1000, |i| Some(i % 20));
        let country = column(1000, |i| Some(i % 20 % 5));
        let other = column(1000, |i| (i % 3 > 0).then_some(i % 3));
        let group = described(&[city, country, other], 1000);
        let distinct = |columns: &[u32]| {
            let found = group.distinct.iter().find(|d| d.columns == columns);
            found.map(|d| d.distinct)
        };
        assert_eq!(distinct(&[0, 1]), Some(20.0));
        assert_eq!(distinct(&[1, 2]), Some(15.0));
        assert_eq!(distinct(&[0, 1, 2]), Some(60.0));
        assert_eq!(distinct(&[0]), None);
        let degree = |from: &[u32], to: u32| {
            let found = group.dependencies.iter().find(|d| d.from == from && d.to == to);
            found.map_or(0.0, |d| d.degree)
        };
        assert_eq!(degree(&[0], 1), 1.0);
        assert_eq!(degree(&[1], 0), 0.0);
        assert_eq!(degree(&[0, 2], 1), 1.0);
        assert_eq!(degree(&[0], 2), 0.0);
    }

    #[test]
    fn many_combinations_are_estimated() {
        let a = column(100_000, |i| Some(i % 300));
        let b = column(100_000, |i| Some(i / 1000));
        let group = described(&[a, b], 1000);
        let distinct = group.distinct[0].distinct;
        assert!((distinct / 30_000.0 - 1.0).abs() < 0.05, "{distinct}");
    }
}
