//! `pg_stat_database`: the one database, and who is in it. What else PostgreSQL counts there is
//! not counted: NULL, and no zeros that would look like measurements.

use super::super::{
    DATABASE_OID, SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("datid, datname, numbackends");
    rows.push(row![DATABASE_OID, &context.session.database, context.activities.len()]);
    rows
}
