//! COPY … FROM STDIN.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, new_null_array},
    datatypes::Schema,
};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    bind::bind_query,
    catalog::{Catalog, Found, Segment, TableDef, find_relation, resolve_table},
    error::report,
    operators::conform,
    parse::{
        CopyDirection, CopyFormat, CopyHeader, CopyOptions, CopyStatement, CopyTarget, Identifier,
        QualifiedName, Statement as ParsedStatement, StatementKind, parse,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, CopyIn, Outcome, Statement,
    copy_to::{forced, named_columns},
    insert::{sequence_of, serial_columns},
};
use crate::{
    copy::{
        BinaryReader, CopyBatch, CopyReader, CopyRows, Forced, Header, Places, RecordFormat,
        Records,
    },
    engine::Engine,
    query::Ingestor,
};

/// What a COPY has written: the session makes it part of its transaction.
#[derive(Clone, Default)]
pub(super) struct CopyResult(Arc<Mutex<Option<Written>>>);

/// The segments that a table got.
type Written = (Arc<TableDef>, Vec<Segment>);

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
                self.copy_from(name, columns, &copy.options).await
            }
            (CopyDirection::FromClient, CopyTarget::Query(_)) => {
                Err(ErrorReport::internal("a query takes no rows"))
            }
            (CopyDirection::ToClient, _) => self.copy_to(copy, statement, cancel).await,
        }
    }

    async fn copy_from(
        &mut self,
        name: &QualifiedName,
        columns: &[Identifier],
        options: &CopyOptions,
    ) -> Result<Outcome> {
        self.transaction.check_writable("COPY FROM")?;
        let view = self.transaction.view(&self.engine);
        let search_path = self.search_path(&view);
        self.check_schema(name.schema.as_ref(), &view)?;
        if let Some(Found::View(view)) = find_relation(&view, &search_path, name) {
            let message = format!("cannot copy to view \"{}\"", view.name);
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
                .hint("Copy to the tables that the view reads."));
        }
        let table = Arc::clone(resolve_table(&view, &search_path, name)?);
        let positions = named_columns(&table, columns)?;
        self.check_insert(&table, &positions)?;
        let serials = serial_columns(&table, &positions);
        self.check_serials(&serials, &view)?;
        let reader = reader(&table, &positions, options)?;
        self.lock_unique(&table).await?;
        let view = self.transaction.view(&self.engine);
        let defaults = self.defaults(&table, &positions, &view).await?;
        let transaction = self.transaction.will_write(&self.engine);
        let ingestor = Ingestor::start(&self.engine.cluster, &view, &table, transaction)?;
        Ok(Outcome::CopyIn(Box::new(CopyFrom {
            engine: Arc::clone(&self.engine),
            serials,
            reader,
            table,
            positions,
            defaults,
            view,
            ingestor: Some(ingestor),
            result: self.copied.clone(),
        })))
    }

    /// Makes the rows of a COPY that has ended part of the transaction.
    pub(super) async fn absorb_copy(&mut self) -> Result<()> {
        let written = self.copied.0.lock().take();
        match written {
            Some((table, segments)) => self.add_segments(&table, segments).await,
            None => Ok(()),
        }
    }

    /// Values of the columns that the client does not send.
    async fn defaults(
        &mut self,
        table: &TableDef,
        given: &[usize],
        view: &Arc<Catalog>,
    ) -> Result<Vec<Option<ScalarValue>>> {
        let mut defaults = Vec::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            let default = column.default.as_deref().filter(|d| sequence_of(d).is_none());
            let value = match default.filter(|_| !given.contains(&at)) {
                None => None,
                Some(text) => {
                    let sql = format!("SELECT ({text})::{}", column.sql_type);
                    Some(self.value_of(&sql, view).await?)
                }
            };
            defaults.push(value);
        }
        Ok(defaults)
    }

    pub(super) async fn value_of(&mut self, sql: &str, view: &Arc<Catalog>) -> Result<ScalarValue> {
        let parsed = parse(sql)?;
        let Some(ParsedStatement { kind: StatementKind::Query(query), .. }) = parsed.first() else {
            return Err(ErrorReport::internal("a default is not an expression"));
        };
        let bound = bind_query(query, &self.bind_context(view, None), &[])?;
        let plan = self.plan(&bound.plan, view).await?;
        let environment = self.environment(view, CancellationToken::new());
        let running = crate::query::run(&self.engine.cluster, &plan, &environment).await?;
        let (batches, _) = running.collect().await?;
        let batch = batches.iter().find(|b| b.num_rows() > 0);
        let batch = batch.ok_or_else(|| ErrorReport::internal("a default has no value"))?;
        ScalarValue::try_from_array(batch.column(0), 0).map_err(report)
    }
}

/// A COPY whose rows are coming.
struct CopyFrom {
    engine: Arc<Engine>,
    table: Arc<TableDef>,
    /// The table's columns that the client sends, in its order.
    positions: Vec<usize>,
    defaults: Vec<Option<ScalarValue>>,
    serials: Vec<(usize, (String, String))>,
    view: Arc<Catalog>,
    reader: CopyReader,
    ingestor: Option<Ingestor>,
    result: CopyResult,
}

/// What makes rows of the client's data, which come in these columns of the table.
fn reader(table: &TableDef, positions: &[usize], options: &CopyOptions) -> Result<CopyReader> {
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
    let rows = CopyRows::new(&table.name, given, forced, &options.null);
    Ok(CopyReader::records(Records::new(&table.name, format), rows, header))
}

impl CopyFrom {
    async fn flush(&mut self) -> Result<()> {
        let Some(CopyBatch { rows, places }) = self.reader.take()? else { return Ok(()) };
        let batch = self.all_columns(&rows)?;
        let batch = ClientSession::with_serials(
            &self.engine,
            batch,
            &self.table,
            &self.serials,
            &self.view,
        )
        .await?;
        let schema = self.table.arrow_schema();
        if let Err(error) = conform(&batch, &schema, &self.table.name) {
            return Err(self.locate(&batch, &places, error));
        }
        match &mut self.ingestor {
            Some(ingestor) => ingestor.push(&batch).await,
            None => Err(ErrorReport::internal("rows came after the end of COPY")),
        }
    }

    /// The first row that the table does not take, and what is wrong with it.
    fn locate(&self, batch: &RecordBatch, places: &Places, error: ErrorReport) -> ErrorReport {
        let schema = self.table.arrow_schema();
        let wrong = (0..batch.num_rows()).find_map(|row| {
            let conformed = conform(&batch.slice(row, 1), &schema, &self.table.name);
            Some((row, conformed.err()?))
        });
        match wrong {
            Some((row, error)) => error.context(places.context(row)),
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
                Some(value) => value.to_array_of_size(rows).map_err(report),
                None => Ok(new_null_array(&column.sql_type.arrow(), rows)),
            }
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let fields = self.table.columns.iter().map(|c| c.sql_type.field(&c.name, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns).map_err(|e| report(e.into()))
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
        if let Err(error) = self.reader.push(&bytes) {
            // A row before it may be wrong, too: the first one is to be named.
            self.flush().await?;
            return Err(error);
        }
        if self.reader.is_full() { self.flush().await } else { Ok(()) }
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
    }
}
