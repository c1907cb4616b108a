//! What system views and session functions see of a session.

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::Utc;
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    access::{check_schema, check_sequence},
    bind::{BindContext, Source, SystemRelations, name_outputs},
    catalog::{Catalog, Privilege, SequenceDef, is_temporary_schema},
    ddl::Identity,
};
use kestrel_proto::{Datanode, ErrorReport, SqlState};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use super::{
    ClientSession, NoticeSender, Statement,
    identity::{Login, role_name},
    sequences::Sequences,
    settings::{Settings, check_may_set},
};
use crate::{
    catalog::SequenceStanding,
    cluster::Member,
    engine::{CopyErrors, LockOwner, LockScope, WaitLimits},
    server::{Activity, Clients, DATABASE, PreparedStatements, SERVER_VERSION},
    system_view::{
        AdvisoryLock, CursorFacts, PreparedFacts, SessionControl, SessionFacts, SystemViewContext,
        functions::SystemFunctions, lazy, rewrite, sequence_row, system_view,
    },
};

/// System relations over one snapshot.
struct Views {
    context: Arc<SystemViewContext>,
    /// The role that reads.
    role: u64,
}

impl SystemRelations for Views {
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch, ErrorReport>> {
        system_view(schema, name).map(|view| view.batch(&self.context))
    }

    fn check_schema(&self, schema: &str) -> Result<(), ErrorReport> {
        check_schema(schema, &self.context.catalog, self.role)
    }

    fn sequence(&self, sequence: &SequenceDef) -> Result<RecordBatch, ErrorReport> {
        let catalog = &self.context.catalog;
        check_sequence(sequence, &[Privilege::Select], catalog, self.role)?;
        sequence_row(&self.context, sequence)
    }

    fn plannable(&self, query: ast::Query) -> ast::Query {
        plannable(&query)
    }
}

/// A query of the system catalogs in a form that the binder takes; any other as it is.
pub(super) fn plannable(query: &ast::Query) -> ast::Query {
    let mut statement = ast::Statement::Query(Box::new(query.clone()));
    if rewrite::concerns_catalogs(&statement) {
        if let ast::Statement::Query(query) = &mut statement {
            // What is rewritten would be called otherwise.
            name_outputs(query);
        }
        rewrite::rewrite(&mut statement);
    }
    match statement {
        ast::Statement::Query(query) => *query,
        _ => query.clone(),
    }
}

impl ClientSession {
    /// What names mean for a statement over `catalog`; `None`: for one of our own.
    pub(super) fn bind_context(
        &self,
        catalog: &Arc<Catalog>,
        statement: Option<&Statement>,
    ) -> BindContext {
        let source = statement
            .map(|statement| Source { sql: statement.sql.clone(), offset: statement.offset })
            .unwrap_or_default();
        let identity = self.identity(catalog);
        let role = identity.current;
        let context = Arc::new(self.view_context(catalog, identity, &source.sql));
        BindContext {
            source,
            catalog: Arc::clone(catalog),
            search_path: context.session.search_path.clone(),
            functions: Arc::clone(&self.engine.cluster.functions),
            session_functions: Arc::new(SystemFunctions(Arc::clone(&context))),
            system_relations: Arc::new(Views { context, role }),
            changed: None,
            given: Vec::new(),
            sample: None,
        }
    }

    /// What a statement can ask for is looked up when it does, but for what would be other then.
    fn view_context(
        &self,
        catalog: &Arc<Catalog>,
        identity: Identity,
        statement: &str,
    ) -> SystemViewContext {
        let facts = SessionFacts {
            backend_pid: self.startup.process_id,
            user: role_name(catalog, identity.current, &self.login.name),
            session_user: role_name(catalog, identity.session, &self.login.name),
            database: DATABASE.into(),
            application_name: self.settings.get("application_name").unwrap_or_default(),
            client_address: Some(self.startup.peer.ip().to_string()),
            client_port: Some(i32::from(self.startup.peer.port())),
            session_start: self.started_at,
            transaction_start: self.started_at,
            search_path: self.search_path(catalog),
            server_version: SERVER_VERSION.into(),
            transaction_id: None,
            query: statement.to_string(),
            server_start: self.engine.started_at,
        };
        let mut context = SystemViewContext::new(Arc::clone(catalog), facts, Utc::now());
        let settings = self.settings.now();
        context.settings = lazy(move || settings.facts());
        let members = self.engine.cluster.members.clone();
        let state = |member: &Arc<Member>| (member.id().0, member.state().as_str());
        context.datanode_states = lazy(move || members.iter().map(state).collect());
        let shards = Arc::clone(&self.engine.cluster.shards);
        context.in_doubt = lazy(move || shards.in_doubt());
        let analyses = self.engine.auto_analyses.clone();
        context.auto_analyses = lazy(move || analyses.all());
        let advice = self.engine.advice.log.clone();
        context.advice = lazy(move || advice.all());
        let queries = self.engine.queries.clone();
        context.queries = lazy(move || queries.records());
        let locks = self.engine.locks.clone();
        context.locks = lazy(move || locks.facts());
        let errors = self.engine.copy_errors.clone();
        context.copy_errors = lazy(move || errors.all());
        let loads = self.engine.loads.clone();
        context.loads = lazy(move || loads.facts());
        let redistributions = self.engine.redistributions.clone();
        context.redistributions = lazy(move || redistributions.facts());
        let (clients, process_id) = (Arc::clone(&self.engine.clients), self.startup.process_id);
        let application_name = context.session.application_name.clone();
        context.activities = lazy(move || activities(&clients, process_id, application_name));
        context.cursors = self.cursors();
        let prepared = self.prepared.clone();
        context.prepared_statements = lazy(move || prepared_facts(&prepared));
        context.control = Some(Arc::new(Control {
            settings: self.settings.clone(),
            login: self.login.clone(),
            catalog: Arc::clone(catalog),
            role: identity.current,
            clients: Arc::clone(&self.engine.clients),
            notices: self.notices.clone(),
            locks: Arc::clone(&self.locks),
            limits: self.wait_limits(),
            sequences: self.sequences.clone(),
            copy_errors: self.engine.copy_errors.clone(),
            is_read_only: self.settings.is_read_only(),
        }));
        context
    }

    /// The cursors of this session; the unnamed portal is none.
    fn cursors(&self) -> Vec<CursorFacts> {
        let named = self.portals.iter().filter(|(name, _)| !name.is_empty());
        let mut cursors: Vec<_> = named
            .map(|(name, portal)| CursorFacts {
                name: name.to_string(),
                statement: portal.traits.sql.clone(),
                is_holdable: portal.traits.is_holdable,
                is_binary: portal.traits.is_binary,
                is_scrollable: portal.traits.is_scrollable,
                created_at: portal.traits.created_at,
            })
            .collect();
        cursors.sort_by(|a, b| a.name.cmp(&b.name));
        cursors
    }
}

/// What all clients are doing. Of itself a session knows the newest `application_name`.
fn activities(clients: &Clients, own: i32, application_name: String) -> Vec<Activity> {
    let mut activities = clients.activities();
    if let Some(own) = activities.iter_mut().find(|activity| activity.process_id == own) {
        own.application_name = application_name;
    }
    activities
}

/// The prepared statements of a session; the unnamed one is not shown.
fn prepared_facts(prepared: &PreparedStatements<Statement>) -> Vec<PreparedFacts> {
    let named = prepared.iter().filter(|(name, _)| !name.is_empty());
    let mut facts: Vec<_> = named
        .map(|(name, prepared)| PreparedFacts {
            name: name.to_string(),
            statement: prepared.sql.clone(),
            prepared_at: prepared.prepared_at,
            parameter_types: prepared.description.parameters.clone(),
            from_sql: prepared.from_sql,
        })
        .collect();
    facts.sort_by(|a, b| a.name.cmp(&b.name));
    facts
}

/// What the functions of a statement may do to sessions.
#[derive(Debug)]
struct Control {
    settings: Settings,
    login: Login,
    catalog: Arc<Catalog>,
    /// The role that the statement runs as.
    role: u64,
    clients: Arc<Clients>,
    notices: Option<NoticeSender>,
    locks: Arc<LockOwner>,
    limits: WaitLimits,
    sequences: Sequences,
    copy_errors: CopyErrors,
    is_read_only: bool,
}

impl Control {
    /// Warns when there was no such client.
    fn found(&self, is_there: bool, process_id: i32) -> bool {
        if let (false, Some(notices)) = (is_there, &self.notices) {
            let message = format!("PID {process_id} is not a PostgreSQL backend process");
            notices.send(ErrorReport::warning(SqlState::WARNING, message));
        }
        is_there
    }

    /// Errors: 42501 if the role has none of these privileges on a sequence.
    fn check_may(&self, sequence: &SequenceDef, any: &[Privilege]) -> Result<(), ErrorReport> {
        check_sequence(sequence, any, &self.catalog, self.role)
    }

    /// Temporary sequences count also where nothing may be written.
    fn check_writable(&self, function: &str, sequence: &SequenceDef) -> Result<(), ErrorReport> {
        if !self.is_read_only || is_temporary_schema(&sequence.schema_name) {
            return Ok(());
        }
        let message = format!("cannot execute {function} in a read-only transaction");
        Err(ErrorReport::new(SqlState::READ_ONLY_SQL_TRANSACTION, message))
    }
}

impl SessionControl for Control {
    fn set(&self, name: &str, value: &str) -> Result<String, ErrorReport> {
        self.login.check_setting((name, value), &self.settings, &self.catalog)?;
        self.settings.set(name, &[value.to_string()])?;
        self.settings.show(name)
    }

    fn set_local(&self, name: &str, value: &str) -> Result<String, ErrorReport> {
        self.login.check_setting((name, value), &self.settings, &self.catalog)?;
        self.settings.set_local(name, &[value.to_string()])?;
        self.settings.show(name)
    }

    fn reset(&self, name: &str) -> Result<String, ErrorReport> {
        check_may_set(name, self.catalog.is_superuser(self.role))?;
        self.settings.reset(name)?;
        self.settings.show(name)
    }

    fn cancel(&self, process_id: i32) -> bool {
        self.found(self.clients.cancel(process_id), process_id)
    }

    fn terminate(&self, process_id: i32) -> bool {
        self.found(self.clients.terminate(process_id), process_id)
    }

    fn forget_copy_errors(&self, table_id: u64) {
        self.copy_errors.forget(table_id);
    }

    fn lock(&self, lock: AdvisoryLock) -> Result<(), ErrorReport> {
        if self.try_lock(lock) {
            return Ok(());
        }
        let AdvisoryLock { tag, mode, scope } = lock;
        match Handle::try_current() {
            Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
                // Functions cannot await. The runtime gives this thread's other tasks to another.
                let waiting = self.locks.lock(tag, mode, scope, &self.limits);
                block_in_place(|| handle.block_on(waiting))
            }
            _ => Err(ErrorReport::internal("nothing can wait for an advisory lock here")),
        }
    }

    fn try_lock(&self, lock: AdvisoryLock) -> bool {
        self.locks.try_lock(lock.tag, lock.mode, lock.scope)
    }

    fn unlock(&self, lock: AdvisoryLock) -> bool {
        let is_unlocked = self.locks.unlock(lock.tag, lock.mode, LockScope::Session);
        if let (false, Some(notices)) = (is_unlocked, &self.notices) {
            let message = format!("you don't own a lock of type {}", lock.mode.name());
            notices.send(ErrorReport::warning(SqlState::WARNING, message));
        }
        is_unlocked
    }

    fn unlock_all(&self) {
        self.locks.unlock_all();
    }

    fn next_value(&self, sequence: &SequenceDef) -> Result<i64, ErrorReport> {
        self.check_may(sequence, &[Privilege::Usage, Privilege::Update])?;
        self.check_writable("nextval()", sequence)?;
        let values = self.sequences.take(sequence, 1)?;
        values.first().copied().ok_or_else(|| ErrorReport::internal("a sequence gave no value"))
    }

    fn current_value(&self, sequence: &SequenceDef) -> Result<i64, ErrorReport> {
        self.check_may(sequence, &[Privilege::Usage, Privilege::Select])?;
        self.sequences.current(sequence)
    }

    fn last_value(&self, catalog: &Catalog) -> Result<i64, ErrorReport> {
        let (sequence, value) = self.sequences.last(catalog)?;
        self.check_may(sequence, &[Privilege::Usage, Privilege::Select])?;
        Ok(value)
    }

    fn set_value(
        &self,
        sequence: &SequenceDef,
        value: i64,
        is_called: bool,
    ) -> Result<(), ErrorReport> {
        self.check_may(sequence, &[Privilege::Update])?;
        self.check_writable("setval()", sequence)?;
        self.sequences.set(sequence, value, is_called)
    }

    fn standing(&self, sequence: &SequenceDef) -> Result<SequenceStanding, ErrorReport> {
        self.sequences.standing(sequence)
    }
}
