//! What system views and session functions see of a session.

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::Utc;
use kestrel_planner::{
    bind::{BindContext, SystemRelations},
    catalog::Catalog,
};
use kestrel_proto::ErrorReport;

use super::ClientSession;
use crate::{
    query::QueryState,
    server::{DATABASE, SERVER_VERSION},
    system_view::{QueryFacts, SessionFacts, SystemViewContext, functions, system_view},
};

/// System relations over one snapshot.
struct Views(Arc<SystemViewContext>);

impl SystemRelations for Views {
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch, ErrorReport>> {
        system_view(schema, name).map(|view| view.batch(&self.0))
    }
}

impl ClientSession {
    /// What names mean for a statement over `catalog`.
    pub(super) fn bind_context(&self, catalog: &Arc<Catalog>, statement: &str) -> BindContext {
        let context = Arc::new(self.view_context(catalog, statement));
        BindContext {
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
        let running = self.engine.queries.records();
        let running = running.into_iter().filter(|q| q.state == QueryState::Running);
        context.queries = running
            .map(|query| QueryFacts {
                query_id: query.id.to_string(),
                backend_pid: query.session_pid,
                user: self.startup.user.clone(),
                application_name: String::new(),
                state: query.state.as_str().into(),
                started_at: query.started_at,
                query: query.text,
            })
            .collect();
        context
    }
}
