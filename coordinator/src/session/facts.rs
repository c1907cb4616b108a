//! What system views and session functions see of a session.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use chrono::Utc;
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    access::check_schema,
    bind::{BindContext, Source, SystemRelations},
    catalog::Catalog,
};
use kestrel_proto::{Datanode, ErrorReport, SqlState};

use super::{
    ClientSession, NoticeSender, Statement,
    identity::{Login, role_name},
    settings::Settings,
};
use crate::{
    cluster::Member,
    server::{Activity, Clients, DATABASE, SERVER_VERSION},
    system_view::{
        CursorFacts, PreparedFacts, SessionControl, SessionFacts, SystemViewContext, functions,
        rewrite, system_view,
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
        let role = self.identity(catalog).current;
        BindContext {
            source,
            catalog: Arc::clone(catalog),
            search_path: self.search_path(catalog),
            functions: Arc::clone(&self.engine.cluster.functions),
            session_functions: Arc::new(functions::functions(&context)),
            system_relations: Arc::new(Views { context, role }),
        }
    }

    fn view_context(&self, catalog: &Arc<Catalog>, statement: &str) -> SystemViewContext {
        let identity = self.identity(catalog);
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
            login: self.login.clone(),
            catalog: Arc::clone(catalog),
            clients: Arc::clone(&self.engine.clients),
            notices: self.notices.clone(),
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
    login: Login,
    catalog: Arc<Catalog>,
    clients: Arc<Clients>,
    notices: Option<NoticeSender>,
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
        self.settings.reset(name)?;
        self.settings.show(name)
    }

    fn cancel(&self, process_id: i32) -> bool {
        self.found(self.clients.cancel(process_id), process_id)
    }

    fn terminate(&self, process_id: i32) -> bool {
        self.found(self.clients.terminate(process_id), process_id)
    }
}
