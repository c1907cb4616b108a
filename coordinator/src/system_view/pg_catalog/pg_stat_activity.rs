//! `pg_stat_activity`: who is connected, and what they do.

use std::collections::HashMap;

use kestrel_planner::{access::Actor, catalog::READ_ALL_STATS_ID};

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
    let waits = waits(context);
    let actor = context.actor();
    for activity in context.activities.iter() {
        let wait = waits.get(&activity.process_id);
        let role = context.catalog.roles.get(&activity.user).map(|role| role.id);
        // Of others' sessions most is hidden.
        let is_open = sees(&actor, role);
        rows.push(row![
            DATABASE_OID,
            &context.session.database,
            activity.process_id,
            role,
            &activity.user,
            &activity.application_name,
            is_open.then(|| activity.peer.ip().to_string()),
            is_open.then(|| i32::from(activity.peer.port())),
            is_open.then_some(activity.backend_start),
            activity.xact_start.filter(|_| is_open),
            activity.query_start.filter(|_| is_open),
            is_open.then_some(activity.state_change),
            wait.filter(|_| is_open).map(|(kind, _)| *kind),
            wait.filter(|_| is_open).map(|(_, event)| *event),
            is_open.then(|| activity.state.as_str()),
            if is_open { activity.query.clone() } else { HIDDEN_QUERY.into() },
            is_open.then_some("client backend"),
        ]);
    }
    rows
}

/// What sessions wait for: the type and the name of the event, by the session's number. A query waits
/// for its turn after all its locks.
fn waits(context: &SystemViewContext) -> HashMap<i32, (&'static str, &'static str)> {
    let waiting = context.locks.iter().filter(|lock| lock.waiting_since.is_some());
    let locks = waiting.map(|lock| (lock.process_id, ("Lock", lock.tag.identity().kind)));
    let queued = context.queries.iter().filter(|query| query.state == QueryState::Queued);
    queued.map(|query| (query.session_pid, ("ResourceGroup", "Queue"))).chain(locks).collect()
}

/// What stands where a statement may not be seen.
pub(in super::super) const HIDDEN_QUERY: &str = "<insufficient privilege>";

/// Does the role see what another one runs?
pub(in super::super) fn sees(actor: &Actor<'_>, role: Option<u64>) -> bool {
    actor.acts_as(READ_ALL_STATS_ID) || role.is_some_and(|role| actor.acts_as(role))
}
