//! What system views and session functions see of a session.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use chrono::Utc;
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    bind::{BindContext, Source, SystemRelations},
    catalog::Catalog,
};
use kestrel_proto::{Datanode, ErrorReport};

use super::{ClientSession, Statement};
use crate::{
    cluster::Member,
    server::{DATABASE, SERVER_VERSION},
    system_view::{SessionFacts, SystemViewContext, functions, rewrite, system_view},
};

/// System relations over one snapshot.
struct Views(Arc<SystemViewContext>);

impl SystemRelations for Views {
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch, ErrorReport>> {
        system_view(schema, name).map(|view| view.batch(&self.0))
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
            search_path: self.settings.search_path(),
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
            search_path: self.settings.search_path(),
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
        context
    }
}
