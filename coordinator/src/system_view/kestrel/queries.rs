//! `kestrel.queries`: what runs now.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "query_id, pid, user_name, application_name, state, started_at, elapsed_ms, query",
    );
    for query in &context.queries {
        rows.push(row![
            &query.query_id,
            query.backend_pid,
            &query.user,
            &query.application_name,
            &query.state,
            query.started_at,
            (context.now - query.started_at).num_milliseconds(),
            &query.query,
        ]);
    }
    rows
}
