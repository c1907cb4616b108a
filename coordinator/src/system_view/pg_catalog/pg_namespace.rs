//! `pg_namespace`: schemas.

use kestrel_planner::catalog::{
    AclItem, Catalog, INITIAL_ROLE_ID, ObjectKind, PUBLIC, Privilege, Privileges, default_acl,
};

use super::super::{
    SystemViewContext,
    privileges::acl_text,
    relation::schemas,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, nspname, nspowner, nspacl");
    let catalog = &context.catalog;
    for (oid, name) in schemas(catalog) {
        let (owner, acl) = match catalog.schemas.contains_key(name) {
            true => {
                let access = catalog.access_of(oid.cast_unsigned());
                (access.owner, access.acl.map(|acl| acl_text(catalog, &acl)))
            }
            false => (INITIAL_ROLE_ID, Some(of_system(catalog))),
        };
        rows.push(row![oid, name.to_string(), owner, acl]);
    }
    rows
}

/// Everybody looks into the system's schemas.
fn of_system(catalog: &Catalog) -> Vec<String> {
    let mut acl = default_acl(ObjectKind::Schema, INITIAL_ROLE_ID);
    acl.push(AclItem {
        grantee: PUBLIC,
        grantor: INITIAL_ROLE_ID,
        privileges: Privilege::Usage.into(),
        grantable: Privileges::NONE,
    });
    acl_text(catalog, &acl)
}
