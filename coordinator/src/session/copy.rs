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
        CopyDirection, CopyFormat, CopyHeader, CopyStatement, CopyTarget,
        Statement as ParsedStatement, StatementKind, parse,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, CopyIn, Outcome,
    insert::{all_columns, sequence_of, serial_columns},
};
use crate::{
    copy::{CopyRows, RecordFormat, Records},
    engine::Engine,
    query::Ingestor,
};

/// What a COPY has written: the session makes it part of its transaction.
#[derive(Clone, Default)]
pub(super) struct CopyResult(Arc<Mutex<Option<Written>>>);

/// The segments that a table got.
type Written = (Arc<TableDef>, Vec<Segment>);

impl ClientSession {
    /// Prepares to take the client's rows.
    pub(super) async fn copy(&mut self, copy: &CopyStatement) -> Result<Outcome> {
        let (CopyDirection::FromClient, CopyTarget::Table { name, columns }) =
            (copy.direction, &copy.target)
        else {
            return Err(ErrorReport::unsupported("COPY … TO is not supported yet"));
        };
        self.transaction.check_writable("COPY FROM")?;
        if copy.options.format == CopyFormat::Binary {
            return Err(ErrorReport::unsupported("COPY in binary format is not supported yet"));
        }
        let view = self.transaction.view(&self.engine);
        let search_path = self.settings.search_path();
        if let Some(Found::View(view)) = find_relation(&view, &search_path, name) {
            let message = format!("cannot copy to view \"{}\"", view.name);
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
                .hint("Copy to the tables that the view reads."));
        }
        let table = Arc::clone(resolve_table(&view, &search_path, name)?);
        let positions = if columns.is_empty() {
            all_columns(&table)
        } else {
            let position = |column: &kestrel_planner::parse::Identifier| {
                table.columns.iter().position(|c| c.name == column.name).ok_or_else(|| {
                    let message = format!(
                        "column \"{}\" of relation \"{}\" does not exist",
                        column.name, table.name
                    );
                    ErrorReport::new(SqlState::UNDEFINED_COLUMN, message).position(column.position)
                })
            };
            let positions: Vec<usize> = columns.iter().map(position).collect::<Result<_>>()?;
            for (at, column) in columns.iter().enumerate() {
                if positions[..at].contains(&positions[at]) {
                    let message = format!("column \"{}\" specified more than once", column.name);
                    return Err(ErrorReport::new(SqlState::DUPLICATE_COLUMN, message)
                        .position(column.position));
                }
            }
            positions
        };
        self.lock_unique(&table).await?;
        let view = self.transaction.view(&self.engine);
        let defaults = self.defaults(&table, &positions, &view).await?;
        let transaction = self.transaction.will_write(&self.engine);
        let ingestor = Ingestor::start(&self.engine.cluster, &view, &table, transaction)?;
        let given = positions.iter().map(|at| table.columns[*at].clone()).collect();
        let options = &copy.options;
        let format = RecordFormat {
            csv: options.format == CopyFormat::Csv,
            delimiter: options.delimiter,
            null: options.null.clone(),
            quote: options.quote,
            escape: options.escape,
        };
        Ok(Outcome::CopyIn(Box::new(CopyFrom {
            engine: Arc::clone(&self.engine),
            serials: serial_columns(&table, &positions),
            rows: CopyRows::new(&table.name, given),
            records: Records::new(format),
            skip_header: options.header != CopyHeader::None,
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
    records: Records,
    rows: CopyRows,
    skip_header: bool,
    ingestor: Option<Ingestor>,
    result: CopyResult,
}

impl CopyFrom {
    async fn flush(&mut self) -> Result<()> {
        let Some((batch, lines)) = self.rows.take()? else { return Ok(()) };
        let batch = self.all_columns(&batch)?;
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
            return Err(self.locate(&batch, &lines, error));
        }
        match &mut self.ingestor {
            Some(ingestor) => ingestor.push(&batch).await,
            None => Err(ErrorReport::internal("rows came after the end of COPY")),
        }
    }

    /// The line of the first row that the table does not take.
    fn locate(&self, batch: &RecordBatch, lines: &[u64], error: ErrorReport) -> ErrorReport {
        let schema = self.table.arrow_schema();
        let bad = (0..batch.num_rows())
            .find(|row| conform(&batch.slice(*row, 1), &schema, &self.table.name).is_err());
        let Some(line) = bad.and_then(|row| lines.get(row)) else { return error };
        let at = format!("COPY {}, line {line}", self.table.name);
        let detail = match &error.detail {
            Some(detail) => format!("{detail} {at}"),
            None => at,
        };
        error.detail(detail)
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

    async fn data(&mut self, bytes: Bytes) -> Result<()> {
        let Self { records, rows, skip_header, .. } = self;
        let taken = records.push(&bytes, |line, values| {
            if std::mem::take(skip_header) { Ok(()) } else { rows.push(line, values) }
        });
        if taken.is_err() {
            // A row before it may be wrong, too: the first one is to be named.
            self.flush().await?;
        }
        taken?;
        if self.rows.is_full() { self.flush().await } else { Ok(()) }
    }

    async fn done(mut self: Box<Self>) -> Result<String> {
        let Self { records, rows, skip_header, .. } = self.as_mut();
        records.finish(|line, values| {
            if std::mem::take(skip_header) { Ok(()) } else { rows.push(line, values) }
        })?;
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
