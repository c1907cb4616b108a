//! `pg_locks`: what sessions have locked, and what they wait for. Readers lock nothing.

use kestrel_planner::catalog::DATABASE_OID;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};
use crate::engine::LockIdentity;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "locktype, database, relation, classid, objid, objsubid, virtualtransaction, pid, mode, \
         granted, fastpath, waitstart",
    );
    for lock in context.locks.iter() {
        let LockIdentity { kind, relation, class, object, part } = lock.tag.identity();
        rows.push(row![
            kind,
            DATABASE_OID,
            relation,
            class,
            object,
            part,
            // A session runs one transaction at a time, and does not number those that only lock.
            format!("{}/0", lock.process_id),
            lock.process_id,
            lock.mode.name(),
            lock.waiting_since.is_none(),
            false,
            lock.waiting_since,
        ]);
    }
    rows
}
