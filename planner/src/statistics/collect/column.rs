//! What is known of a column while its rows are read: counts, a sketch of its values, a sample.

use std::mem::size_of_val;

use arrow::{
    array::{Array, ArrayRef},
    datatypes::DataType,
};
use datafusion::{
    common::{
        ScalarValue,
        hash_utils::{HLL_RANDOM_STATE, create_hashes},
    },
    error::Result,
    functions_aggregate::min_max::{MaxAccumulator, MinAccumulator},
    logical_expr::Accumulator,
};

use super::{
    super::ColumnStatistics, Sample, describe, distinct::Distinct, sampled::Sampled, wide, width,
};

/// Without a duplicate in the sample, and this near to as many as there are rows: all are distinct.
const ALL_DISTINCT: f64 = 0.95;

/// One column of one part of the rows, or of parts that were merged.
#[derive(Debug)]
pub(crate) struct ColumnCollector {
    rows: u64,
    nulls: u64,
    wide: Wide,
    distinct: Distinct,
    sample: Sample,
    /// `None`: the sample tells.
    bounds: Option<(MinAccumulator, MaxAccumulator)>,
    hashes: Vec<u64>,
}

/// Values that are not in samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wide {
    /// How many.
    pub(crate) rows: u64,
    /// Bytes that PostgreSQL would hold them in.
    pub(crate) bytes: u64,
}

impl Wide {
    fn add(&mut self, rows: u64, bytes: u64) {
        (self.rows, self.bytes) = (self.rows + rows, self.bytes.saturating_add(bytes));
    }
}

/// What is left of the rows: what one datanode tells the next.
pub(crate) struct ColumnState {
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    pub(crate) wide: Wide,
    pub(crate) sketch: Vec<u8>,
    pub(crate) threshold: u64,
    pub(crate) tags: Vec<u64>,
    pub(crate) values: ArrayRef,
    pub(crate) minimum: ScalarValue,
    pub(crate) maximum: ScalarValue,
}

impl ColumnCollector {
    /// Of a column of this type; `sample_rows`: see [`Sample`].
    pub(crate) fn new(data_type: &DataType, sample_rows: usize) -> Result<Self> {
        // DataFusion cannot compare the others, or not as PostgreSQL does.
        let is_compared =
            !matches!(data_type, DataType::FixedSizeBinary(_) | DataType::Interval(_));
        let bounds = match is_compared {
            true => {
                Some((MinAccumulator::try_new(data_type)?, MaxAccumulator::try_new(data_type)?))
            }
            false => None,
        };
        Ok(Self {
            rows: 0,
            nulls: 0,
            wide: Wide::default(),
            distinct: Distinct::new()?,
            sample: Sample::new(vec![data_type.clone()], sample_rows),
            bounds,
            hashes: Vec::new(),
        })
    }

    /// Rows that come.
    pub(crate) fn update(&mut self, values: &ArrayRef) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        self.rows += values.len() as u64;
        self.nulls += values.null_count() as u64;
        let (wide, bytes) = wide::counted(values);
        self.wide.add(wide, bytes);
        self.hashes.clear();
        self.hashes.resize(values.len(), 0);
        create_hashes([values], &HLL_RANDOM_STATE, &mut self.hashes)?;
        let sketch = self.distinct.sketch()?;
        match values.nulls() {
            Some(nulls) => nulls.valid_indices().for_each(|row| sketch.update(self.hashes[row])),
            None => {
                // Equal neighbours are frequent in files, and say nothing new.
                let mut last = self.hashes[0];
                sketch.update(last);
                for hash in &self.hashes {
                    if *hash != last {
                        sketch.update(*hash);
                        last = *hash;
                    }
                }
            }
        }
        if let Some((minimum, maximum)) = &mut self.bounds {
            minimum.update_batch(std::slice::from_ref(values))?;
            maximum.update_batch(std::slice::from_ref(values))?;
        }
        self.sample.update(std::slice::from_ref(values), self.hashes[0])
    }

    /// What other rows have left comes.
    pub(crate) fn merge(&mut self, state: ColumnState) -> Result<()> {
        self.rows += state.rows;
        self.nulls += state.nulls;
        self.wide.add(state.wide.rows, state.wide.bytes);
        self.distinct.merge(&state.sketch)?;
        self.sample.merge(state.threshold, &state.tags, vec![state.values])?;
        if let Some((minimum, maximum)) = &mut self.bounds {
            minimum.update_batch(&[state.minimum.to_array()?])?;
            maximum.update_batch(&[state.maximum.to_array()?])?;
        }
        Ok(())
    }

    /// What is left.
    pub(crate) fn state(&mut self, data_type: &DataType) -> Result<ColumnState> {
        let (minimum, maximum) = self.found_bounds(data_type)?;
        let (threshold, tags, mut columns) = self.sample.parts()?;
        Ok(ColumnState {
            rows: self.rows,
            nulls: self.nulls,
            wide: self.wide,
            sketch: self.distinct.serialize(),
            threshold,
            tags: tags.to_vec(),
            values: columns.swap_remove(0),
            minimum,
            maximum,
        })
    }

    fn found_bounds(&mut self, data_type: &DataType) -> Result<(ScalarValue, ScalarValue)> {
        match &mut self.bounds {
            Some((minimum, maximum)) => Ok((minimum.evaluate()?, maximum.evaluate()?)),
            None => Ok((ScalarValue::try_from(data_type)?, ScalarValue::try_from(data_type)?)),
        }
    }

    /// What there is to say of all of it, with at most `target` common values and buckets. `of_rows`: what has
    /// come are some rows of so many, each as likely as any other.
    pub(crate) fn describe(
        &mut self,
        data_type: &DataType,
        target: usize,
        of_rows: Option<u64>,
    ) -> Result<ColumnStatistics> {
        let bounds = self.found_bounds(data_type)?;
        let values = self.sample.columns()?.swap_remove(0);
        let runs = describe::Runs::of(&values)?;
        let null_fraction = self.nulls as f64 / self.rows.max(1) as f64;
        let of_rows = of_rows.filter(|rows| *rows > self.rows);
        let distinct = match of_rows {
            Some(rows) => {
                let present = rows as f64 * (1.0 - null_fraction);
                self.sampled(&runs, values.len()).distinct_of(present)
            }
            None if self.sample.is_everything() && self.wide.rows == 0 => runs.len() as f64,
            None => self.estimated_distinct(&runs),
        };
        let facts = describe::Facts {
            rows: of_rows.unwrap_or(self.rows),
            null_fraction,
            average_width: self.average_width(&values),
            distinct,
            bounds,
        };
        describe::describe(facts, &runs, values.len(), target)
    }

    /// Of all values that are not NULL; `values`: the sample.
    fn average_width(&self, values: &ArrayRef) -> f64 {
        let narrow = width::average(values);
        if self.wide.rows == 0 {
            return narrow;
        }
        let present = self.rows - self.nulls;
        let all_narrow = narrow * present.saturating_sub(self.wide.rows) as f64;
        (all_narrow + self.wide.bytes as f64) / present.max(1) as f64
    }

    /// Of the values in `rows` sampled rows. The wide ones, which nobody compares, are thought to be different.
    fn sampled(&self, runs: &describe::Runs, rows: usize) -> Sampled {
        let part = rows as f64 / self.rows.max(1) as f64;
        let wide = self.wide.rows as f64 * part;
        Sampled {
            values: runs.values() as f64 + wide,
            distinct: runs.len() as f64 + wide,
            once: runs.once() as f64 + wide,
        }
    }

    fn estimated_distinct(&self, runs: &describe::Runs) -> f64 {
        let present = (self.rows - self.nulls) as f64;
        let estimate = self.distinct.estimate().round();
        if !runs.has_duplicates() && estimate >= ALL_DISTINCT * present {
            return present;
        }
        // Wide values are none of the sample's.
        let known = runs.len() + usize::from(self.wide.rows > 0);
        estimate.min(present).max(known as f64)
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        size_of_val(self) + self.distinct.size() + self.sample.size() + self.hashes.capacity() * 8
    }
}
