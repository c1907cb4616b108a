//! The groups of one execution partition, and what is known of each.

use std::sync::Arc;

use arrow::{array::RecordBatch, buffer::NullBuffer};
use datafusion::error::Result;

use super::{
    columns::BatchColumns,
    groups::{Codes, Full, GroupTable},
    spec::{Spec, Table, TableKind},
    tables::{Counts, Extremes, Sums},
};
use crate::rules::narrow::{CHUNK, Machine, Rows};

/// Adds up batches.
#[derive(Debug)]
pub(super) struct Accumulation {
    spec: Arc<Spec>,
    groups: GroupTable,
    /// Rows of each group.
    rows: Counts,
    /// Rows of each group that are NULL, by [`Spec::nulls`].
    missing: Vec<Counts>,
    tables: Vec<Kept>,
    machine: Machine,
    /// Codes of a chunk's keys.
    codes: Vec<Vec<u32>>,
    /// Of a chunk's rows, by [`Spec::nulls`]: all bits of those that are not NULL; empty: of all.
    masks: Vec<Vec<i64>>,
    masked: Vec<i64>,
}

#[derive(Debug)]
enum Kept {
    Sums(Sums),
    Extremes(Extremes),
}

impl Kept {
    fn new(table: &Table) -> Self {
        match table.kind {
            TableKind::Sum => Self::Sums(Sums::new(table.magnitude)),
            TableKind::Least => Self::Extremes(Extremes::new(false)),
            TableKind::Greatest => Self::Extremes(Extremes::new(true)),
        }
    }

    fn resize(&mut self, groups: usize) {
        match self {
            Self::Sums(sums) => sums.resize(groups),
            Self::Extremes(extremes) => extremes.resize(groups),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Sums(sums) => sums.size(),
            Self::Extremes(extremes) => extremes.size(),
        }
    }
}

/// What is known of all groups, in one order.
pub(super) struct Totals {
    pub(super) groups: Vec<Codes>,
    /// Values that are not NULL, by [`Spec::nulls`].
    pub(super) counts: Vec<Vec<i64>>,
    pub(super) tables: Vec<Total>,
}

pub(super) enum Total {
    Sums(Vec<i128>),
    Extremes(Vec<i64>),
}

impl Accumulation {
    pub(super) fn new(spec: &Arc<Spec>) -> Self {
        let mut accumulation = Self {
            groups: GroupTable::new(spec.keys.len()),
            rows: Counts::default(),
            missing: spec.nulls.iter().map(|_| Counts::default()).collect(),
            tables: spec.tables.iter().map(Kept::new).collect(),
            machine: Machine::default(),
            codes: vec![Vec::new(); spec.keys.len()],
            masks: vec![Vec::new(); spec.nulls.len()],
            masked: Vec::new(),
            spec: Arc::clone(spec),
        };
        accumulation.resize();
        accumulation
    }

    /// Adds the rows of a batch from `from` on; where it stopped, when there is no place for the
    /// groups of the next rows.
    pub(super) fn add(
        &mut self,
        batch: &RecordBatch,
        from: usize,
    ) -> Result<Option<(usize, Full)>> {
        let columns = BatchColumns::new(&self.spec, batch)?;
        for at in (from..batch.num_rows()).step_by(CHUNK) {
            let rows = CHUNK.min(batch.num_rows() - at);
            if let Err(full) = self.chunk(&columns, at, rows) {
                return Ok(Some((at, full)));
            }
        }
        Ok(None)
    }

    fn chunk(&mut self, columns: &BatchColumns<'_>, at: usize, rows: usize) -> Result<(), Full> {
        for (key, codes) in columns.keys.iter().zip(&mut self.codes) {
            key.codes(at, rows, codes);
        }
        let before = self.groups.len();
        self.groups.look_up(&self.codes)?;
        if self.groups.len() != before {
            self.resize();
        }
        let ids = self.groups.ids();
        self.rows.count(ids, rows);
        let masks = self.masks.iter_mut().zip(&mut self.missing);
        for (nulls, (mask, missing)) in columns.nulls.iter().zip(masks) {
            mask.clear();
            if let Some(nulls) = nulls {
                mask.extend(valid_bits(nulls, at, rows));
                self.masked.clear();
                self.masked.extend(mask.iter().map(|bits| bits + 1));
                missing.add(ids, &self.masked);
            }
        }
        let rows = Rows { sources: &columns.sources, at, rows };
        self.machine.run(&self.spec.program, rows);
        for (table, kept) in self.spec.tables.iter().zip(&mut self.tables) {
            let values = self.machine.values(table.operand, rows);
            let mask = self.masks.get(table.nulls).map(Vec::as_slice).unwrap_or_default();
            let identity = match kept {
                Kept::Sums(_) => 0,
                Kept::Extremes(extremes) => extremes.identity(),
            };
            let values = masked(values, mask, identity, &mut self.masked);
            match kept {
                Kept::Sums(sums) => sums.add(ids, values),
                Kept::Extremes(extremes) => extremes.add(ids, values),
            }
        }
        Ok(())
    }

    fn resize(&mut self) {
        let groups = self.groups.len();
        self.rows.resize(groups);
        self.missing.iter_mut().for_each(|counts| counts.resize(groups));
        self.tables.iter_mut().for_each(|table| table.resize(groups));
    }

    /// What is known of all groups, which are forgotten.
    pub(super) fn take(&mut self) -> Totals {
        let groups = self.groups.groups().to_vec();
        let rows = self.rows.take();
        let counts = self.missing.iter_mut().map(|missing| {
            let missing = missing.take();
            rows.iter().zip(missing).map(|(rows, missing)| rows - missing).collect()
        });
        let counts = counts.collect();
        let tables = self.tables.iter_mut().map(|kept| match kept {
            Kept::Sums(sums) => Total::Sums(sums.take()),
            Kept::Extremes(extremes) => Total::Extremes(extremes.take()),
        });
        let tables = tables.collect();
        self.groups.clear();
        self.resize();
        Totals { groups, counts, tables }
    }

    /// Bytes of memory that grow with the groups.
    pub(super) fn size(&self) -> usize {
        self.groups.size()
            + self.rows.size()
            + self.missing.iter().map(Counts::size).sum::<usize>()
            + self.tables.iter().map(Kept::size).sum::<usize>()
    }
}

/// All bits of rows that are not NULL, none of the others.
pub(super) fn valid_bits(nulls: &NullBuffer, at: usize, rows: usize) -> impl Iterator<Item = i64> {
    let valid = nulls.inner().slice(at, rows);
    (0..rows).map(move |row| -i64::from(valid.value(row)))
}

/// The values, with `identity` in the place of those under NULL.
pub(super) fn masked<'a>(
    values: &'a [i64],
    mask: &[i64],
    identity: i64,
    masked: &'a mut Vec<i64>,
) -> &'a [i64] {
    if mask.is_empty() {
        return values;
    }
    masked.clear();
    masked.extend(values.iter().zip(mask).map(|(value, mask)| (value & mask) | (identity & !mask)));
    masked
}
