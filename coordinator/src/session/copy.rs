//! COPY … FROM STDIN.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    bind::{bind_constant, bind_query},
    catalog::{Catalog, Found, TableDef, find_relation, resolve_table, sequence_of},
    copy::{
        BinaryReader, BlockEnd, ColumnSource, CopyBatch, CopyLayout, CopyParser, Forced, Header,
        ReadBlock, RecordFormat, TableShape,
    },
    error::report,
    functions::SessionFormats,
    parse::{
        CopyDirection, CopyFormat, CopyHeader, CopyStatement, CopyTarget, Identifier, QualifiedName,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, CopyIn, Outcome, Statement,
    copy_blocks::BlockParsing,
    copy_rejects::LeftOut,
    copy_rows::CopyRowsQuery,
    copy_to::{forced, named_columns},
    copy_write::CopyWriter,
    insert::{default_expr, serial_columns},
    own_query::own_query,
    partition::Written,
};
use crate::{
    engine::{Load, LoadFacts},
    query::{RowSource, TableIngestor},
};

/// A message may be much longer: the rows of so much of it are made at once.
const PIECE_BYTES: usize = 1 << 20;

/// What a COPY has written: the session makes it part of its transaction.
#[derive(Clone, Default)]
pub(super) struct CopyResult(Arc<Mutex<Option<Written>>>);

impl CopyResult {
    /// Takes it out, if there is one.
    pub(super) fn take(&self) -> Option<Written> {
        self.0.lock().take()
    }
}

impl ClientSession {
    /// COPY: prepares to take the client's rows, or runs to the first ones for it.
    pub(super) async fn copy(
        &mut self,
        copy: &CopyStatement,
        statement: &Statement,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        match (copy.direction, &copy.target) {
            (CopyDirection::FromClient, CopyTarget::Table { name, columns }) => {
                self.copy_from((name, columns), copy, (&statement.sql, cancel)).await
            }
            (CopyDirection::FromClient, CopyTarget::Query(_)) => {
                Err(ErrorReport::internal("a query takes no rows"))
            }
            (CopyDirection::ToClient, _) => self.copy_to(copy, statement, cancel).await,
        }
    }

    async fn copy_from(
        &mut self,
        (name, columns): (&QualifiedName, &[Identifier]),
        copy: &CopyStatement,
        (text, cancel): (&str, CancellationToken),
    ) -> Result<Outcome> {
        self.lock_target(name).await?;
        let view = self.transaction.view(&self.engine);
        let search_path = self.search_path(&view);
        self.check_schema(name.schema.as_ref(), &view)?;
        if let Some(Found::View(view)) = find_relation(&view, &search_path, name) {
            let message = format!("cannot copy to view \"{}\"", view.name);
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
                .hint("Copy to the tables that the view reads."));
        }
        let table = Arc::clone(resolve_table(&view, &search_path, name)?);
        if !table.is_temporary() {
            self.check_writable("COPY FROM")?;
        }
        let positions = named_columns(&table, columns)?;
        self.check_insert(&table, &positions)?;
        let serials = serial_columns(&table, &positions);
        self.check_serials(&table, &serials, &view)?;
        let layout = layout(&table, &positions, copy, self.settings.formats()?)?;
        self.lock_for_writing(&table).await?;
        let (sources, volatile) = self.sources(&table, &positions, &view).await?;
        self.prepare_writing(&table, &view).await?;
        let environment = self.environment(&view, cancel);
        let query = CopyRowsQuery {
            engine: Arc::clone(&self.engine),
            context: self.bind_context(&view, None),
            environment: environment.clone(),
            table: Arc::clone(&table),
        };
        let shape = TableShape {
            table: table.name.clone(),
            schema_name: table.schema_name.clone(),
            schema: table.arrow_schema(),
            sources,
        };
        if let Some(filter) = &copy.filter {
            let nothing = RecordBatch::new_empty(shape.nullable_schema());
            query.check_filter(&nothing, filter)?;
        }
        let (errors, notices) = (&self.engine.copy_errors, self.notices.clone());
        let left_out = copy.rejects.map(|limit| LeftOut::new(limit, table.id, errors, notices));
        let load = self.begin_load(&table, copy.file.is_some());
        let mut writer = CopyWriter {
            sequences: self.sequences.clone(),
            table,
            shape,
            volatile,
            serials,
            view,
            ingestor: None,
            query,
            filter: copy.filter.clone(),
            load,
            left_out,
        };
        if let Some(file) = &copy.file {
            return self.copy_from_files((file, copy), layout, writer, &environment, text).await;
        }
        let (cluster, view) = (&self.engine.cluster, &writer.view);
        let ingestor =
            TableIngestor::start(cluster, view, &writer.table, &environment, RowSource::Outside)?;
        writer.ingestor = Some(ingestor);
        let columns = layout.columns.len();
        let data = Data::new(layout, copy.options.format, &writer);
        let result = self.copied.clone();
        Ok(Outcome::CopyIn(Box::new(CopyFrom { columns, data, writer, result })))
    }

    /// Others see it from now on.
    fn begin_load(&self, table: &TableDef, is_from_files: bool) -> Load {
        self.engine.loads.begin(LoadFacts {
            session_pid: self.startup.process_id,
            user: self.startup.user.clone(),
            table_id: table.id,
            table: table.name.clone(),
            schema: table.schema_name.clone(),
            is_from_files,
            bytes_total: None,
            bytes: 0,
            rows: 0,
            rejected: 0,
            excluded: 0,
            started_at: chrono::Utc::now(),
        })
    }

    /// Where the values of the table's columns are from, if the data has those at `given`; and the
    /// defaults that differ from row to row, with the positions of their columns.
    async fn sources(
        &mut self,
        table: &TableDef,
        given: &[usize],
        view: &Arc<Catalog>,
    ) -> Result<(Vec<ColumnSource>, Vec<(usize, String)>)> {
        let mut sources = Vec::with_capacity(table.columns.len());
        let mut volatile = Vec::new();
        for (at, column) in table.columns.iter().enumerate() {
            if let Some(position) = given.iter().position(|given| *given == at) {
                sources.push(ColumnSource::Data(position));
                continue;
            }
            let null = ScalarValue::try_new_null(&column.sql_type.arrow()).map_err(report)?;
            let default = column.default.as_deref().filter(|d| sequence_of(d).is_none());
            let Some(text) = default else {
                sources.push(ColumnSource::Value(null));
                continue;
            };
            let context = self.bind_context(view, None);
            let is_volatile = bind_constant(default_expr(text)?, &context)?.is_volatile();
            let expression = format!("({text})::{}", column.sql_type);
            sources.push(ColumnSource::Value(match is_volatile {
                true => {
                    volatile.push((at, expression));
                    null
                }
                false => self.value_of(&format!("SELECT {expression}"), view).await?,
            }));
        }
        Ok((sources, volatile))
    }

    pub(super) async fn value_of(&mut self, sql: &str, view: &Arc<Catalog>) -> Result<ScalarValue> {
        let bound = bind_query(&own_query(sql)?, &self.bind_context(view, None), &[])?;
        let plan = self.plan(&bound.plan, view).await?;
        let environment = self.environment(view, self.cancel.clone());
        let running = crate::query::run(&self.engine, &plan, &environment).await?;
        let (batches, _) = running.collect().await?;
        let batch = batches.iter().find(|b| b.num_rows() > 0);
        let batch = batch.ok_or_else(|| ErrorReport::internal("a default has no value"))?;
        ScalarValue::try_from_array(batch.column(0), 0).map_err(report)
    }
}

/// A COPY whose rows are coming.
struct CopyFrom {
    /// How many the client sends.
    columns: usize,
    data: Data,
    writer: CopyWriter,
    result: CopyResult,
}

/// What reads the client's data.
enum Data {
    Binary(Box<BinaryReader>),
    Records(BlockParsing),
}

impl Data {
    fn new(layout: CopyLayout, format: CopyFormat, writer: &CopyWriter) -> Self {
        if format == CopyFormat::Binary {
            return Self::Binary(Box::new(BinaryReader::new(&layout.table, layout.columns)));
        }
        let shape = writer.shape.clone();
        Self::Records(BlockParsing::new(CopyParser { layout, shape, is_last: writer.takes_all() }))
    }
}

/// What the client's records are, which come in these columns of the table.
fn layout(
    table: &TableDef,
    positions: &[usize],
    copy: &CopyStatement,
    formats: SessionFormats,
) -> Result<CopyLayout> {
    let options = &copy.options;
    let not_null = forced("FORCE_NOT_NULL", &options.force_not_null, table, positions)?;
    let null = forced("FORCE_NULL", &options.force_null, table, positions)?;
    let forced = not_null.into_iter().zip(null);
    let format = RecordFormat {
        csv: options.format == CopyFormat::Csv,
        delimiter: options.delimiter,
        null: options.null.clone(),
        quote: options.quote,
        escape: options.escape,
    };
    let header = match options.header {
        CopyHeader::None => Header::None,
        CopyHeader::Skip => Header::Skip,
        CopyHeader::Match => Header::Match,
    };
    Ok(CopyLayout {
        table: table.name.clone(),
        columns: positions.iter().map(|at| table.columns[*at].clone()).collect(),
        forced: forced.map(|(not_null, null)| Forced { not_null, null }).collect(),
        format,
        header,
        formats,
        rejects: copy.rejects.is_some(),
    })
}

impl CopyFrom {
    /// Writes the rows of binary data that have been read.
    async fn flush(&mut self) -> Result<()> {
        let Data::Binary(reader) = &mut self.data else { return Ok(()) };
        let Some(CopyBatch { rows, places }) = reader.take()? else { return Ok(()) };
        let shape = &self.writer.shape;
        let mut rows = shape.widen(&rows)?;
        if self.writer.takes_all() {
            rows = shape.conform(&rows, |row| places.context(row))?;
        }
        self.writer.write(CopyBatch { rows, places }).await
    }

    async fn binary(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            let Data::Binary(reader) = &mut self.data else { return Ok(()) };
            if let Err(error) = reader.push(piece) {
                // A row before it may be wrong, too: the first one is to be named.
                self.flush().await?;
                return Err(error);
            }
            if reader.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Writes the first block's rows of those that are being read; `false`: there is none.
    async fn write_next(&mut self) -> Result<bool> {
        let Data::Records(parsing) = &mut self.data else { return Ok(false) };
        let Some(read) = parsing.next().await else { return Ok(false) };
        let read = read?;
        self.writer.note_rejected(&read)?;
        let ReadBlock { batch, end, .. } = read;
        if end != BlockEnd::Open {
            parsing.end();
        }
        if let Some(batch) = batch {
            self.writer.write(batch).await?;
        }
        match end {
            BlockEnd::Open | BlockEnd::Ended => Ok(true),
            BlockEnd::Failed(error) => Err(error),
        }
    }

    async fn finish_data(&mut self) -> Result<()> {
        match &mut self.data {
            Data::Binary(reader) => {
                let finished = reader.finish();
                self.flush().await?;
                finished
            }
            Data::Records(parsing) => {
                if let Some(block) = parsing.finish() {
                    parsing.start(block);
                }
                while self.write_next().await? {}
                Ok(())
            }
        }
    }
}

#[async_trait]
impl CopyIn for CopyFrom {
    fn columns(&self) -> usize {
        self.columns
    }

    fn is_binary(&self) -> bool {
        matches!(self.data, Data::Binary(_))
    }

    async fn data(&mut self, bytes: Bytes) -> Result<()> {
        self.writer.load.has_read(bytes.len() as u64);
        let Data::Records(parsing) = &mut self.data else { return self.binary(&bytes).await };
        for block in parsing.push(&bytes) {
            loop {
                let Data::Records(parsing) = &mut self.data else { return Ok(()) };
                if !parsing.is_full() {
                    if parsing.goes_on() {
                        parsing.start(block);
                    }
                    break;
                }
                self.write_next().await?;
            }
        }
        Ok(())
    }

    async fn done(mut self: Box<Self>) -> Result<String> {
        self.finish_data().await?;
        let (written, count) = self.writer.finish().await?;
        self.writer.tell_of_rejected();
        *self.result.0.lock() = Some(written);
        Ok(format!("COPY {count}"))
    }

    async fn fail(mut self: Box<Self>, message: String) -> ErrorReport {
        let error = ErrorReport::new(
            SqlState::QUERY_CANCELED,
            format!("COPY from stdin failed: {message}"),
        );
        let place = match &mut self.data {
            Data::Binary(reader) => Some(reader.next_place()),
            Data::Records(parsing) => parsing.next_place(),
        };
        match place {
            Some(place) => error.context(place),
            None => error,
        }
    }
}
