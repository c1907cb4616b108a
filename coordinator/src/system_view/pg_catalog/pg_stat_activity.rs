//! `pg_stat_activity`: the session that asks.

use super::super::{
    DATABASE_OID, SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "datid, datname, pid, usesysid, usename, application_name, client_addr, client_port, \
         backend_start, xact_start, query_start, state_change, state, query, backend_type",
    );
    let session = &context.session;
    rows.push(row![
        DATABASE_OID,
        &session.database,
        session.backend_pid,
        context.catalog.roles.get(&session.user).map(|role| role.id),
        &session.user,
        &session.application_name,
        session.client_address.clone(),
        session.client_port,
        session.session_start,
        session.transaction_start,
        context.now,
        context.now,
        "active",
        &session.query,
        "client backend",
    ]);
    rows
}
