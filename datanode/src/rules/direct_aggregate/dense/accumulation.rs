//! Batches to places, some rows at a time.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};

use super::{
    super::{
        accumulation::{masked, valid_bits},
        columns::BatchColumns,
        spec::Spec,
    },
    Dense,
    places::{Kept, Places},
};
use crate::rules::narrow::{CHUNK, Machine, Rows};

/// Adds up the batches of one execution partition.
#[derive(Debug)]
pub(super) struct Accumulation {
    spec: Arc<Spec>,
    dense: Dense,
    /// Rows so far.
    rows: u64,
    places: Places,
    machine: Machine,
    /// Of a chunk's rows.
    at: Vec<u32>,
    /// Of a chunk's rows, by [`Spec::nulls`]: all bits of those that are not NULL; empty: of all.
    masks: Vec<Vec<i64>>,
    masked: Vec<i64>,
}

impl Accumulation {
    pub(super) fn new(spec: &Arc<Spec>, dense: Dense) -> Self {
        Self {
            spec: Arc::clone(spec),
            dense,
            rows: 0,
            places: Places::new(spec, &dense),
            machine: Machine::default(),
            at: Vec::new(),
            masks: vec![Vec::new(); spec.nulls.len()],
            masked: Vec::new(),
        }
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// XX000: the scan gives other rows than it has said.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        if self.rows > u64::from(self.dense.rows) {
            return Err(unexpected("more rows"));
        }
        let columns = BatchColumns::new(&self.spec, batch)?;
        for from in (0..batch.num_rows()).step_by(CHUNK) {
            self.chunk(&columns, from, CHUNK.min(batch.num_rows() - from))?;
        }
        Ok(())
    }

    fn chunk(&mut self, columns: &BatchColumns<'_>, from: usize, rows: usize) -> Result<()> {
        let key = columns.keys.first().ok_or_else(|| unexpected("other columns"))?;
        key.codes(from, rows, &mut self.at);
        let places = self.at.as_slice();
        let last = places.iter().fold(0, |last, place| last.max(*place));
        if places.len() != rows || last as usize >= self.dense.places {
            return Err(unexpected("other keys"));
        }
        self.places.count(places);
        for (nulls, (valid, mask)) in columns.nulls.iter().zip(&mut self.masks).enumerate() {
            mask.clear();
            if let Some(valid) = valid {
                mask.extend(valid_bits(valid, from, rows));
                self.places.count_missing(nulls, places, mask);
            }
        }
        let rows = Rows { sources: &columns.sources, at: from, rows };
        self.machine.run(&self.spec.program, rows);
        for (position, table) in self.spec.tables.iter().enumerate() {
            let values = self.machine.values(table.operand, rows);
            let mask = self.masks.get(table.nulls).map(Vec::as_slice).unwrap_or_default();
            let identity = self.places.tables.get(position).map_or(0, Kept::identity);
            let values = masked(values, mask, identity, &mut self.masked);
            self.places.add(position, places, values);
        }
        Ok(())
    }

    /// What is known now.
    pub(super) fn into_places(self) -> Places {
        self.places
    }
}

fn unexpected(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("a scan gives {what} than its table has"))
}
