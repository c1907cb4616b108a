//! `pg_database`: the one there is.

use super::super::{
    DATABASE_OID, SystemViewContext,
    privileges::acl_text,
    rows::{Rows, row},
};

/// Text is UTF-8 and compares by bytes.
pub(in super::super) const COLLATION: &str = "C.UTF-8";
/// PostgreSQL's number of the encoding UTF8.
pub(in super::super) const UTF8: i64 = 6;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, datname, datdba, encoding, datlocprovider, datallowconn, datconnlimit, \
         dattablespace, datcollate, datctype, datacl",
    );
    let catalog = &context.catalog;
    let access = catalog.access_of(DATABASE_OID.cast_unsigned());
    rows.push(row![
        DATABASE_OID,
        &context.session.database,
        access.owner,
        UTF8,
        "c",
        true,
        -1,
        1663,
        COLLATION,
        COLLATION,
        access.acl.map(|acl| acl_text(catalog, &acl)),
    ]);
    rows
}
