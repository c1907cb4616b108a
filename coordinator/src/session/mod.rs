//! One client's session: statements in, outcomes out.

mod advice;
mod analyze;
mod auto_analyze;
mod backup;
mod block;
mod change_rows;
mod cluster;
mod commit;
mod copy;
mod copy_blocks;
mod copy_files;
mod copy_rejects;
mod copy_rows;
mod copy_to;
mod copy_write;
mod create_table_as;
mod cursor;
mod ddl;
mod describe;
mod execute;
mod explain;
mod facts;
mod file_list;
mod identity;
mod identity_columns;
mod insert;
mod kept_plans;
mod lock;
mod maintenance;
mod merge;
mod on_conflict;
mod outcome;
mod own_query;
mod partition;
mod prepare;
mod privileges;
mod redistribute;
mod returning;
mod role;
mod rules;
mod savepoint;
mod select;
mod sequences;
mod serial;
mod settings;
mod shard_functions;
mod shard_statements;
#[cfg(test)]
mod shard_tests;
mod show;
mod statistics;
mod temporary;
mod transaction;
mod unique;
mod vacuum;
mod write;

pub use auto_analyze::analyze_automatically;
pub use cursor::RowCursor;
pub use outcome::{CopyIn, CopyOut, NoticeSender, Outcome, OutputField, RowsTag, Silences};

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use kestrel_planner::{
    access::{Actor, insufficient},
    bind::locate,
    catalog::{Catalog, DATABASE_OID, ObjectKind, Privilege, RoleDef, SqlType},
    functions::SessionFormats,
    parse::{self, StatementKind},
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{Engine, LockOwner, LockTag, Pin},
    server::{
        Backend, Description, Format, IdleLimit, Parameter, Portals, PreparedStatements,
        ServeOptions, Session, StartupInfo, TransactionStatus, serve,
    },
};
use analyze::Analysis;
use identity::Login;
use savepoint::Savepoints;
use sequences::Sequences;
use settings::Settings;
use shard_functions::ShardFunction;
use transaction::Transaction;

/// A parsed statement.
pub type Statement = parse::Statement;

/// Makes sessions over one engine.
pub struct EngineBackend {
    engine: Arc<Engine>,
    fixed_settings: Vec<(&'static str, String)>,
}

impl EngineBackend {
    /// Sessions of this engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, fixed_settings: Vec::new() }
    }

    /// The same, whose sessions show these values of settings that nobody can change.
    pub fn with_fixed_settings(self, fixed_settings: Vec<(&'static str, String)>) -> Self {
        Self { fixed_settings, ..self }
    }

    /// Serves clients with these sessions, as [`serve`] does. Boxed: whoever awaits it does not
    /// compile the server over again.
    pub fn serve(
        self,
        listener: TcpListener,
        options: ServeOptions,
        shutdown: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(serve(listener, Arc::new(self), options, shutdown))
    }
}

#[async_trait]
impl Backend for EngineBackend {
    type Session = ClientSession;

    fn role(&self, name: &str) -> Option<RoleDef> {
        self.engine.catalog.snapshot().roles.get(name).cloned()
    }

    fn memberships(&self, name: &str) -> BTreeSet<String> {
        let catalog = self.engine.catalog.snapshot();
        let ids = catalog.roles.get(name).map(|role| catalog.memberships(role.id));
        let roles = ids.into_iter().flatten().filter_map(|id| catalog.role_by_id(id));
        roles.map(|role| role.name.clone()).collect()
    }

    async fn connect(&self, startup: StartupInfo) -> Result<ClientSession> {
        let settings = Settings::default();
        for (name, value) in &self.fixed_settings {
            settings.fix(name, value.clone());
        }
        let limits = self.engine.admission.limits();
        let auto = self.engine.compaction.auto;
        let rate = (auto.bytes_per_second >> 10).to_string();
        settings.fix("kestrel.auto_vacuum", if auto.is_on { "on" } else { "off" }.into());
        settings.fix("kestrel.auto_vacuum_interval", auto.interval.as_millis().to_string());
        settings.fix("kestrel.auto_vacuum_rate", rate);
        settings.fix("kestrel.max_queued_queries", limits.max_queued.to_string());
        settings.fix("kestrel.max_running_queries", limits.max_running.to_string());
        settings.limit_query_memory(limits.memory_bytes);
        let catalog = self.engine.catalog.snapshot();
        let login = login(&startup, &catalog)?;
        settings.set("session_authorization", std::slice::from_ref(&login.name))?;
        role::begin_with(&settings, &login, &catalog);
        settings.start(&startup, &|setting| login.check_setting(setting, &settings, &catalog))?;
        let mut session = ClientSession {
            engine: Arc::clone(&self.engine),
            locks: self.engine.locks.owner(startup.process_id),
            cancel: CancellationToken::new(),
            startup,
            login,
            settings,
            transaction: Transaction::default(),
            savepoints: Savepoints::new(),
            sequences: Sequences::new(self.engine.catalog.clone()),
            prepared: PreparedStatements::default(),
            portals: Portals::default(),
            notices: None,
            string_is_block: false,
            started_at: Utc::now(),
            batch_failed: false,
            copied: copy::CopyResult::default(),
            locked_keys: Vec::new(),
            backup_pin: None,
            analysis: None,
            advice: advice::SessionAdvice::default(),
        };
        session.take_role();
        Ok(session)
    }
}

/// The role that logs in.
///
/// Errors: 28000 if it is gone; 42501 if it may not connect to the database.
fn login(startup: &StartupInfo, catalog: &Catalog) -> Result<Login> {
    let Some(role) = catalog.roles.get(&startup.user) else {
        let message = format!("role \"{}\" does not exist", startup.user);
        return Err(ErrorReport::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message));
    };
    let held = Actor::new(catalog, role.id).privileges(DATABASE_OID, ObjectKind::Database);
    if !held.has(Privilege::Connect) {
        let message = format!("permission denied for database \"{}\"", startup.database);
        return Err(insufficient(message).detail("User does not have CONNECT privilege."));
    }
    Ok(Login { name: role.name.clone(), id: role.id })
}

/// One client's session.
pub struct ClientSession {
    engine: Arc<Engine>,
    startup: StartupInfo,
    login: Login,
    settings: Settings,
    /// What the session has locked.
    locks: Arc<LockOwner>,
    /// Of the statement that runs, for what it waits for: locks, queries of our own about its rows.
    cancel: CancellationToken,
    transaction: Transaction,
    savepoints: Savepoints,
    sequences: Sequences,
    prepared: PreparedStatements<Statement>,
    portals: Portals<Statement>,
    /// Where the statement that runs sends its notices.
    notices: Option<NoticeSender>,
    /// The query string has more than one statement, which makes it a transaction block.
    string_is_block: bool,
    started_at: DateTime<Utc>,
    batch_failed: bool,
    copied: copy::CopyResult,
    /// What the last INSERT that locked single keys has locked, and its transaction had not before.
    locked_keys: Vec<LockTag>,
    /// Keeps the files that a backup copies.
    backup_pin: Option<Pin>,
    /// EXPLAIN ANALYZE runs a statement: the queries of that.
    analysis: Option<Analysis>,
    /// What it was told could be better.
    advice: advice::SessionAdvice,
}

#[async_trait]
impl Session for ClientSession {
    type Statement = Statement;

    fn parse(&mut self, sql: &str) -> Result<Vec<Statement>> {
        let mut statements = parse::parse(sql)?;
        statements.retain(|statement| statement.kind != StatementKind::Empty);
        self.string_is_block = statements.len() > 1;
        Ok(statements)
    }

    async fn describe(
        &mut self,
        statement: &Statement,
        parameter_types: &[Option<SqlType>],
    ) -> Result<Description> {
        self.description(statement, parameter_types).await
    }

    async fn execute(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
        notices: NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        let notices = self.begin_statement(statement, notices, cancel.clone());
        let outcome = self.run_where_rows_are(statement, parameters, &notices, cancel).await;
        outcome.map_err(|error| locate(error, statement))
    }

    async fn open(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
        notices: NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Option<(Vec<OutputField>, RowCursor)>> {
        let StatementKind::Query(query) = &statement.kind else { return Ok(None) };
        if ShardFunction::of(query).is_some() {
            return Ok(None);
        }
        self.begin_statement(statement, notices, cancel);
        self.check_usable(statement)?;
        self.take_role();
        let opened = self.open_forward_only(query, statement, parameters).await;
        opened.map(Some).map_err(|error| locate(error, statement))
    }

    fn deadline(&self) -> Option<Instant> {
        let timeout = self.settings.statement_timeout_ms();
        (timeout > 0).then(|| Instant::now() + Duration::from_millis(timeout))
    }

    async fn copied(&mut self) -> Result<()> {
        let written = self.copied.take();
        match written {
            Some(written) => self.add_written(written, unique::NewValues::All).await,
            None => Ok(()),
        }
    }

    fn begin_batch(&mut self) {
        self.batch_failed = false;
        self.string_is_block = false;
    }

    async fn end_batch(&mut self) -> Result<()> {
        if self.transaction.in_block() {
            return Ok(());
        }
        if std::mem::take(&mut self.batch_failed) {
            self.rollback().await;
            return Ok(());
        }
        // Whoever declares a cursor WITH HOLD outside of a block has waited for its rows already.
        self.commit(&CancellationToken::new()).await
    }

    fn statement_failed(&mut self, _: &ErrorReport) {
        self.batch_failed = true;
        self.transaction.fail();
        // What is older than the last savepoint can be gone back to.
        self.portals.end_since(self.savepoints.last().map_or(0, |savepoint| savepoint.portals));
        self.portals.end_broken();
        if self.transaction.has_failed() && self.savepoints.is_empty() {
            self.transaction.give_up_locks(&self.locks);
            self.transaction.give_up_shards(&self.engine);
        }
    }

    fn check_usable(&self, statement: &Statement) -> Result<()> {
        match execute::ends_failure(&statement.kind) {
            true => Ok(()),
            false => self.transaction.check_usable(),
        }
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.transaction.status()
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let (session_user, is_superuser) = self.told_of_roles();
        let mut differing = self.settings.reported();
        differing.retain(|(name, _)| !["is_superuser", "session_authorization"].contains(name));
        differing.push(("is_superuser", if is_superuser { "on".into() } else { "off".into() }));
        differing.push(("session_authorization", session_user));
        differing
    }

    fn text_style(&self) -> SessionFormats {
        // SET has checked the values.
        self.settings.formats().unwrap_or_default()
    }

    fn simple_format(&self, statement: &Statement) -> Format {
        let StatementKind::Fetch(fetch) = &statement.kind else { return Format::Text };
        match self.portals.get(&fetch.name) {
            Some(portal) if portal.traits.is_binary => Format::Binary,
            _ => Format::Text,
        }
    }

    fn idle_limit(&self) -> Option<IdleLimit> {
        self.settings.idle_limit(self.transaction.in_block())
    }

    fn portals(&mut self) -> &mut Portals<Statement> {
        &mut self.portals
    }

    fn prepared_statements(&mut self) -> &mut PreparedStatements<Statement> {
        &mut self.prepared
    }

    async fn close(mut self) {
        self.portals.clear();
        self.rollback().await;
        self.locks.end_session();
        self.end_temporary().await;
        if self.backup_pin.take().is_some() {
            // It has kept what others have dropped meanwhile.
            self.engine.collect_garbage().await;
        }
    }
}

impl ClientSession {
    /// A statement begins, under this cancel; where its notices go.
    fn begin_statement(
        &mut self,
        statement: &Statement,
        notices: NoticeSender,
        cancel: CancellationToken,
    ) -> NoticeSender {
        let notices = notices.silenced(self.settings.silences());
        statement.notices.iter().for_each(|notice| notices.send(notice.clone()));
        self.notices = Some(notices.clone());
        self.cancel = cancel;
        // The statement before may have been given up.
        self.analysis = None;
        notices
    }

    /// In a transaction block? A query string of more than one statement is one.
    fn is_in_block(&self) -> bool {
        self.transaction.in_block() || self.string_is_block
    }
}
