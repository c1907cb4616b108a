//! Rows that were born here, on their way to a table or, if it is partitioned, to its partitions.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{Schema, SchemaRef},
};
use kestrel_planner::{
    catalog::{Catalog, Segment, TableDef},
    error::report,
    operators::conform,
    partition::PartitionRouter,
};
use kestrel_proto::{ErrorReport, Result, batch_bytes};

use super::{Cluster, Ingestor, QueryEnvironment, RowSource};

/// So many partitions get their rows as they come: each has a file open on every datanode.
const OPEN_PARTITIONS: usize = 64;
/// Rows of the others wait for company, so that segments are not small: so many bytes of all.
const WAITING_BYTES: u64 = 64 << 20;
/// So many rows of a table with unique keys are few, …
pub(crate) const FEW_ROWS: usize = 1000;
/// … if they have no more bytes.
const FEW_BYTES: u64 = 4 << 20;

/// What a statement has written into a table.
pub struct WrittenTable {
    /// The table.
    pub table: Arc<TableDef>,
    /// New ones, not yet anybody's.
    pub segments: Vec<Segment>,
    /// The rows in them, as the table takes them, if it has unique keys and they are few.
    pub rows: Option<RecordBatch>,
}

/// Takes rows for one table, whatever holds them.
pub struct TableIngestor {
    cluster: Cluster,
    catalog: Arc<Catalog>,
    environment: QueryEnvironment,
    source: RowSource,
    table: Arc<TableDef>,
    /// How a partitioned table's rows go to its partitions, and a partition's rows are told.
    routing: Option<PartitionRouter>,
    /// By position in the routing; 0 is the table itself without.
    open: BTreeMap<usize, Ingestor>,
    waiting: BTreeMap<usize, Waiting>,
    written: BTreeMap<usize, Vec<Segment>>,
    /// The rows that were written, of tables with unique keys.
    few: BTreeMap<usize, FewRows>,
    rows: u64,
}

/// Rows, as long as they are few.
#[derive(Default)]
struct FewRows {
    count: usize,
    bytes: u64,
    batches: Vec<RecordBatch>,
}

/// Rows of a partition that is not open.
#[derive(Default)]
struct Waiting {
    bytes: u64,
    rows: Vec<RecordBatch>,
}

impl TableIngestor {
    /// Prepares to take rows for the transaction of this environment.
    ///
    /// # Errors
    /// XX000: a bound of a partition is damaged; those of [`Ingestor::start`].
    pub fn start(
        cluster: &Cluster,
        catalog: &Arc<Catalog>,
        table: &Arc<TableDef>,
        environment: &QueryEnvironment,
        source: RowSource,
    ) -> Result<Self> {
        let routing = PartitionRouter::of(table, catalog)?;
        let mut open = BTreeMap::new();
        if routing.is_none() {
            open.insert(0, Ingestor::start(cluster, catalog, table, environment, source)?);
        }
        Ok(Self {
            cluster: cluster.clone(),
            catalog: Arc::clone(catalog),
            environment: environment.clone(),
            source,
            table: Arc::clone(table),
            routing,
            open,
            waiting: BTreeMap::new(),
            written: BTreeMap::new(),
            few: BTreeMap::new(),
            rows: 0,
        })
    }

    /// Routes a batch of all the table's columns; waits when the datanodes are slower.
    ///
    /// # Errors
    /// 23502, 22001, 23514: a row that the table does not take; or what broke a datanode's writing.
    pub async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.routing.is_none() {
            let conformed = conform(batch, &self.table.arrow_schema(), &self.table.name)?;
            return self.push_conformed(conformed).await;
        }
        // NULL where none may be is the partition's to refuse.
        let batch = conform(batch, &nullable(&self.table), &self.table.name)?;
        if self.routing.as_ref().is_some_and(|routing| routing.only().is_some()) {
            self.check(&batch)?.map_or(Ok(()), |(_, error)| Err(error))?;
        }
        self.push_conformed(batch).await
    }

    /// The first row of a batch of all the table's columns that no partition takes, and what is wrong
    /// with it: 23514.
    ///
    /// # Errors
    /// XX000 for columns of other types.
    pub fn check(&self, batch: &RecordBatch) -> Result<Option<(usize, ErrorReport)>> {
        let Some(router) = &self.routing else { return Ok(None) };
        Ok(router.route(batch)?.err())
    }

    /// Routes rows with values as the table takes them: as [`conform`] gives them. Those for one
    /// partition are its own: [`Self::check`] lets them pass.
    ///
    /// # Errors
    /// 23502; 23514, before anything is written, for a row without a partition; what broke a
    /// datanode's writing.
    pub async fn push_conformed(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let Some(routing) = &self.routing else { return self.write(0, batch).await };
        if let Some(only) = routing.only() {
            return self.write(only, batch).await;
        }
        let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let routed = routing.route(&batch)?.map_err(|(_, error)| error)?;
        for (row, partition) in routed.into_iter().enumerate() {
            rows.entry(partition).or_default().push(row as u32);
        }
        for (partition, rows) in rows {
            let part = match rows.len() == batch.num_rows() {
                true => batch.clone(),
                false => take_record_batch(&batch, &UInt32Array::from(rows))
                    .map_err(|error| report(error.into()))?,
            };
            self.write(partition, part).await?;
        }
        Ok(())
    }

    async fn write(&mut self, partition: usize, rows: RecordBatch) -> Result<()> {
        let table = self.table_at(partition);
        let rows = match self.routing {
            Some(_) => conform(&rows, &table.arrow_schema(), &table.name)
                .map_err(|error| error.in_schema(&table.schema_name))?,
            None => rows,
        };
        if table.unique_sets().next().is_some() && !table.is_on_shards() {
            self.few.entry(partition).or_default().note(&rows);
        }
        if !self.open.contains_key(&partition) && self.open.len() < OPEN_PARTITIONS {
            let ingestor = self.ingestor(&table)?;
            self.open.insert(partition, ingestor);
        }
        if let Some(ingestor) = self.open.get_mut(&partition) {
            return ingestor.push_conformed(rows).await;
        }
        let waiting = self.waiting.entry(partition).or_default();
        waiting.bytes += batch_bytes(&rows);
        waiting.rows.push(rows);
        if self.waiting.values().map(|waiting| waiting.bytes).sum::<u64>() > WAITING_BYTES {
            let most = self.waiting.iter().max_by_key(|(_, waiting)| waiting.bytes);
            if let Some(most) = most.map(|(partition, _)| *partition) {
                self.write_waiting(most).await?;
            }
        }
        Ok(())
    }

    fn ingestor(&self, table: &Arc<TableDef>) -> Result<Ingestor> {
        Ingestor::start(&self.cluster, &self.catalog, table, &self.environment, self.source)
    }

    fn table_at(&self, partition: usize) -> Arc<TableDef> {
        let found = self.routing.as_ref().and_then(|router| router.leaves().get(partition));
        Arc::clone(found.unwrap_or(&self.table))
    }

    /// Writes the rows of a partition that wait, and closes its files.
    async fn write_waiting(&mut self, partition: usize) -> Result<()> {
        let Some(waiting) = self.waiting.remove(&partition) else { return Ok(()) };
        let mut ingestor = self.ingestor(&self.table_at(partition))?;
        for rows in waiting.rows {
            ingestor.push_conformed(rows).await?;
        }
        self.close(partition, ingestor).await
    }

    async fn close(&mut self, partition: usize, ingestor: Ingestor) -> Result<()> {
        let (segments, _) = ingestor.finish().await?;
        self.written.entry(partition).or_default().extend(segments);
        Ok(())
    }

    /// All rows have come: what was written, durable, and how many rows they were.
    ///
    /// # Errors
    /// What broke a datanode's writing.
    pub async fn finish(mut self) -> Result<(Vec<WrittenTable>, u64)> {
        for (partition, ingestor) in std::mem::take(&mut self.open) {
            self.close(partition, ingestor).await?;
        }
        let waiting: Vec<usize> = self.waiting.keys().copied().collect();
        for partition in waiting {
            self.write_waiting(partition).await?;
        }
        let (written, mut few) = (std::mem::take(&mut self.written), std::mem::take(&mut self.few));
        let written = written.into_iter().map(|(at, segments)| {
            let table = self.table_at(at);
            let rows = few.remove(&at).and_then(|few| few.together(&table));
            WrittenTable { table, segments, rows }
        });
        Ok((written.collect(), self.rows))
    }
}

impl FewRows {
    fn note(&mut self, rows: &RecordBatch) {
        self.count += rows.num_rows();
        if !self.are_few() {
            self.batches.clear();
            return;
        }
        self.bytes += batch_bytes(rows);
        match self.are_few() {
            true => self.batches.push(rows.clone()),
            false => self.batches.clear(),
        }
    }

    fn are_few(&self) -> bool {
        self.count <= FEW_ROWS && self.bytes <= FEW_BYTES
    }

    fn together(&self, table: &TableDef) -> Option<RecordBatch> {
        let batches = self.are_few().then_some(&self.batches)?;
        concat_batches(&table.arrow_schema(), batches).ok()
    }
}

/// The table's columns, any of which may be NULL.
fn nullable(table: &TableDef) -> SchemaRef {
    let fields = table.columns.iter().map(|column| column.sql_type.field(&column.name, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
