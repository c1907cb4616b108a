//! `pg_namespace`: schemas.

use super::super::{
    OWNER_OID, SystemViewContext,
    relation::schemas,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, nspname, nspowner");
    for (oid, name) in schemas(&context.catalog) {
        rows.push(row![oid, name.to_string(), OWNER_OID]);
    }
    rows
}
