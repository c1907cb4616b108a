//! ANALYZE: an ordinary query computes a table's statistics on the datanodes, and the catalog gets them. It
//! reads all rows of tables in segments, and a sample of those that databases hold.

use std::sync::Arc;

use arrow::array::AsArray;
use chrono::Utc;
use kestrel_planner::{
    bind::{BindContext, bind_query},
    catalog::{
        Catalog, CatalogChange, ColumnDef, Distribution, ExtendedStatistics, SqlType, TableDef,
    },
    shard_sql::SampleSize,
    statistics::{
        COLUMN_FUNCTION, ColumnGroup, ColumnStatistics, GROUP_FUNCTION, ShardStatistics,
        TableStatistics,
    },
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, Severity, SqlState};

use serde::de::DeserializeOwned;

use super::{
    ClientSession, NoticeSender,
    own_query::own_query,
    rules::{qualified, quoted},
};

/// Columns that one query describes: their states stay in memory until it ends.
const COLUMNS_AT_ONCE: usize = 32;
/// PostgreSQL's rows in a sample for each common value or bucket (Chaudhuri, Motwani, Narasayya:
/// Random sampling for histogram construction, 1998).
const ROWS_PER_BUCKET: u64 = 300;
/// PostgreSQL's page: VERBOSE counts such.
const PAGE_BYTES: u64 = 8192;

/// How a table comes to be analyzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// ANALYZE
    Asked,
    /// Enough rows have changed.
    Automatic,
}

impl ClientSession {
    /// Analyzes a table, of which a lock is held: these columns, or all. The transaction has its
    /// statistics then.
    pub(super) async fn analyze_table(
        &mut self,
        table: &TableDef,
        columns: &[String],
        info: Option<&NoticeSender>,
    ) -> Result<()> {
        // Others may have changed it before it was locked; in a block, too, what counts is what is
        // there now.
        let view = self.transaction.newest_view(&self.engine).await?;
        let Some(table) = view.table_by_id(table.id).cloned() else { return Ok(()) };
        if let Some(notices) = info {
            let whole = if table.partitioned_by.is_some() { " inheritance tree" } else { "" };
            let name = format!("{}.{}", table.schema_name, table.name);
            tell(notices, format!("analyzing \"{name}\"{whole}"));
        }
        let statistics = self.statistics_of(&table, columns, &view, Occasion::Asked).await?;
        if let Some(notices) = info {
            let pages = table.stored_bytes().div_ceil(PAGE_BYTES);
            let rows = view.live_rows(&table);
            let sample = self.sample_rows().min(rows);
            let name = &table.name;
            tell(
                notices,
                format!(
                    "\"{name}\": scanned {pages} of {pages} pages, containing {rows} live rows and \
                     0 dead rows; {sample} rows in sample, {rows} estimated total rows"
                ),
            );
        }
        let change = CatalogChange::SetStatistics(Box::new(statistics));
        self.transaction.follow(&self.engine, vec![change])
    }

    /// What there is to know of a table: of these columns, or of all, and what is known of the others.
    pub(super) async fn statistics_of(
        &mut self,
        table: &TableDef,
        columns: &[String],
        view: &Arc<Catalog>,
        occasion: Occasion,
    ) -> Result<TableStatistics> {
        let is_asked = |column: &&ColumnDef| columns.is_empty() || columns.contains(&column.name);
        let asked: Vec<_> = table.columns.iter().filter(is_asked).collect();
        let mut statistics = sizes(view, table);
        if let Some(known) = view.statistics_of(table.id) {
            keep(&mut statistics, known, table);
        }
        // As PostgreSQL does: what was not asked for is as old as it was.
        if !columns.is_empty() {
            keep_age(&mut statistics, view.statistics_of(table.id));
        }
        for columns in asked.chunks(COLUMNS_AT_ONCE) {
            let described = self.describe_columns(table, columns, view).await?;
            for (column, described) in columns.iter().zip(described) {
                let described = fitted(described, column, table);
                statistics.columns.insert(column.id, Arc::new(described));
            }
        }
        let is_whole = asked.len() == table.columns.len();
        statistics.groups.retain(|_| !is_whole);
        for group in table.extended_statistics.iter().filter(|_| is_whole) {
            let described = self.describe_group(table, group, view).await?;
            statistics.groups.push(Arc::new(described));
        }
        let now = Some(Utc::now().timestamp_micros());
        match occasion {
            Occasion::Asked => {
                statistics.analyzed_at_us = now;
                statistics.analyze_count += 1;
            }
            Occasion::Automatic => {
                statistics.auto_analyzed_at_us = now;
                statistics.auto_analyze_count += 1;
            }
        }
        Ok(statistics)
    }

    /// One query over the table.
    async fn describe_columns(
        &mut self,
        table: &TableDef,
        columns: &[&ColumnDef],
        view: &Arc<Catalog>,
    ) -> Result<Vec<ColumnStatistics>> {
        let settings = self.sample_rows() << 16 | self.settings.statistics_target();
        let sample = self.sample_size(table, view);
        let of_rows = sample.map_or_else(String::new, |_| format!(", {}", view.live_rows(table)));
        let calls = columns.iter().map(|column| {
            let name = quoted(&column.name);
            format!("{COLUMN_FUNCTION}({name}, {settings}{of_rows})")
        });
        let calls: Vec<_> = calls.collect();
        let described = self.described(table, &calls, (view, sample)).await?;
        if described.len() != columns.len() {
            return Err(ErrorReport::internal("statistics of a column are missing"));
        }
        Ok(described)
    }

    /// One query over the table, about columns together. What is not asked for is left out.
    async fn describe_group(
        &mut self,
        table: &TableDef,
        group: &ExtendedStatistics,
        view: &Arc<Catalog>,
    ) -> Result<ColumnGroup> {
        let columns = group.columns.iter().filter_map(|id| table.column_by_id(*id));
        let names: Vec<_> = columns.map(|column| quoted(&column.name)).collect();
        let call = format!("{GROUP_FUNCTION}({}, {})", self.sample_rows(), names.join(", "));
        let described: Vec<ColumnGroup> = self.described(table, &[call], (view, None)).await?;
        let missing = || ErrorReport::internal("statistics of columns together are missing");
        let mut described = described.into_iter().next().ok_or_else(missing)?;
        let id = |position: &mut u32| {
            *position = group.columns.get(*position as usize).copied().unwrap_or_default();
        };
        for distinct in &mut described.distinct {
            distinct.columns.iter_mut().for_each(id);
        }
        for dependency in &mut described.dependencies {
            dependency.from.iter_mut().for_each(id);
            id(&mut dependency.to);
        }
        described.distinct.retain(|_| group.distinct);
        described.dependencies.retain(|_| group.dependencies);
        described.statistics = group.id;
        Ok(described)
    }

    /// What these calls of aggregate functions give over a table, or over some of its rows.
    async fn described<T: DeserializeOwned>(
        &mut self,
        table: &TableDef,
        calls: &[String],
        (view, sample): (&Arc<Catalog>, Option<SampleSize>),
    ) -> Result<Vec<T>> {
        let from = qualified(table);
        let query = own_query(&format!("SELECT {} FROM {from}", calls.join(", ")))?;
        let context = BindContext { sample, ..self.bind_context(view, None) };
        let bound = bind_query(&query, &context, &[])?;
        let plan = self.plan(&bound.plan, view).await?;
        let environment = self.environment(view, self.cancel.clone());
        let text = format!("ANALYZE {from}");
        let (running, mut noted) = self.start(&plan, &environment, &text).await?;
        let (batches, _) = noted.part(running.collect().await)?;
        noted.finish();
        let row = batches.iter().find(|batch| batch.num_rows() > 0);
        let texts = row.into_iter().flat_map(|batch| batch.columns());
        let texts = texts.filter_map(|column| column.as_string_view_opt());
        texts
            .map(|text| serde_json::from_str(text.value(0)))
            .collect::<Result<_, _>>()
            .map_err(|error| ErrorReport::internal(format!("statistics are damaged: {error}")))
    }

    /// Reading all rows would take a database long. `None`: all are read.
    fn sample_size(&self, table: &TableDef, view: &Catalog) -> Option<SampleSize> {
        let is_sampled = table.is_on_shards();
        is_sampled.then(|| SampleSize::of(view.live_rows(table), self.sample_rows())).flatten()
    }

    fn sample_rows(&self) -> u64 {
        match self.settings.statistics_sample_rows() {
            0 => ROWS_PER_BUCKET * self.settings.statistics_target(),
            rows => rows,
        }
    }
}

/// How large the table is now, on each datanode.
fn sizes(view: &Catalog, table: &TableDef) -> TableStatistics {
    let table_now = view.table_by_id(table.id);
    let parts = table_now.map_or_else(Vec::new, |table| view.leaves_of(table));
    let shards = view.datanodes.iter().map(|datanode| {
        let on_it = parts.iter().map(|part| part.size_on(DatanodeId(datanode.id)));
        let (rows, bytes) = on_it.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
        ShardStatistics { datanode: datanode.id, rows, bytes }
    });
    let (rows, bytes) = view.live_size(table);
    TableStatistics {
        table: table.id,
        rows,
        bytes,
        shards: shards.collect(),
        changed_rows: view.changed_rows(table),
        ..Default::default()
    }
}

/// What an earlier ANALYZE has found out, and this one may not be asked for.
fn keep(statistics: &mut TableStatistics, known: &TableStatistics, table: &TableDef) {
    let is_there = |id: &u32| table.column_by_id(*id).is_some();
    let columns = known.columns.iter().filter(|(id, _)| is_there(id));
    statistics.columns = columns.map(|(id, column)| (*id, Arc::clone(column))).collect();
    statistics.groups.clone_from(&known.groups);
    statistics.analyzed_at_us = known.analyzed_at_us;
    statistics.auto_analyzed_at_us = known.auto_analyzed_at_us;
    statistics.analyze_count = known.analyze_count;
    statistics.auto_analyze_count = known.auto_analyze_count;
}

/// Only some columns are analyzed: how much has changed still counts from when all were.
fn keep_age(statistics: &mut TableStatistics, known: Option<&Arc<TableStatistics>>) {
    statistics.changed_rows = 0;
    if let Some(known) = known {
        statistics.changed_rows = known.changed_rows;
        (statistics.rows, statistics.bytes) = (known.rows, known.bytes);
        statistics.shards.clone_from(&known.shards);
    }
}

/// What only the declaration of a column tells.
fn fitted(
    mut described: ColumnStatistics,
    column: &ColumnDef,
    table: &TableDef,
) -> ColumnStatistics {
    match column.sql_type {
        // It has no equality.
        SqlType::Json => {
            described.distinct = 0.0;
            described.common.clear();
            described.histogram.clear();
            (described.minimum, described.maximum) = (None, None);
        }
        // It has an order, but not that of its text.
        SqlType::Jsonb => {
            described.histogram.clear();
            (described.minimum, described.maximum) = (None, None);
        }
        // Trailing blanks are not held here.
        SqlType::Char(length) if described.average_width > 0.0 => {
            let blank = f64::from(length) + if length <= 126 { 1.0 } else { 4.0 };
            described.average_width = described.average_width.max(blank);
        }
        _ => {}
    }
    if described.average_width == 0.0 {
        described.average_width = f64::from(column.sql_type.typlen().max(0));
    }
    // A sketch may say 99 % or 101 %.
    let is_key = table.partitioned_by.is_none()
        && !matches!(table.distribution, Distribution::Random)
        && table.unique_sets().any(|key| key.columns == [column.id]);
    if is_key {
        described.distinct = (described.rows as f64 * (1.0 - described.null_fraction)).round();
    }
    described
}

fn tell(notices: &NoticeSender, message: String) {
    let notice = ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message);
    notices.send(ErrorReport { severity: Severity::Info, ..notice });
}
