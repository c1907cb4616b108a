//! Roles: `pg_authid`, and the views `pg_roles`, `pg_user` and `pg_shadow`. There is one role, and
//! it may do everything.

use super::super::{
    OWNER, OWNER_OID, SystemViewContext,
    rows::{Rows, row},
};

/// As `pg_roles` and `pg_shadow` show a password.
const HIDDEN: &str = "********";

pub(in super::super) fn pg_authid(_: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, \
         rolreplication, rolbypassrls, rolconnlimit",
    );
    rows.push(row![OWNER_OID, OWNER, true, true, true, true, true, false, true, -1]);
    rows
}

pub(in super::super) fn pg_roles(_: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, \
         rolreplication, rolbypassrls, rolconnlimit, rolpassword",
    );
    rows.push(row![OWNER_OID, OWNER, true, true, true, true, true, false, true, -1, HIDDEN]);
    rows
}

/// Also `pg_shadow`, which has the same columns.
pub(in super::super) fn pg_user(_: &SystemViewContext) -> Rows {
    let mut rows =
        Rows::new("usename, usesysid, usecreatedb, usesuper, userepl, usebypassrls, passwd");
    rows.push(row![OWNER, OWNER_OID, true, true, false, true, HIDDEN]);
    rows
}
