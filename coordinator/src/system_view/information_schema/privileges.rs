//! Who was granted what: `table_privileges`, `column_privileges`, `usage_privileges`, and the
//! views of them that show only the grants of and to the session's own roles.

use kestrel_planner::{
    access::Actor,
    catalog::{AclItem, COLUMN_PRIVILEGES, ObjectKind, PUBLIC, Privilege},
};

use super::super::{
    SystemViewContext,
    privileges::{Granted, grantee_name, role_name, single},
    rows::{Rows, row},
};

const TABLE_COLUMNS: &str = "grantor, grantee, table_catalog, table_schema, table_name, \
                             privilege_type, is_grantable, with_hierarchy";
const COLUMN_COLUMNS: &str = "grantor, grantee, table_catalog, table_schema, table_name, \
                              column_name, privilege_type, is_grantable";
const USAGE_COLUMNS: &str = "grantor, grantee, object_catalog, object_schema, object_name, \
                             object_type, privilege_type, is_grantable";

/// Which grants are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Those to everybody, too.
    All,
    /// Those of and to the session's roles.
    OwnRoles,
}

pub(in super::super) fn table_privileges(context: &SystemViewContext) -> Rows {
    tables(context, Shown::All)
}

pub(in super::super) fn role_table_grants(context: &SystemViewContext) -> Rows {
    tables(context, Shown::OwnRoles)
}

pub(in super::super) fn column_privileges(context: &SystemViewContext) -> Rows {
    columns(context, Shown::All)
}

pub(in super::super) fn role_column_grants(context: &SystemViewContext) -> Rows {
    columns(context, Shown::OwnRoles)
}

pub(in super::super) fn usage_privileges(context: &SystemViewContext) -> Rows {
    usages(context, Shown::All)
}

pub(in super::super) fn role_usage_grants(context: &SystemViewContext) -> Rows {
    usages(context, Shown::OwnRoles)
}

/// Superusers see everything, as members of all roles.
fn is_shown(actor: &Actor<'_>, granted: &Granted, shown: Shown) -> bool {
    actor.acts_as(granted.grantor)
        || (granted.grantee != PUBLIC && actor.acts_as(granted.grantee))
        || (granted.grantee == PUBLIC && shown == Shown::All)
}

/// Every table and view: OID, schema, name.
fn relations(context: &SystemViewContext) -> Vec<(u64, &str, &str)> {
    let catalog = &context.catalog;
    let tables = catalog.tables.values().map(|t| (t.id, t.schema_name.as_str(), t.name.as_str()));
    let views = catalog.views.values().map(|v| (v.id, v.schema_name.as_str(), v.name.as_str()));
    let mut all: Vec<_> = tables.chain(views).collect();
    all.sort_unstable();
    all
}

fn tables(context: &SystemViewContext, shown: Shown) -> Rows {
    let mut rows = Rows::new(TABLE_COLUMNS);
    let (catalog, actor) = (&context.catalog, context.actor());
    for (id, schema, name) in relations(context) {
        let access = catalog.access_of(id);
        for granted in single(catalog, &access.acl(ObjectKind::Table), access.owner) {
            if !is_shown(&actor, &granted, shown) {
                continue;
            }
            rows.push(row![
                role_name(catalog, granted.grantor),
                grantee_name(catalog, granted.grantee),
                &context.session.database,
                schema.to_string(),
                name.to_string(),
                granted.privilege.name(),
                yes_or_no(granted.is_grantable),
                yes_or_no(granted.privilege == Privilege::Select),
            ]);
        }
    }
    rows
}

/// A grant on a table is one on each of its columns.
fn columns(context: &SystemViewContext, shown: Shown) -> Rows {
    let mut rows = Rows::new(COLUMN_COLUMNS);
    let (catalog, actor) = (&context.catalog, context.actor());
    for (id, schema, name) in relations(context) {
        let access = catalog.access_of(id);
        for column in catalog.columns_by_id(id).unwrap_or_default() {
            let mut acl: Vec<AclItem> = access.acl(ObjectKind::Table);
            acl.extend(access.columns.get(&column.id).into_iter().flatten().cloned());
            for granted in single(catalog, &acl, access.owner) {
                let is_of_column = COLUMN_PRIVILEGES.has(granted.privilege);
                if !is_of_column || !is_shown(&actor, &granted, shown) {
                    continue;
                }
                rows.push(row![
                    role_name(catalog, granted.grantor),
                    grantee_name(catalog, granted.grantee),
                    &context.session.database,
                    schema.to_string(),
                    name.to_string(),
                    &column.name,
                    granted.privilege.name(),
                    yes_or_no(granted.is_grantable),
                ]);
            }
        }
    }
    rows
}

/// USAGE of sequences: the only objects here with it that the standard knows.
fn usages(context: &SystemViewContext, shown: Shown) -> Rows {
    let mut rows = Rows::new(USAGE_COLUMNS);
    let (catalog, actor) = (&context.catalog, context.actor());
    for sequence in catalog.sequences.values() {
        let access = catalog.access_of(sequence.id);
        for granted in single(catalog, &access.acl(ObjectKind::Sequence), access.owner) {
            let is_usage = granted.privilege == Privilege::Usage;
            if !is_usage || !is_shown(&actor, &granted, shown) {
                continue;
            }
            rows.push(row![
                role_name(catalog, granted.grantor),
                grantee_name(catalog, granted.grantee),
                &context.session.database,
                &sequence.schema_name,
                &sequence.name,
                "SEQUENCE",
                "USAGE",
                yes_or_no(granted.is_grantable),
            ]);
        }
    }
    rows
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "YES" } else { "NO" }
}
