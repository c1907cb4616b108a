//! A sample of rows, each as likely as any other, that samples of other rows can be merged with.

use std::mem::size_of;

use arrow::{
    array::{Array, ArrayRef, AsArray, UInt32Array, new_empty_array},
    compute::{concat, take},
    datatypes::DataType,
};
use datafusion::error::Result;

use super::{random::Random, wide};

/// Every row has a random tag; those with the smallest tags are kept ("bottom-k": Cohen, Kaplan,
/// Summarizing Data using Bottom-k Sketches, 2007). Between `limit` and twice as many rows, or all.
#[derive(Debug)]
pub(crate) struct Sample {
    types: Vec<DataType>,
    limit: usize,
    /// Rows whose tag is at least this are not in it. The largest: all rows are.
    threshold: u64,
    /// By row.
    tags: Vec<u64>,
    /// By column, the rows in pieces.
    pieces: Vec<Vec<ArrayRef>>,
    /// Their bytes in memory.
    bytes: usize,
    /// What is kept of values: not the widest.
    kept: fn(ArrayRef) -> ArrayRef,
    random: Option<Random>,
    /// Rows to leave out.
    gap: u64,
}

impl Sample {
    /// Of values of these types; instead of too wide ones it has NULL.
    pub(crate) fn new(types: Vec<DataType>, limit: usize) -> Self {
        let pieces = types.iter().map(|_| Vec::new()).collect();
        let limit = limit.max(1);
        let (threshold, tags) = (u64::MAX, Vec::new());
        let kept = wide::left_out;
        Self { types, limit, threshold, tags, pieces, bytes: 0, kept, random: None, gap: 0 }
    }

    /// The same for whoever asks only which values are equal: something short instead of wide ones.
    pub(crate) fn of_equality(types: Vec<DataType>, limit: usize) -> Self {
        Self { kept: wide::stood_in_for, ..Self::new(types, limit) }
    }

    /// Rows in it.
    pub(crate) fn rows(&self) -> usize {
        self.tags.len()
    }

    /// Are all rows in it?
    pub(crate) fn is_everything(&self) -> bool {
        self.threshold == u64::MAX
    }

    /// Rows that come; `seed` may be any number that other datanodes are not likely to have.
    pub(crate) fn update(&mut self, columns: &[ArrayRef], seed: u64) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len()) as u64;
        let mut random = self.random.take().unwrap_or_else(|| Random::new(seed));
        let probability = self.probability();
        let mut taken: Vec<u32> = Vec::new();
        let mut at = self.gap;
        while at < rows {
            taken.push(at as u32);
            self.tags.push(self.tag(&mut random));
            at = at.saturating_add(1).saturating_add(random.gap(probability));
        }
        self.gap = at - rows;
        if !taken.is_empty() {
            let taken = UInt32Array::from(taken);
            for (pieces, column) in self.pieces.iter_mut().zip(columns) {
                let piece = own((self.kept)(take(column, &taken, None)?));
                self.bytes += piece.get_array_memory_size();
                pieces.push(piece);
            }
        }
        self.shrink()?;
        if self.probability() < probability {
            // The gap was that of more rows; any other of the right length is as good.
            self.gap = random.gap(self.probability());
        }
        self.random = Some(random);
        Ok(())
    }

    /// How likely a row is to be in it.
    fn probability(&self) -> f64 {
        self.threshold as f64 / u64::MAX as f64
    }

    /// Uniform among those below the threshold.
    fn tag(&self, random: &mut Random) -> u64 {
        ((u128::from(random.next()) * u128::from(self.threshold)) >> 64) as u64
    }

    /// The rows of another sample come.
    pub(crate) fn merge(
        &mut self,
        threshold: u64,
        tags: &[u64],
        columns: Vec<ArrayRef>,
    ) -> Result<()> {
        self.tags.extend_from_slice(tags);
        for (pieces, column) in self.pieces.iter_mut().zip(columns) {
            self.bytes += column.get_array_memory_size();
            pieces.push(column);
        }
        if threshold != self.threshold {
            self.lower(threshold.min(self.threshold))?;
        }
        self.shrink()
    }

    /// Threshold, tags and columns, as [`Self::merge`] takes them.
    pub(crate) fn parts(&mut self) -> Result<(u64, &[u64], Vec<ArrayRef>)> {
        let columns = self.columns()?;
        Ok((self.threshold, &self.tags, columns))
    }

    /// The sampled rows.
    pub(crate) fn columns(&mut self) -> Result<Vec<ArrayRef>> {
        let pieces = self.pieces.iter_mut().zip(&self.types);
        let columns = pieces.map(|(pieces, data_type)| {
            let whole = match pieces.as_slice() {
                [] => new_empty_array(data_type),
                [one] => ArrayRef::clone(one),
                several => concat(&several.iter().map(|a| a.as_ref()).collect::<Vec<_>>())?,
            };
            *pieces = vec![ArrayRef::clone(&whole)];
            Ok(whole)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.count_bytes();
        Ok(columns)
    }

    fn count_bytes(&mut self) {
        let pieces = self.pieces.iter().flatten();
        self.bytes = pieces.map(|piece| piece.get_array_memory_size()).sum();
    }

    fn shrink(&mut self) -> Result<()> {
        if self.tags.len() <= 2 * self.limit {
            return Ok(());
        }
        let mut tags = self.tags.clone();
        let (_, threshold, _) = tags.select_nth_unstable(self.limit);
        self.lower(*threshold)
    }

    fn lower(&mut self, threshold: u64) -> Result<()> {
        self.threshold = threshold;
        let kept = self.tags.iter().enumerate().filter(|(_, tag)| **tag < threshold);
        let kept = UInt32Array::from_iter_values(kept.map(|(row, _)| row as u32));
        for (column, pieces) in self.columns()?.iter().zip(&mut self.pieces) {
            *pieces = vec![own(take(column, &kept, None)?)];
        }
        self.count_bytes();
        self.tags.retain(|tag| *tag < threshold);
        Ok(())
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        self.bytes + self.tags.capacity() * size_of::<u64>()
    }
}

/// Views of a few values would keep the buffers of all of them.
fn own(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => std::sync::Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => std::sync::Arc::new(array.as_binary_view().gc()),
        _ => array,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{array::Int64Array, datatypes::Int64Type};

    use super::*;

    fn numbers(range: std::ops::Range<i64>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(range))
    }

    fn sample(limit: usize, bounds: &[i64]) -> Sample {
        let mut sample = Sample::new(vec![DataType::Int64], limit);
        for (at, pair) in bounds.windows(2).enumerate() {
            sample.update(&[numbers(pair[0]..pair[1])], at as u64).unwrap();
        }
        sample
    }

    fn mean(sample: &mut Sample) -> f64 {
        let column = sample.columns().unwrap().remove(0);
        let values = column.as_primitive::<Int64Type>().values();
        values.iter().sum::<i64>() as f64 / values.len() as f64
    }

    #[test]
    fn few_rows_are_all_in_it() {
        let mut few = sample(100, &[0, 80, 200]);
        assert!(few.is_everything());
        assert_eq!(few.columns().unwrap()[0].as_ref(), numbers(0..200).as_ref());
    }

    #[test]
    fn every_row_is_as_likely() {
        let bounds: Vec<_> = (0..=100).map(|i| i * 1000).collect();
        let mut many = sample(1000, &bounds);
        assert!(!many.is_everything());
        assert!((1000..=2000).contains(&many.rows()), "{}", many.rows());
        let mean = mean(&mut many);
        assert!((mean - 50_000.0).abs() < 4000.0, "{mean}");
    }

    #[test]
    fn samples_are_merged_in_proportion() {
        let bounds: Vec<_> = (0..=90).map(|i| i * 1000).collect();
        let mut large = sample(1000, &bounds);
        let mut small = Sample::new(vec![DataType::Int64], 1000);
        small.update(&[numbers(1_000_000..1_010_000)], 77).unwrap();
        let (threshold, tags, columns) = small.parts().unwrap();
        large.merge(threshold, tags, columns).unwrap();
        let rows = large.rows();
        let column = large.columns().unwrap().remove(0);
        let values = column.as_primitive::<Int64Type>().values();
        let of_small = values.iter().filter(|value| **value >= 1_000_000).count();
        let part = of_small as f64 / rows as f64;
        assert!((0.05..0.15).contains(&part), "{part}");
    }

    #[test]
    fn everything_and_everything_is_everything() {
        let mut all = sample(100, &[0, 10]);
        let mut others = sample(100, &[10, 20]);
        let (threshold, tags, columns) = others.parts().unwrap();
        all.merge(threshold, tags, columns).unwrap();
        assert!(all.is_everything());
        assert_eq!(all.rows(), 20);
        let mut none = Sample::new(vec![DataType::Int64], 100);
        let (threshold, tags, columns) = none.parts().unwrap();
        all.merge(threshold, tags, columns).unwrap();
        assert_eq!(all.columns().unwrap()[0].len(), 20);
    }
}
