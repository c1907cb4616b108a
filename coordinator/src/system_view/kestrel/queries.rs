//! `kestrel.queries`: what runs, and what ran last.

use super::super::{
    SystemViewContext,
    pg_catalog::pg_stat_activity::{HIDDEN_QUERY, sees},
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "query_id, session_pid, user_name, state, started_at, duration_ms, rows, rows_moved, \
         bytes_moved, query",
    );
    let actor = context.actor();
    for query in context.queries.iter() {
        let role = context.catalog.roles.get(&*query.user).map(|role| role.id);
        let text = if sees(&actor, role) { query.text.to_string() } else { HIDDEN_QUERY.into() };
        let so_far_ms = || (context.now - query.started_at).num_milliseconds();
        rows.push(row![
            query.id.to_string(),
            query.session_pid,
            query.user.to_string(),
            query.state.as_str(),
            query.started_at,
            query.duration_ms.map_or_else(so_far_ms, |ms| ms.round() as i64),
            query.rows,
            query.rows_moved,
            query.bytes_moved,
            text,
        ]);
    }
    rows
}
