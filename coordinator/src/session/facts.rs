//! What system views and session functions see of a session.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use chrono::Utc;
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    bind::{BindContext, Source, SystemRelations},
    catalog::{Catalog, SequenceDef, is_temporary_schema},
};
use kestrel_proto::{Datanode, ErrorReport, SqlState};

use super::{ClientSession, NoticeSender, Statement, sequences::Sequences, settings::Settings};
use crate::{
    catalog::SequenceStanding,
    cluster::Member,
    server::{Activity, Clients, DATABASE, SERVER_VERSION},
    system_view::{
        CursorFacts, PreparedFacts, SessionControl, SessionFacts, SystemViewContext, functions,
        rewrite, sequence_row, system_view,
    },
};

/// System relations over one snapshot.
struct Views(Arc<SystemViewContext>);

impl SystemRelations for Views {
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch, ErrorReport>> {
        system_view(schema, name).map(|view| view.batch(&self.0))
    }

    fn sequence(&self, sequence: &SequenceDef) -> Result<RecordBatch, ErrorReport> {
        sequence_row(&self.0, sequence)
    }

    fn plannable(&self, query: ast::Query) -> ast::Query {
        plannable(&query)
    }
}

/// A query of the system catalogs in a form that the binder takes; any other as it is.
pub(super) fn plannable(query: &ast::Query) -> ast::Query {
    let mut statement = ast::Statement::Query(Box::new(query.clone()));
    if rewrite::concerns_catalogs(&statement) {
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
        let context = Arc::new(self.view_context(catalog, &source.sql));
        BindContext {
            source,
            catalog: Arc::clone(catalog),
            search_path: self.search_path(),
            functions: Arc::clone(&self.engine.cluster.functions),
            session_functions: Arc::new(functions::functions(&context)),
            system_relations: Arc::new(Views(context)),
        }
    }

    fn view_context(&self, catalog: &Arc<Catalog>, statement: &str) -> SystemViewContext {
        let facts = SessionFacts {
            backend_pid: self.startup.process_id,
            user: self.startup.user.clone(),
            database: DATABASE.into(),
            application_name: self.settings.get("application_name").unwrap_or_default(),
            client_address: Some(self.startup.peer.ip().to_string()),
            client_port: Some(i32::from(self.startup.peer.port())),
            session_start: self.started_at,
            transaction_start: self.started_at,
            search_path: self.search_path(),
            settings: self.settings.facts(),
            server_version: SERVER_VERSION.into(),
            transaction_id: None,
            query: statement.to_string(),
            server_start: self.started_at,
        };
        let mut context = SystemViewContext::new(Arc::clone(catalog), facts, Utc::now());
        let members = &self.engine.cluster.members;
        let state = |member: &Arc<Member>| (member.id().0, member.state().as_str().to_string());
        context.datanode_states = members.iter().map(state).collect();
        let queries = self.engine.queries.clone();
        context.queries = LazyLock::new(Box::new(move || queries.records()));
        context.activities = self.activities();
        context.cursors = self.cursors();
        context.prepared_statements = self.prepared_facts();
        context.control = Some(Arc::new(Control {
            settings: self.settings.clone(),
            clients: Arc::clone(&self.engine.clients),
            notices: self.notices.clone(),
            sequences: self.sequences.clone(),
            is_read_only: self.transaction.is_read_only(),
        }));
        context
    }

    /// What all clients are doing. Of itself this session knows the newest.
    fn activities(&self) -> Vec<Activity> {
        let mut activities = self.engine.clients.activities();
        let own = activities.iter_mut().find(|a| a.process_id == self.startup.process_id);
        if let Some(own) = own {
            own.application_name = self.settings.get("application_name").unwrap_or_default();
        }
        activities
    }

    /// The prepared statements of this session; the unnamed one is not shown.
    fn prepared_facts(&self) -> Vec<PreparedFacts> {
        let named = self.prepared.iter().filter(|(name, _)| !name.is_empty());
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

/// What the functions of a statement may do to sessions.
#[derive(Debug)]
struct Control {
    settings: Settings,
    clients: Arc<Clients>,
    notices: Option<NoticeSender>,
    sequences: Sequences,
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
        self.settings.set(name, &[value.to_string()])?;
        self.settings.show(name)
    }

    fn set_local(&self, name: &str, value: &str) -> Result<String, ErrorReport> {
        self.settings.set_local(name, &[value.to_string()])?;
        self.settings.show(name)
    }

    fn reset(&self, name: &str) -> Result<String, ErrorReport> {
        self.settings.reset(name)?;
        self.settings.show(name)
    }

    fn cancel(&self, process_id: i32) -> bool {
        self.found(self.clients.cancel(process_id), process_id)
    }

    fn terminate(&self, process_id: i32) -> bool {
        self.found(self.clients.terminate(process_id), process_id)
    }

    fn next_value(&self, sequence: &SequenceDef) -> Result<i64, ErrorReport> {
        self.check_writable("nextval()", sequence)?;
        let values = self.sequences.take(sequence, 1)?;
        values.first().copied().ok_or_else(|| ErrorReport::internal("a sequence gave no value"))
    }

    fn current_value(&self, sequence: &SequenceDef) -> Result<i64, ErrorReport> {
        self.sequences.current(sequence)
    }

    fn last_value(&self, catalog: &Catalog) -> Result<i64, ErrorReport> {
        self.sequences.last(catalog)
    }

    fn set_value(
        &self,
        sequence: &SequenceDef,
        value: i64,
        is_called: bool,
    ) -> Result<(), ErrorReport> {
        self.check_writable("setval()", sequence)?;
        self.sequences.set(sequence, value, is_called)
    }

    fn standing(&self, sequence: &SequenceDef) -> Result<SequenceStanding, ErrorReport> {
        self.sequences.standing(sequence)
    }
}
