//! COPY … FROM STDIN.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, new_null_array},
    compute::{cast, filter_record_batch},
    datatypes::{Schema, SchemaRef},
};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    bind::{bind_constant, bind_query},
    catalog::{Catalog, Found, Segment, TableDef, find_relation, resolve_table, sequence_of},
    error::report,
    functions::SessionFormats,
    operators::conform,
    parse::{
        CopyDirection, CopyFormat, CopyHeader, CopyOptions, CopyStatement, CopyTarget, Identifier,
        QualifiedName,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, CopyIn, Outcome, Statement,
    copy_rows::CopyRowsQuery,
    copy_to::{forced, named_columns},
    insert::{SerialColumn, default_expr, serial_columns},
    own_query::own_query,
    sequences::Sequences,
};
use crate::{
    copy::{BinaryReader, CopyBatch, CopyReader, CopyRows, Forced, Header, RecordFormat, Records},
    query::Ingestor,
};

/// A message may be much longer: the rows of so much of it are made at once.
const PIECE_BYTES: usize = 1 << 20;

/// What a COPY has written: the session makes it part of its transaction.
#[derive(Clone, Default)]
pub(super) struct CopyResult(Arc<Mutex<Option<Written>>>);

/// The segments that a table got.
type Written = (Arc<TableDef>, Vec<Segment>);

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
                self.copy_from((name, columns), copy, cancel).await
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
        cancel: CancellationToken,
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
        let reader = reader(&table, &positions, &copy.options, self.settings.formats()?)?;
        self.lock_for_writing(&table).await?;
        let view = self.transaction.view(&self.engine);
        let defaults = self.defaults(&table, &positions, &view).await?;
        self.prepare_writing(&table, &view).await?;
        let environment = self.environment(&view, cancel);
        let ingestor = Ingestor::start(&self.engine.cluster, &view, &table, &environment)?;
        let query = CopyRowsQuery {
            engine: Arc::clone(&self.engine),
            context: self.bind_context(&view, None),
            environment,
            table: Arc::clone(&table),
        };
        if let Some(filter) = &copy.filter {
            let nothing = RecordBatch::new_empty(nullable_schema(&table));
            query.check_filter(&nothing, filter)?;
        }
        Ok(Outcome::CopyIn(Box::new(CopyFrom {
            sequences: self.sequences.clone(),
            serials,
            reader,
            table,
            positions,
            defaults,
            view,
            ingestor: Some(ingestor),
            result: self.copied.clone(),
            query,
            filter: copy.filter.clone(),
        })))
    }

    /// Values of the columns that the client does not send.
    async fn defaults(
        &mut self,
        table: &TableDef,
        given: &[usize],
        view: &Arc<Catalog>,
    ) -> Result<Vec<ColumnDefault>> {
        let mut defaults = Vec::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            let default = column.default.as_deref().filter(|d| sequence_of(d).is_none());
            let Some(text) = default.filter(|_| !given.contains(&at)) else {
                defaults.push(ColumnDefault::Nothing);
                continue;
            };
            let context = self.bind_context(view, None);
            let is_volatile = bind_constant(default_expr(text)?, &context)?.is_volatile();
            let expression = format!("({text})::{}", column.sql_type);
            defaults.push(match is_volatile {
                true => ColumnDefault::Each(expression),
                false => ColumnDefault::Value(
                    self.value_of(&format!("SELECT {expression}"), view).await?,
                ),
            });
        }
        Ok(defaults)
    }

    pub(super) async fn value_of(&mut self, sql: &str, view: &Arc<Catalog>) -> Result<ScalarValue> {
        let bound = bind_query(&own_query(sql)?, &self.bind_context(view, None), &[])?;
        let plan = self.plan(&bound.plan, view).await?;
        let environment = self.environment(view, self.cancel.clone());
        let running = crate::query::run(&self.engine.cluster, &plan, &environment).await?;
        let (batches, _) = running.collect().await?;
        let batch = batches.iter().find(|b| b.num_rows() > 0);
        let batch = batch.ok_or_else(|| ErrorReport::internal("a default has no value"))?;
        ScalarValue::try_from_array(batch.column(0), 0).map_err(report)
    }
}

/// A COPY whose rows are coming.
struct CopyFrom {
    sequences: Sequences,
    table: Arc<TableDef>,
    /// The table's columns that the client sends, in its order.
    positions: Vec<usize>,
    defaults: Vec<ColumnDefault>,
    serials: Vec<SerialColumn>,
    view: Arc<Catalog>,
    reader: CopyReader,
    ingestor: Option<Ingestor>,
    result: CopyResult,
    query: CopyRowsQuery,
    /// WHERE
    filter: Option<String>,
}

/// The value of a column that the client does not send.
enum ColumnDefault {
    /// None, or its sequence's.
    Nothing,
    /// The same for all rows.
    Value(ScalarValue),
    /// Another for each row: the expression.
    Each(String),
}

/// The columns of a table as COPY reads them, before the table's rules are looked at.
fn nullable_schema(table: &TableDef) -> SchemaRef {
    let fields = table.columns.iter().map(|c| c.sql_type.field(&c.name, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What makes rows of the client's data, which come in these columns of the table.
fn reader(
    table: &TableDef,
    positions: &[usize],
    options: &CopyOptions,
    formats: SessionFormats,
) -> Result<CopyReader> {
    let given: Vec<_> = positions.iter().map(|at| table.columns[*at].clone()).collect();
    if options.format == CopyFormat::Binary {
        return Ok(CopyReader::binary(BinaryReader::new(&table.name, given)));
    }
    let not_null = forced("FORCE_NOT_NULL", &options.force_not_null, table, positions)?;
    let null = forced("FORCE_NULL", &options.force_null, table, positions)?;
    let forced = not_null.into_iter().zip(null);
    let forced = forced.map(|(not_null, null)| Forced { not_null, null }).collect();
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
    let rows = CopyRows::new(&table.name, given, forced, &options.null, formats);
    Ok(CopyReader::records(Records::new(&table.name, format), rows, header))
}

impl CopyFrom {
    async fn flush(&mut self) -> Result<()> {
        let Some(CopyBatch { rows, places }) = self.reader.take()? else { return Ok(()) };
        let batch = self.all_columns(&rows)?;
        let batch = ClientSession::with_serials(
            &self.sequences,
            batch,
            &self.table,
            &self.serials,
            &self.view,
        )
        .await?;
        let batch = with_volatile_defaults(&self.query, &self.defaults, batch).await?;
        let (batch, lines) = filtered(&self.query, self.filter.as_deref(), batch).await?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let schema = self.table.arrow_schema();
        let line = |row: usize| lines.as_ref().and_then(|lines| lines.get(row).copied());
        let at = |row: usize| places.context(line(row).unwrap_or(row));
        let conformed = match conform(&batch, &schema, &self.table.name) {
            Ok(conformed) => conformed,
            Err(error) => {
                let error = self.locate(&batch, at, error);
                return Err(error.in_schema(&self.table.schema_name));
            }
        };
        if let Some((row, error)) = self.query.check(&batch).await? {
            return Err(error.context(at(row)));
        }
        match &mut self.ingestor {
            Some(ingestor) => ingestor.push_conformed(conformed).await,
            None => Err(ErrorReport::internal("rows came after the end of COPY")),
        }
    }

    /// The first row that the table does not take, and what is wrong with it.
    fn locate(
        &self,
        batch: &RecordBatch,
        context: impl Fn(usize) -> String,
        error: ErrorReport,
    ) -> ErrorReport {
        let schema = self.table.arrow_schema();
        let wrong = (0..batch.num_rows()).find_map(|row| {
            let conformed = conform(&batch.slice(row, 1), &schema, &self.table.name);
            Some((row, conformed.err()?))
        });
        match wrong {
            Some((row, error)) => error.context(context(row)),
            None => error,
        }
    }

    fn all_columns(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self.table.columns.iter().enumerate().map(|(at, column)| {
            if let Some(position) = self.positions.iter().position(|p| *p == at) {
                return Ok(Arc::clone(batch.column(position)));
            }
            match &self.defaults[at] {
                ColumnDefault::Value(value) => value.to_array_of_size(rows).map_err(report),
                ColumnDefault::Nothing | ColumnDefault::Each(_) => {
                    Ok(new_null_array(&column.sql_type.arrow(), rows))
                }
            }
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        RecordBatch::try_new(nullable_schema(&self.table), columns).map_err(|e| report(e.into()))
    }
}

#[async_trait]
impl CopyIn for CopyFrom {
    fn columns(&self) -> usize {
        self.positions.len()
    }

    fn is_binary(&self) -> bool {
        self.reader.is_binary()
    }

    async fn data(&mut self, bytes: Bytes) -> Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            if let Err(error) = self.reader.push(piece) {
                // A row before it may be wrong, too: the first one is to be named.
                self.flush().await?;
                return Err(error);
            }
            if self.reader.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn done(mut self: Box<Self>) -> Result<String> {
        if let Err(error) = self.reader.finish() {
            self.flush().await?;
            return Err(error);
        }
        self.flush().await?;
        let Some(ingestor) = self.ingestor.take() else {
            return Err(ErrorReport::internal("COPY ended twice"));
        };
        let (segments, count) = ingestor.finish().await?;
        *self.result.0.lock() = Some((Arc::clone(&self.table), segments));
        Ok(format!("COPY {count}"))
    }

    async fn fail(self: Box<Self>, message: String) -> ErrorReport {
        ErrorReport::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {message}"))
            .context(self.reader.next_place())
    }
}

/// The rows with those defaults that differ from row to row.
async fn with_volatile_defaults(
    query: &CopyRowsQuery,
    defaults: &[ColumnDefault],
    batch: RecordBatch,
) -> Result<RecordBatch> {
    let each = defaults.iter().enumerate().filter_map(|(at, default)| match default {
        ColumnDefault::Each(expression) => Some((at, expression.clone())),
        ColumnDefault::Nothing | ColumnDefault::Value(_) => None,
    });
    let (places, expressions): (Vec<usize>, Vec<String>) = each.unzip();
    if places.is_empty() {
        return Ok(batch);
    }
    let values = query.values(&batch, &expressions).await?;
    let mut columns = batch.columns().to_vec();
    for (at, value) in places.into_iter().zip(values.columns()) {
        let data_type = query.table.columns[at].sql_type.arrow();
        columns[at] = cast(value, &data_type).map_err(|e| report(e.into()))?;
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(|e| report(e.into()))
}

/// The rows that WHERE keeps, and which of the batch they were; `None`: all.
async fn filtered(
    query: &CopyRowsQuery,
    filter: Option<&str>,
    batch: RecordBatch,
) -> Result<(RecordBatch, Option<Vec<usize>>)> {
    let Some(filter) = filter else { return Ok((batch, None)) };
    let kept = query.filter(&batch, filter).await?;
    let lines = (0..kept.len()).filter(|row| kept.is_valid(*row) && kept.value(*row)).collect();
    let batch = filter_record_batch(&batch, &kept).map_err(|e| report(e.into()))?;
    Ok((batch, Some(lines)))
}
