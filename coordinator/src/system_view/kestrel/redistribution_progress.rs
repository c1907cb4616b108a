//! `kestrel.redistribution_progress`: which tables' rows ALTER TABLE … SET DISTRIBUTED moves now.

use super::super::{
    SystemViewContext,
    pg_catalog::pg_stat_activity::sees,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "session_pid, user_name, schema_name, table_name, distribution, phase, rounds, rows_done, \
         rows_total, started_at",
    );
    let actor = context.actor();
    for moved in context.redistributions.iter() {
        let role = context.catalog.roles.get(&*moved.user).map(|role| role.id);
        let is_open = sees(&actor, role);
        rows.push(row![
            moved.session_pid,
            moved.user.clone(),
            is_open.then(|| moved.schema.clone()),
            is_open.then(|| moved.table.clone()),
            is_open.then(|| moved.distribution.clone()),
            is_open.then(|| moved.phase.name()),
            is_open.then_some(moved.rounds),
            is_open.then_some(moved.rows),
            is_open.then_some(moved.rows_total),
            is_open.then_some(moved.started_at),
        ]);
    }
    rows
}
