//! `kestrel.load_progress`: what COPY FROM is loading now.

use super::super::{
    SystemViewContext,
    pg_catalog::pg_stat_activity::sees,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "session_pid, user_name, schema_name, table_name, source, bytes_done, bytes_total, rows, \
         rejected, started_at",
    );
    let actor = context.actor();
    for load in context.loads.iter() {
        let role = context.catalog.roles.get(&*load.user).map(|role| role.id);
        let is_open = sees(&actor, role);
        rows.push(row![
            load.session_pid,
            load.user.clone(),
            is_open.then(|| load.schema.clone()),
            is_open.then(|| load.table.clone()),
            is_open.then_some(if load.is_from_files { "files" } else { "client" }),
            is_open.then_some(load.bytes),
            load.bytes_total.filter(|_| is_open),
            is_open.then_some(load.rows),
            is_open.then_some(load.rejected),
            is_open.then_some(load.started_at),
        ]);
    }
    rows
}
