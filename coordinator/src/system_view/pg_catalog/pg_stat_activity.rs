//! `pg_stat_activity`: who is connected, and what they do.

use std::collections::HashSet;

use super::super::{
    DATABASE_OID, SystemViewContext,
    rows::{Rows, row},
};
use crate::query::QueryState;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "datid, datname, pid, usesysid, usename, application_name, client_addr, client_port, \
         backend_start, xact_start, query_start, state_change, wait_event_type, wait_event, state, \
         query, backend_type",
    );
    let queued = context.queries.iter().filter(|query| query.state == QueryState::Queued);
    let queued: HashSet<i32> = queued.map(|query| query.session_pid).collect();
    for activity in &context.activities {
        let waits = queued.contains(&activity.process_id);
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
            waits.then_some("ResourceGroup"),
            waits.then_some("Queue"),
            activity.state.as_str(),
            &activity.query,
            "client backend",
        ]);
    }
    rows
}
