//! `pg_database`: the one there is.

use super::super::{
    DATABASE_OID, OWNER_OID, SystemViewContext,
    rows::{Rows, row},
};

/// Text is UTF-8 and compares by bytes.
pub(in super::super) const COLLATION: &str = "C.UTF-8";
/// PostgreSQL's number of the encoding UTF8.
pub(in super::super) const UTF8: i64 = 6;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, datname, datdba, encoding, datlocprovider, datallowconn, datconnlimit, \
         dattablespace, datcollate, datctype",
    );
    rows.push(row![
        DATABASE_OID,
        &context.session.database,
        OWNER_OID,
        UTF8,
        "c",
        true,
        -1,
        1663,
        COLLATION,
        COLLATION,
    ]);
    rows
}
