//! `pg_stat_activity`: who is connected, and what they do.

use super::super::{
    DATABASE_OID, SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "datid, datname, pid, usesysid, usename, application_name, client_addr, client_port, \
         backend_start, xact_start, query_start, state_change, state, query, backend_type",
    );
    for activity in &context.activities {
        rows.push(row![
            DATABASE_OID,
            &context.session.database,
            activity.process_id,
            context.catalog.roles.get(&activity.user).map(|role| role.id),
            &activity.user,
            &activity.application_name,
            activity.peer.ip().to_string(),
            i32::from(activity.peer.port()),
            activity.backend_start,
            activity.xact_start,
            activity.query_start,
            activity.state_change,
            activity.state.as_str(),
            &activity.query,
            "client backend",
        ]);
    }
    rows
}
