//! A session whose statements are words that say what is to happen.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use kestrel_planner::catalog::{RoleDef, SqlType};
use kestrel_proto::{BatchStream, ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::super::*;
use crate::access::make_verifier;
use crate::copy::CopyForm;
use crate::session::{CopyIn, CopyOut, NoticeSender, Outcome, OutputField, RowsTag};

/// What sessions were asked to do, in order.
#[derive(Default)]
pub(super) struct Log(Mutex<Vec<String>>);

impl Log {
    pub(super) fn add(&self, event: impl Into<String>) {
        self.0.lock().push(event.into());
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Waits until this happens.
    pub(super) async fn wait_for(&self, event: &str) {
        let seen = async {
            while !self.0.lock().iter().any(|seen| seen == event) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = tokio::time::timeout(super::SOON, seen).await;
        assert!(seen.is_ok(), "no {event:?} in {:?}", self.0.lock());
    }
}

pub(super) struct FakeBackend {
    pub(super) log: Arc<Log>,
}

#[async_trait]
impl Backend for FakeBackend {
    type Session = FakeSession;

    /// Everybody is there, and has the password "secret".
    fn role(&self, name: &str) -> Option<RoleDef> {
        let verifier = make_verifier("secret").ok();
        Some(RoleDef { name: name.into(), verifier, ..RoleDef::initial() })
    }

    async fn connect(&self, startup: StartupInfo) -> Result<FakeSession> {
        if startup.user == "nobody" {
            let message = "role \"nobody\" does not exist";
            return Err(ErrorReport::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message));
        }
        Ok(FakeSession {
            log: Arc::clone(&self.log),
            status: TransactionStatus::Idle,
            zone: "UTC".to_string(),
            application_name: startup.application_name,
            prepared: PreparedStatements::default(),
            portals: Portals::default(),
            savepoint: 0,
            idle_ms: None,
        })
    }
}

pub(super) struct FakeSession {
    log: Arc<Log>,
    status: TransactionStatus,
    zone: String,
    application_name: String,
    prepared: PreparedStatements<String>,
    portals: Portals<String>,
    /// How many portals had been opened when it was made; 0: there is none.
    savepoint: u64,
    /// How long the client may be silent.
    idle_ms: Option<u64>,
}

fn field(name: &str, sql_type: SqlType) -> OutputField {
    OutputField { name: name.into(), sql_type, table_oid: 0, column_number: 0 }
}

fn fields() -> Vec<OutputField> {
    vec![field("n", SqlType::Integer), field("t", SqlType::Text)]
}

fn batch(range: std::ops::Range<i32>) -> RecordBatch {
    let texts = StringViewArray::from_iter_values(range.clone().map(|n| format!("row {n}")));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(range));
    RecordBatch::try_from_iter([("n", numbers), ("t", Arc::new(texts) as ArrayRef)]).unwrap()
}

/// Says in the log when a stream is dropped.
struct OnDrop(Arc<Log>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add("stream dropped");
    }
}

impl FakeSession {
    fn rows(
        &self,
        rows: impl futures::Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Outcome {
        let guard = OnDrop(Arc::clone(&self.log));
        let rows: BatchStream = Box::pin(rows.map(move |batch| {
            let _ = &guard;
            batch
        }));
        Outcome::Rows { fields: fields(), rows, tag: RowsTag::Counted("SELECT") }
    }

    /// One row of all parameters.
    fn echo(&self, parameters: &[Parameter]) -> Outcome {
        let columns = parameters.iter().enumerate();
        let columns = columns.map(|(i, p)| (field(&format!("p{i}"), p.sql_type), p));
        let (fields, arrays): (Vec<_>, Vec<_>) =
            columns.map(|(field, p)| (field, p.value.to_array().unwrap())).unzip();
        let schema: Vec<Field> =
            arrays.iter().map(|array| Field::new("c", array.data_type().clone(), true)).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(schema)), arrays).unwrap();
        let rows: BatchStream = Box::pin(stream::iter([Ok(batch)]));
        Outcome::Rows { fields, rows, tag: RowsTag::Counted("SELECT") }
    }

    /// A notice while the rows are not there yet, and they come only when it was seen.
    fn noticed(&self, notices: &NoticeSender) -> Outcome {
        notices.send(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, "look"));
        let log = Arc::clone(&self.log);
        self.rows(stream::once(async move {
            log.wait_for("the client saw the notice").await;
            Ok(batch(0..1))
        }))
    }
}

#[async_trait]
impl Session for FakeSession {
    type Statement = String;

    fn parse(&mut self, sql: &str) -> Result<Vec<String>> {
        if let Some(at) = sql.find("syntax") {
            let report = ErrorReport::new(SqlState::SYNTAX_ERROR, "syntax error");
            return Err(report.position(at as u32 + 1));
        }
        let statements = sql.split(';').map(str::trim).filter(|s| !s.is_empty());
        Ok(statements.map(str::to_string).collect())
    }

    async fn describe(
        &mut self,
        statement: &String,
        parameter_types: &[Option<SqlType>],
    ) -> Result<Description> {
        let (word, argument) = statement.split_once(' ').unwrap_or((statement, ""));
        match word {
            "echo" => {
                let count: usize = argument.parse().unwrap();
                let types = (0..count).map(|i| parameter_types.get(i).copied().flatten());
                let types: Vec<SqlType> = types.map(|t| t.unwrap_or(SqlType::Text)).collect();
                let fields = types.iter().map(|t| field("p", *t)).collect();
                Ok(Description { parameters: types, fields: Some(fields) })
            }
            "unknown" => Err(ErrorReport::new(SqlState::UNDEFINED_TABLE, "no such table")),
            "rows" | "late" | "wait" | "endless" | "notice" => {
                Ok(Description { parameters: vec![], fields: Some(fields()) })
            }
            "changed" => Ok(Description {
                parameters: vec![],
                fields: Some(vec![field("n", SqlType::BigInt), field("t", SqlType::Text)]),
            }),
            _ => Ok(Description::default()),
        }
    }

    async fn execute(
        &mut self,
        statement: &String,
        parameters: &[Parameter],
        notices: NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        self.log.add(format!("execute {statement}"));
        let (word, argument) = statement.split_once(' ').unwrap_or((statement, ""));
        let number = argument.parse().unwrap_or(1);
        match word.to_lowercase().as_str() {
            // So many rows, three in a batch.
            "rows" | "changed" => {
                let starts = (0..number).step_by(3);
                Ok(self.rows(stream::iter(starts.map(move |i| Ok(batch(i..number.min(i + 3)))))))
            }
            "late" => {
                let error = ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero");
                Ok(self.rows(stream::iter([Ok(batch(0..2)), Err(error)])))
            }
            // A row, and then nothing for ever.
            "wait" => Ok(self.rows(stream::iter([Ok(batch(0..1))]).chain(stream::pending()))),
            "endless" => Ok(self.rows(stream::repeat_with(|| Ok(batch(0..1_000))))),
            "notice" => Ok(self.noticed(&notices)),
            "hang" => {
                cancel.cancelled().await;
                self.log.add("hang was cancelled");
                Err(ErrorReport::internal("interrupted"))
            }
            "slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok(Outcome::Done("SLOW".into()))
            }
            "fail" => Err(ErrorReport::new(SqlState::UNDEFINED_TABLE, "nope")
                .hint("try another")
                .position(number as u32)),
            "echo" => Ok(self.echo(parameters)),
            "copy" => {
                Ok(Outcome::CopyIn(Box::new(FakeCopy { log: Arc::clone(&self.log), text: vec![] })))
            }
            // So many rows, three in a batch, as COPY data; 0: rows without end.
            "copyout" => {
                let starts = (0..number).step_by(3);
                let some = stream::iter(starts.map(move |i| Ok(batch(i..number.min(i + 3)))));
                let endless = stream::repeat_with(|| Ok(batch(0..1_000)));
                let outcome = if number > 0 { self.rows(some) } else { self.rows(endless) };
                let Outcome::Rows { fields, rows, .. } = outcome else { return Ok(outcome) };
                let form = CopyForm::Text { delimiter: b',', null: String::new() };
                Ok(Outcome::CopyOut(CopyOut { fields, rows, form, header: number == 1 }))
            }
            "begin" | "start" => {
                self.status = TransactionStatus::Open;
                Ok(Outcome::Done("BEGIN".into()))
            }
            "commit" => {
                self.status = TransactionStatus::Idle;
                self.savepoint = 0;
                Ok(Outcome::Done("COMMIT".into()))
            }
            "savepoint" => {
                self.savepoint = self.portals.opened();
                Ok(Outcome::Done("SAVEPOINT".into()))
            }
            "back" => {
                self.status = TransactionStatus::Open;
                self.portals.end_since(self.savepoint);
                Ok(Outcome::Done("ROLLBACK".into()))
            }
            "zone" => {
                self.zone = argument.to_string();
                Ok(Outcome::Done("SET".into()))
            }
            "idle" => {
                self.idle_ms = Some(number as u64);
                Ok(Outcome::Done("SET".into()))
            }
            "panic" => panic!("on purpose"),
            _ => Ok(Outcome::Done(statement.to_uppercase())),
        }
    }

    fn begin_batch(&mut self) {
        self.log.add("begin");
    }

    async fn end_batch(&mut self) -> Result<()> {
        self.log.add("end");
        Ok(())
    }

    fn statement_failed(&mut self, error: &ErrorReport) {
        self.log.add(format!("failed {}", error.sqlstate.as_str()));
        if self.status == TransactionStatus::Open {
            self.status = TransactionStatus::Failed;
        }
        self.portals.end_since(self.savepoint);
    }

    fn check_usable(&self, statement: &String) -> Result<()> {
        if self.status != TransactionStatus::Failed || ["back", "commit"].contains(&&**statement) {
            return Ok(());
        }
        Err(ErrorReport::new(SqlState::IN_FAILED_SQL_TRANSACTION, "aborted"))
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let name = self.application_name.clone();
        vec![("TimeZone", self.zone.clone()), ("application_name", name)]
    }

    fn idle_limit(&self) -> Option<IdleLimit> {
        let after = Duration::from_millis(self.idle_ms?);
        let report = ErrorReport::new(SqlState::IDLE_SESSION_TIMEOUT, "silent for too long");
        Some(IdleLimit { after, report })
    }

    fn portals(&mut self) -> &mut Portals<String> {
        &mut self.portals
    }

    fn prepared_statements(&mut self) -> &mut PreparedStatements<String> {
        &mut self.prepared
    }

    async fn close(self) {
        self.log.add("close");
    }
}

/// Takes text; a line with `bad` in it stops the load.
struct FakeCopy {
    log: Arc<Log>,
    text: Vec<u8>,
}

#[async_trait]
impl CopyIn for FakeCopy {
    fn columns(&self) -> usize {
        2
    }

    async fn data(&mut self, bytes: Bytes) -> Result<()> {
        self.text.extend_from_slice(&bytes);
        match self.text.windows(3).any(|word| word == b"bad") {
            true => Err(ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, "bad row")),
            false => Ok(()),
        }
    }

    async fn done(self: Box<Self>) -> Result<String> {
        self.log.add("copy done");
        let rows = self.text.iter().filter(|byte| **byte == b'\n').count();
        Ok(format!("COPY {rows}"))
    }

    async fn fail(self: Box<Self>, message: String) -> ErrorReport {
        self.log.add(format!("copy failed: {message}"));
        let message = format!("COPY from stdin failed: {message}");
        ErrorReport::new(SqlState::QUERY_CANCELED, message)
    }
}
