//! `kestrel.queries`: what runs, and what ran last.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "query_id, session_pid, user_name, application_name, state, started_at, duration_ms, rows, \
         rows_moved, bytes_moved, query",
    );
    for query in &context.queries {
        rows.push(row![
            &query.query_id,
            query.backend_pid,
            &query.user,
            &query.application_name,
            &query.state,
            query.started_at,
            query.duration_ms.unwrap_or((context.now - query.started_at).num_milliseconds()),
            query.rows as i64,
            query.rows_moved as i64,
            query.bytes_moved as i64,
            &query.query,
        ]);
    }
    rows
}
