//! Rows come into tables: they are written, checked, and part of the transaction.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use kestrel_planner::{
    catalog::{Catalog, CatalogChange, Distribution, Segment, TableDef},
    operators::{conform, written_segments},
    plan::InsertPlan,
};
use kestrel_proto::Result;
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession,
    insert::{SerialColumn, serial_columns},
    partition::Written,
    returning::Gathered,
    unique::{KeyLocks, NewValues},
};
use crate::query::{QueryEnvironment, RowSource, RunningQuery, TableIngestor, WrittenTable};

/// Rows that are kept until their keys are locked have no more bytes than that.
const MOST_KEPT_BYTES: usize = 64 << 20;

/// Where rows go.
#[derive(Clone, Copy)]
struct Target<'a> {
    table: &'a Arc<TableDef>,
    serials: &'a [SerialColumn],
    view: &'a Arc<Catalog>,
}

impl ClientSession {
    /// Writes a query's rows, whose columns go to `columns` (positions in the table). `kept`: where
    /// they are kept besides, as the table takes them. `text`: the statement's.
    pub(super) async fn write_rows(
        &mut self,
        query: LogicalPlan,
        (table, columns): (&Arc<TableDef>, &[usize]),
        kept: Option<&mut Gathered>,
        view: &Arc<Catalog>,
        (text, cancel): (&str, CancellationToken),
    ) -> Result<u64> {
        let (plan, serials) =
            self.plan_write(query, (table, columns), kept.is_some(), view).await?;
        let (InsertPlan::Distributed(rows) | InsertPlan::Ingest(rows)) = &plan;
        self.advise(rows, view, "INSERT");
        let locks = KeyLocks::of(table, &plan);
        if locks == KeyLocks::All {
            self.lock_for_writing(table).await?;
        }
        self.check_serials(table, &serials, view)?;
        self.prepare_writing(table, view).await?;
        let environment = self.environment(view, cancel);
        let (mut noted, written) = match plan {
            InsertPlan::Distributed(plan) => {
                let (running, noted) = self.start(&plan, &environment, text).await?;
                (noted, distributed(running, table, view).await)
            }
            InsertPlan::Ingest(plan) => {
                let (running, noted) = self.start(&plan, &environment, text).await?;
                let target = Target { table, serials: &serials, view };
                (noted, self.ingest(running, target, locks, kept, &environment).await)
            }
        };
        let written = written.map_err(|error| error.in_schema(&table.schema_name));
        let (written, rows) = noted.part(written)?;
        noted.part(self.add_written(written, NewValues::All).await)?;
        noted.finish_written(rows);
        Ok(rows)
    }

    /// Rows are about to be written for the transaction.
    pub(super) async fn prepare_writing(&mut self, table: &TableDef, view: &Catalog) -> Result<()> {
        if table.is_on_shards() {
            return self.open_on_shards(&view.datanode_ids()).await;
        }
        self.transaction.will_write(&self.engine);
        Ok(())
    }

    /// How the rows of a query come into a table, and the columns that sequences fill. What is
    /// returned to the client comes through here.
    pub(super) async fn plan_write(
        &self,
        query: LogicalPlan,
        (table, columns): (&Arc<TableDef>, &[usize]),
        is_returned: bool,
        view: &Arc<Catalog>,
    ) -> Result<(InsertPlan, Vec<SerialColumn>)> {
        let serials = serial_columns(table, columns);
        let projected = self.project_to_table(query, table, columns, view)?;
        let context = self.plan_context(view)?;
        let plan = if serials.is_empty() && !is_returned {
            self.engine.planner.plan_insert(&projected, table, &context).await?
        } else {
            InsertPlan::Ingest(self.engine.planner.plan(&projected, &context).await?)
        };
        Ok((plan, serials))
    }

    /// The coordinator has the rows: it sends them to the datanodes.
    async fn ingest(
        &mut self,
        mut rows: RunningQuery,
        Target { table, serials, view }: Target<'_>,
        locks: KeyLocks,
        mut kept: Option<&mut Gathered>,
        environment: &QueryEnvironment,
    ) -> Result<(Written, u64)> {
        let mut first = Vec::new();
        if locks == KeyLocks::Each {
            // Before anything is written: others' rows may have to be waited for.
            let most = self.most_single_keys(table);
            let (mut count, mut bytes) = (0, 0);
            while count <= most
                && bytes <= MOST_KEPT_BYTES
                && let Some(batch) = rows.next().await
            {
                let batch =
                    Self::with_serials(&self.sequences, batch?, table, serials, view).await?;
                count += batch.num_rows();
                bytes += batch.get_array_memory_size();
                first.push(conform(&batch, &table.arrow_schema(), &table.name)?);
            }
            match count <= most && bytes <= MOST_KEPT_BYTES {
                true => self.lock_keys_of(table, &first).await?,
                false => self.lock_for_writing(table).await?,
            }
        }
        let mut ingestor =
            TableIngestor::start(&self.engine.cluster, view, table, environment, RowSource::Query)?;
        for batch in first {
            if let Some(kept) = &mut kept {
                kept.push(batch.clone());
            }
            ingestor.push_conformed(batch).await?;
        }
        while let Some(batch) = rows.next().await {
            let batch = Self::with_serials(&self.sequences, batch?, table, serials, view).await?;
            ingestor.push(&batch).await?;
            if let Some(kept) = &mut kept {
                kept.push(conform(&batch, &table.arrow_schema(), &table.name)?);
            }
        }
        ingestor.finish().await
    }

    /// Makes what was written part of the transaction. Partitions are locked like tables that a
    /// statement names.
    pub(super) async fn add_written(
        &mut self,
        written: Written,
        values: NewValues<'_>,
    ) -> Result<()> {
        for written in written {
            if written.table.partition_of.is_some() {
                match values.may_double_in(&written.table) {
                    true => self.lock_for_writing(&written.table).await?,
                    false => self.lock_rows(&written.table).await?,
                }
            }
            self.add_segments(written, values).await?;
        }
        Ok(())
    }

    /// Makes new segments part of the transaction's view; 23514 if a row breaks a CHECK, 23505 if
    /// a key is double then.
    async fn add_segments(&mut self, written: WrittenTable, values: NewValues<'_>) -> Result<()> {
        let WrittenTable { table, segments, rows } = written;
        let segments: Vec<_> = segments.into_iter().filter(|s| s.rows > 0).collect();
        if segments.is_empty() {
            return Ok(());
        }
        if table.is_on_shards() {
            return self.add_shard_rows(&table, segments).await;
        }
        self.check_new_rows(&table, &segments).await?;
        let new: Vec<_> = segments.iter().map(|s| (s.datanode, s.id)).collect();
        let change = CatalogChange::AddSegments { table: table.id, segments };
        self.transaction.change(&self.engine, vec![change])?;
        self.check_unique(&table, (&new, rows.as_ref()), values).await
    }
}

/// The datanodes write: the result is their segments.
pub(super) async fn distributed(
    running: RunningQuery,
    table: &Arc<TableDef>,
    view: &Catalog,
) -> Result<(Written, u64)> {
    let (batches, _) = running.collect().await?;
    let segments = batches.iter().map(written_segments).collect::<Result<Vec<_>>>()?.concat();
    let rows = rows_of(&segments, table, view);
    Ok((vec![WrittenTable { table: Arc::clone(table), segments, rows: None }], rows))
}

/// Rows of new segments; a replicated table's are counted once.
fn rows_of(segments: &[Segment], table: &TableDef, view: &Catalog) -> u64 {
    let rows: u64 = segments.iter().map(|s| s.rows).sum();
    match table.distribution {
        Distribution::Replicated => rows / view.datanodes.len().max(1) as u64,
        _ => rows,
    }
}
