//! `pg_stat_progress_copy`: what COPY FROM is loading now, as PostgreSQL shows it.

use super::{
    super::{
        DATABASE_OID, SystemViewContext,
        rows::{Rows, row},
    },
    pg_stat_activity::sees,
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "pid, datid, datname, relid, command, type, bytes_processed, bytes_total, \
         tuples_processed, tuples_excluded",
    );
    let actor = context.actor();
    for load in context.loads.iter() {
        let role = context.catalog.roles.get(&*load.user).map(|role| role.id);
        let is_open = sees(&actor, role);
        rows.push(row![
            load.session_pid,
            DATABASE_OID,
            &context.session.database,
            is_open.then_some(load.table_id),
            is_open.then_some("COPY FROM"),
            is_open.then_some(if load.is_from_files { "FILE" } else { "PIPE" }),
            is_open.then_some(load.bytes),
            // 0: it is not known.
            is_open.then_some(load.bytes_total.unwrap_or_default()),
            is_open.then_some(load.rows),
            is_open.then_some(load.excluded),
        ]);
    }
    rows
}
