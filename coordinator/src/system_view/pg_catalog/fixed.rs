//! Catalogs that are the same in every cluster. Types, their functions, operator classes and
//! collations are PostgreSQL's own rows.

use super::super::{
    OWNER_OID, SystemViewContext,
    rows::{Rows, row},
    types,
};

/// The access method of tables.
pub(in super::super) const COLUMNAR_OID: i64 = 15990;
/// The access method that keys show: PostgreSQL's, so that clients know what to make of it.
pub(in super::super) const BTREE_OID: i64 = 403;

/// `pg_am`
pub(in super::super) fn pg_am(_: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, amname, amhandler, amtype");
    rows.push(row![BTREE_OID, "btree", 330, "i"]);
    rows.push(row![COLUMNAR_OID, "columnar", 0, "t"]);
    rows
}

/// `pg_collation`
pub(in super::super) fn pg_collation(_: &SystemViewContext) -> Rows {
    Rows::printed(include_str!("../data/pg_collation.tsv"))
}

/// `pg_language`: what the functions of types are written in.
pub(in super::super) fn pg_language(_: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, lanname, lanowner");
    rows.push(row![12, "internal", OWNER_OID]);
    rows
}

/// `pg_opclass`: the ordering of each type.
pub(in super::super) fn pg_opclass(_: &SystemViewContext) -> Rows {
    Rows::printed(include_str!("../data/pg_opclass.tsv"))
}

/// `pg_proc`: the functions that `pg_type` and `pg_am` refer to.
pub(in super::super) fn pg_proc(_: &SystemViewContext) -> Rows {
    Rows::printed(PROCEDURES)
}

const PROCEDURES: &str = include_str!("../data/pg_proc.tsv");

/// (OID, name) of every row of `pg_proc`.
fn procedures() -> impl Iterator<Item = (i64, &'static str)> {
    PROCEDURES.lines().skip(1).filter_map(|line| {
        let mut cells = line.split('\t');
        Some((cells.next()?.parse().ok()?, cells.next()?))
    })
}

/// The function of this name, if there is exactly one.
pub(in super::super) fn procedure_oid(name: &str) -> Option<i64> {
    let mut found = procedures().filter(|(_, n)| *n == name);
    found.next().filter(|_| found.next().is_none()).map(|(oid, _)| oid)
}

/// The name of the function of this OID.
pub(in super::super) fn procedure_name(oid: i64) -> Option<&'static str> {
    procedures().find(|(o, _)| *o == oid).map(|(_, name)| name)
}

/// `pg_tablespace`
pub(in super::super) fn pg_tablespace(_: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, spcname, spcowner");
    rows.push(row![1663, "pg_default", OWNER_OID]);
    rows.push(row![1664, "pg_global", OWNER_OID]);
    rows
}

/// `pg_type`
pub(in super::super) fn pg_type(_: &SystemViewContext) -> Rows {
    Rows::printed(types::PRINTED)
}
