//! A session whose statements are words; each of them ends.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use kestrel_planner::catalog::{ColumnDef, RoleDef, SqlType, Verifier};
use kestrel_planner::copy::{BinaryReader, CopyLayout, CopyReader, Forced, Header, RecordFormat};
use kestrel_planner::functions::SessionFormats;
use kestrel_proto::{BatchStream, ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::expect_no_bug;
use crate::copy::CopyForm;
use crate::server::*;
use crate::session::{CopyIn, CopyOut, NoticeSender, Outcome, OutputField, RowsTag};

/// Rows of a result, at most, and parameters of a statement.
const MOST: usize = 20;

/// Lets everybody in whose password the rules do not ask for; nobody knows one.
pub(super) struct WordBackend {
    pub(super) verifier: Verifier,
}

pub(super) struct WordSession {
    status: TransactionStatus,
    prepared: PreparedStatements<String>,
    portals: Portals<String>,
}

#[async_trait]
impl Backend for WordBackend {
    type Session = WordSession;

    fn role(&self, name: &str) -> Option<RoleDef> {
        let verifier = Some(self.verifier.clone());
        Some(RoleDef { name: name.into(), verifier, ..RoleDef::initial() })
    }

    async fn connect(&self, _: StartupInfo) -> Result<WordSession> {
        Ok(WordSession {
            status: TransactionStatus::Idle,
            prepared: PreparedStatements::default(),
            portals: Portals::default(),
        })
    }
}

/// A statement's word and its number.
fn parts(statement: &str) -> (&str, usize) {
    let (word, number) = statement.split_once(' ').unwrap_or((statement, ""));
    (word, number.parse().unwrap_or(1).min(MOST))
}

fn field(sql_type: SqlType) -> OutputField {
    OutputField { name: "n".into(), sql_type, table_oid: 0, column_number: 0 }
}

fn rows(count: usize) -> BatchStream {
    let batch = |at: usize| {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![at as i32]));
        RecordBatch::try_from_iter([("n", numbers)])
            .map_err(|e| ErrorReport::internal(e.to_string()))
    };
    Box::pin(stream::iter((0..count).map(batch).collect::<Vec<_>>()))
}

fn echo(parameters: &[Parameter]) -> Outcome {
    let fields: Vec<_> = parameters.iter().map(|p| field(p.sql_type)).collect();
    let arrays: Vec<_> = parameters.iter().map(|p| p.value.to_array().unwrap()).collect();
    let columns = arrays.iter().map(|array| Field::new("n", array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
    let rows: BatchStream = match RecordBatch::try_new(schema, arrays) {
        Ok(batch) => Box::pin(stream::iter([Ok(batch)])),
        Err(_) => Box::pin(stream::empty()),
    };
    Outcome::Rows { fields, rows, tag: RowsTag::Counted("SELECT") }
}

#[async_trait]
impl Session for WordSession {
    type Statement = String;

    fn parse(&mut self, sql: &str) -> Result<Vec<String>> {
        if sql.contains("syntax") {
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, "syntax error").position(1));
        }
        let statements = sql.split(';').map(str::trim).filter(|s| !s.is_empty());
        Ok(statements.map(str::to_string).collect())
    }

    async fn describe(
        &mut self,
        statement: &String,
        types: &[Option<SqlType>],
    ) -> Result<Description> {
        Ok(match parts(statement) {
            ("echo", count) => {
                let types = (0..count).map(|at| types.get(at).copied().flatten());
                let parameters: Vec<_> = types.map(|t| t.unwrap_or(SqlType::Text)).collect();
                let fields = parameters.iter().copied().map(field).collect();
                Description { parameters, fields: Some(fields) }
            }
            ("rows" | "late", _) => {
                Description { parameters: vec![], fields: Some(vec![field(SqlType::Integer)]) }
            }
            _ => Description::default(),
        })
    }

    async fn execute(
        &mut self,
        statement: &String,
        parameters: &[Parameter],
        notices: NoticeSender,
        _: CancellationToken,
    ) -> Result<Outcome> {
        let fields = vec![field(SqlType::Integer)];
        let tag = RowsTag::Counted("SELECT");
        let failure = || ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero");
        Ok(match parts(statement) {
            ("rows", count) => Outcome::Rows { fields, rows: rows(count), tag },
            ("late", _) => {
                let rows = futures::StreamExt::chain(rows(2), stream::iter([Err(failure())]));
                Outcome::Rows { fields, rows: Box::pin(rows), tag }
            }
            ("echo", _) => echo(parameters),
            ("fail", _) => return Err(failure()),
            (word @ ("copy" | "csv" | "binary"), _) => {
                Outcome::CopyIn(Box::new(WordCopy { reader: reader(word), rows: 0 }))
            }
            ("out", count) => {
                let form = CopyForm::Text { delimiter: b'\t', null: "\\N".into() };
                let rows = rows(count);
                Outcome::CopyOut(CopyOut { fields, rows, form, header: false })
            }
            ("begin", _) => {
                self.status = TransactionStatus::Open;
                notices.send(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, "begun"));
                Outcome::Done("BEGIN".into())
            }
            ("commit", _) => {
                self.status = TransactionStatus::Idle;
                Outcome::Done("COMMIT".into())
            }
            _ => Outcome::Done("DONE".into()),
        })
    }

    fn statement_failed(&mut self, _: &ErrorReport) {
        if self.status == TransactionStatus::Open {
            self.status = TransactionStatus::Failed;
        }
        self.portals.end_transaction();
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn portals(&mut self) -> &mut Portals<String> {
        &mut self.portals
    }

    fn prepared_statements(&mut self) -> &mut PreparedStatements<String> {
        &mut self.prepared
    }

    async fn close(self) {}
}

/// What COPY reads with, and no table behind it.
struct WordCopy {
    reader: CopyReader,
    rows: usize,
}

fn reader(form: &str) -> CopyReader {
    let column = |id, name: &str, sql_type| ColumnDef {
        id,
        name: name.into(),
        sql_type,
        not_null: false,
        default: None,
        identity: None,
    };
    let columns = vec![column(1, "a", SqlType::Integer), column(2, "b", SqlType::Text)];
    if form == "binary" {
        return CopyReader::binary(BinaryReader::new("t", columns));
    }
    let csv = form == "csv";
    let (delimiter, null) = if csv { (b',', "") } else { (b'\t', "\\N") };
    let format = RecordFormat { csv, delimiter, null: null.into(), quote: b'"', escape: b'"' };
    CopyReader::records(CopyLayout {
        table: "t".into(),
        columns,
        forced: vec![Forced::default(); 2],
        format,
        header: Header::None,
        formats: SessionFormats::default(),
        rejects: false,
    })
}

impl WordCopy {
    fn take(&mut self) -> Result<()> {
        while let Some(batch) = self.reader.take().inspect_err(expect_no_bug)? {
            self.rows += batch.rows.num_rows();
        }
        Ok(())
    }
}

#[async_trait]
impl CopyIn for WordCopy {
    fn columns(&self) -> usize {
        2
    }

    fn is_binary(&self) -> bool {
        self.reader.is_binary()
    }

    async fn data(&mut self, bytes: Bytes) -> Result<()> {
        self.reader.push(&bytes)?;
        self.take()
    }

    async fn done(mut self: Box<Self>) -> Result<String> {
        self.reader.finish()?;
        self.take()?;
        Ok(format!("COPY {}", self.rows))
    }

    async fn fail(self: Box<Self>, message: String) -> ErrorReport {
        ErrorReport::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {message}"))
    }
}
