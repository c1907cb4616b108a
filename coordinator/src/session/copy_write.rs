//! COPY's rows on their way into their table: what fills their other columns, which ones WHERE keeps,
//! what they are checked for.

use std::sync::Arc;

use arrow::{
    array::{Array, RecordBatch},
    compute::{cast, filter_record_batch},
};
use kestrel_planner::{
    catalog::{Catalog, TableDef},
    copy::{CopyBatch, TableShape},
    error::report,
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    ClientSession, copy_rejects::LeftOut, copy_rows::CopyRowsQuery, insert::SerialColumn,
    partition::Written, sequences::Sequences,
};
use crate::{engine::Load, query::TableIngestor};

/// Takes rows with all the table's columns.
pub(super) struct CopyWriter {
    pub(super) sequences: Sequences,
    pub(super) table: Arc<TableDef>,
    pub(super) shape: TableShape,
    /// Columns whose default differs from row to row: their positions, and the expressions.
    pub(super) volatile: Vec<(usize, String)>,
    pub(super) serials: Vec<SerialColumn>,
    pub(super) view: Arc<Catalog>,
    pub(super) ingestor: Option<TableIngestor>,
    pub(super) query: CopyRowsQuery,
    /// WHERE
    pub(super) filter: Option<String>,
    /// How far it is.
    pub(super) load: Load,
    /// Bad rows are left out.
    pub(super) left_out: Option<LeftOut>,
}

impl CopyWriter {
    /// Are rows written as they are?
    pub(super) fn takes_all(&self) -> bool {
        self.volatile.is_empty() && self.serials.is_empty() && self.filter.is_none()
    }

    /// Writes rows. Those of a writer that [takes all](Self::takes_all) are as the table takes them.
    pub(super) async fn write(&mut self, batch: CopyBatch) -> Result<()> {
        let CopyBatch { rows, places } = batch;
        if self.takes_all() {
            return self.write_conformed(&rows.clone(), rows, |row| places.context(row)).await;
        }
        let rows = ClientSession::with_serials(
            &self.sequences,
            rows,
            &self.table,
            &self.serials,
            &self.view,
        )
        .await?;
        let rows = self.with_volatile_defaults(rows).await?;
        let before = rows.num_rows();
        let (rows, lines) = self.filtered(rows).await?;
        self.load.has_excluded((before - rows.num_rows()) as u64);
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let line = |row: usize| lines.as_ref().and_then(|lines| lines.get(row).copied());
        let at = |row: usize| places.context(line(row).unwrap_or(row));
        let conformed = self.shape.conform(&rows, at)?;
        self.write_conformed(&rows, conformed, at).await
    }

    async fn write_conformed(
        &mut self,
        rows: &RecordBatch,
        conformed: RecordBatch,
        at: impl Fn(usize) -> String,
    ) -> Result<()> {
        let Some(ingestor) = &mut self.ingestor else {
            return Err(ErrorReport::internal("rows came after the end of COPY"));
        };
        if let Some((row, error)) = ingestor.check(&conformed)? {
            return Err(error.context(at(row)));
        }
        if let Some((row, error)) = self.query.check(rows).await? {
            return Err(error.context(at(row)));
        }
        let count = conformed.num_rows() as u64;
        ingestor.push_conformed(conformed).await?;
        self.load.has_written(count);
        Ok(())
    }

    /// All rows have come: what has been written, and how many rows that is.
    pub(super) async fn finish(&mut self) -> Result<(Written, u64)> {
        let Some(ingestor) = self.ingestor.take() else {
            return Err(ErrorReport::internal("COPY ended twice"));
        };
        ingestor.finish().await
    }

    /// The rows with those defaults that differ from row to row.
    async fn with_volatile_defaults(&self, rows: RecordBatch) -> Result<RecordBatch> {
        if self.volatile.is_empty() {
            return Ok(rows);
        }
        let (places, expressions): (Vec<usize>, Vec<String>) =
            self.volatile.iter().cloned().unzip();
        let values = self.query.values(&rows, &expressions).await?;
        let mut columns = rows.columns().to_vec();
        for (at, value) in places.into_iter().zip(values.columns()) {
            let data_type = self.table.columns[at].sql_type.arrow();
            columns[at] = cast(value, &data_type).map_err(|e| report(e.into()))?;
        }
        RecordBatch::try_new(rows.schema(), columns).map_err(|e| report(e.into()))
    }

    /// The rows that WHERE keeps, and which of the batch they were; `None`: all.
    async fn filtered(&self, rows: RecordBatch) -> Result<(RecordBatch, Option<Vec<usize>>)> {
        let Some(filter) = &self.filter else { return Ok((rows, None)) };
        let kept = self.query.filter(&rows, filter).await?;
        let lines = (0..kept.len()).filter(|row| kept.is_valid(*row) && kept.value(*row)).collect();
        let rows = filter_record_batch(&rows, &kept).map_err(|e| report(e.into()))?;
        Ok((rows, Some(lines)))
    }
}
