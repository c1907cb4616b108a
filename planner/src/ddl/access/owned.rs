//! All that belongs to a role: DROP OWNED, REASSIGN OWNED, and why a role cannot be dropped
//! (catalog/pg_shdepend.c).

use std::collections::BTreeSet;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{
        DdlPlan, alter,
        dependents::{self, Dependent, Object},
        drop_sequence::counting_beside,
    },
    grantor::name_of,
    named::{Identity, find_role, role_id},
};
use crate::{
    access::{Actor, insufficient},
    catalog::{
        AccessDef, AclChange, Catalog, CatalogChange, DATABASE_OID, DefaultAclDef, INITIAL_ROLE_ID,
        ObjectKind, Privileges, revoke,
    },
    parse::{DATABASE, RoleName, quote},
};

/// What depends on a role, as the DETAIL of DROP ROLE tells it: newer objects first.
pub(in super::super) fn dependents_of_role(
    role: u64,
    catalog: &Catalog,
    search_path: &[String],
) -> Vec<String> {
    let mut found: Vec<(u64, u32, String)> = Vec::new();
    for access in catalog.access.values() {
        let object = describe(catalog, search_path, access.id);
        if access.owner == role {
            found.push((access.id, 0, format!("owner of {object}")));
        }
        let concerns = access.items().filter(|(_, item)| {
            access.owner != role && (item.grantee == role || item.grantor == role)
        });
        let columns: BTreeSet<u32> = concerns.map(|(column, _)| column).collect();
        for column in columns {
            let name = catalog.columns_by_id(access.id).and_then(|columns| {
                columns.iter().find(|c| c.id == column).map(|c| quote(&c.name))
            });
            let of = name.map_or(String::new(), |name| format!("column {name} of "));
            found.push((access.id, column, format!("privileges for {of}{object}")));
        }
    }
    for default in catalog.default_acls.values() {
        let what = describe_default(catalog, default);
        if default.role == role {
            found.push((default.id, 0, format!("owner of {what}")));
        } else if default.acl.iter().any(|item| item.grantee == role) {
            found.push((default.id, 0, format!("privileges for {what}")));
        }
    }
    found.sort_by(|a, b| (b.0, a.1).cmp(&(a.0, b.1)));
    found.into_iter().map(|(_, _, line)| line).collect()
}

fn describe(catalog: &Catalog, search_path: &[String], id: u64) -> String {
    if let Some(object) = Object::relation(catalog, search_path, id) {
        return object.description;
    }
    if let Some(schema) = catalog.schemas.values().find(|schema| schema.id == id) {
        return format!("schema {}", quote(&schema.name));
    }
    format!("database {DATABASE}")
}

fn describe_default(catalog: &Catalog, default: &DefaultAclDef) -> String {
    let kind = match default.kind {
        ObjectKind::Table => "relations",
        ObjectKind::Sequence => "sequences",
        ObjectKind::Schema => "schemas",
        ObjectKind::Database => "databases",
    };
    let role = quote(&name_of(catalog, default.role));
    let schema = default.schema.and_then(|id| catalog.schemas.values().find(|s| s.id == id));
    let place = schema.map_or(String::new(), |s| format!(" in schema {}", quote(&s.name)));
    format!("default privileges on new {kind} belonging to role {role}{place}")
}

/// REASSIGN OWNED
pub(super) fn reassign(
    from: &[RoleName],
    to: &RoleName,
    catalog: &Catalog,
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    let actor = Actor::new(catalog, identity.current);
    let from = roles(from, &actor, identity, "permission denied to reassign objects")?;
    let to = role_id(to, catalog, identity)?;
    if !actor.acts_as(to) {
        return Err(insufficient("permission denied to reassign objects".into()));
    }
    if from.contains(&INITIAL_ROLE_ID) {
        return Err(required("reassign ownership of objects owned by role", catalog));
    }
    let all = catalog.access.values().filter(|access| from.contains(&access.owner));
    // The sequence of a serial column follows its table.
    let alone = all.filter(|access| owned_by(catalog, access.id).is_none());
    let changes = alone.map(|access| CatalogChange::SetOwner { object: access.id, owner: to });
    plan.changes.extend(changes);
    Ok(())
}

/// DROP OWNED
pub(super) fn drop(
    named: &[RoleName],
    cascade: bool,
    (catalog, search_path): (&Catalog, &[String]),
    identity: Identity,
    plan: &mut DdlPlan,
) -> Result<()> {
    let actor = Actor::new(catalog, identity.current);
    let roles = roles(named, &actor, identity, "permission denied to drop objects")?;
    if roles.contains(&INITIAL_ROLE_ID) {
        return Err(required("drop objects owned by role", catalog));
    }
    drop_objects(&roles, cascade, (catalog, search_path), plan)?;
    let mut dropped: BTreeSet<u64> =
        plan.changes.iter().filter_map(|change| dropped_id(change, catalog)).collect();
    let sequences = catalog.sequences.values();
    let gone = sequences.filter(|s| s.owned_by.is_some_and(|(table, _)| dropped.contains(&table)));
    let gone: Vec<u64> = gone.map(|sequence| sequence.id).collect();
    dropped.extend(gone);
    for access in catalog.access.values().filter(|access| !dropped.contains(&access.id)) {
        let mut after = access.clone();
        revoke_all(&mut after, &roles)?;
        if after != *access {
            let (before, after) = (Box::new(access.clone()), Box::new(after));
            plan.changes.push(CatalogChange::SetAccess { before, after });
        }
    }
    for default in catalog.default_acls.values() {
        // Those of a schema go with it.
        if default.schema.is_some_and(|schema| dropped.contains(&schema)) {
            continue;
        }
        if roles.contains(&default.role) {
            plan.changes.push(CatalogChange::DropDefaultAcl(default.id));
        } else if default.acl.iter().any(|item| roles.contains(&item.grantee)) {
            let acl = default.acl.iter().filter(|item| !roles.contains(&item.grantee));
            let acl = acl.cloned().collect();
            plan.changes
                .push(CatalogChange::SetDefaultAcl(DefaultAclDef { acl, ..default.clone() }));
        }
    }
    Ok(())
}

/// The relations and schemas that these roles own.
fn drop_objects(
    roles: &[u64],
    cascade: bool,
    (catalog, search_path): (&Catalog, &[String]),
    plan: &mut DdlPlan,
) -> Result<()> {
    let owned: Vec<u64> = catalog
        .access
        .values()
        .filter(|access| roles.contains(&access.owner) && access.id != DATABASE_OID)
        .map(|access| access.id)
        .collect();
    // The sequence of a column goes with its table.
    let relation = |id: &u64| {
        let object = Object::relation(catalog, search_path, *id);
        object.filter(|_| owned_by(catalog, *id).is_none())
    };
    let mut relations: Vec<Object> = owned.iter().filter_map(relation).collect();
    let schemas = catalog.schemas.values().filter(|schema| owned.contains(&schema.id));
    let schemas: Vec<&str> = schemas.map(|schema| schema.name.as_str()).collect();
    let mut others: Vec<Dependent> = Vec::new();
    for name in &schemas {
        let tables = catalog.tables.values().filter(|t| t.schema_name == *name).map(|t| t.id);
        let views = catalog.views.values().filter(|v| v.schema_name == *name).map(|v| v.id);
        let sequences = catalog.sequences.values().filter(|s| s.schema_name == *name);
        let held = tables.chain(views).chain(sequences.map(|s| s.id));
        let held = held.filter(|id| !owned.contains(id));
        let schema = catalog.schemas.get(*name).map_or(0, |schema| schema.id);
        let on = Object { id: schema, description: format!("schema {}", quote(name)) };
        let held = held.filter_map(|id| relation(&id));
        others.extend(held.map(|object| Dependent { object, on: on.clone() }));
    }
    let mut dropped = relations.clone();
    relations.extend(others.iter().map(|dependent| dependent.object.clone()));
    others.extend(dependents::views(&relations, catalog, search_path));
    let (defaults, tables) = counting_beside(&relations, (catalog, search_path));
    let of_schema = |name: &&str| Object { id: 0, description: format!("schema {}", quote(name)) };
    dropped.extend(schemas.iter().map(of_schema));
    let gone = others.len();
    others.extend(defaults);
    dependents::settle(&dropped, &others, cascade, &mut plan.notices)?;
    others.truncate(gone);
    plan.changes.extend(tables.into_values().map(|(old, new)| alter::change(&old, new)));
    let all = relations.iter().chain(others.iter().map(|dependent| &dependent.object));
    let mut seen = BTreeSet::new();
    for object in all.filter(|object| seen.insert(object.id)) {
        plan.changes.push(object.drop(catalog));
    }
    plan.changes.extend(schemas.iter().map(|name| CatalogChange::DropSchema((*name).into())));
    Ok(())
}

fn dropped_id(change: &CatalogChange, catalog: &Catalog) -> Option<u64> {
    match change {
        CatalogChange::DropTable(id)
        | CatalogChange::DropView(id)
        | CatalogChange::DropSequence(id) => Some(*id),
        CatalogChange::DropSchema(name) => Some(catalog.schemas.get(name)?.id),
        _ => None,
    }
}

fn owned_by(catalog: &Catalog, sequence: u64) -> Option<u64> {
    catalog.sequence_by_id(sequence)?.owned_by.map(|(table, _)| table)
}

/// Takes everything from these roles.
fn revoke_all(access: &mut AccessDef, roles: &[u64]) -> Result<()> {
    let owner = access.owner;
    for acl in access.lists_mut() {
        while let Some(item) = acl.iter().find(|item| roles.contains(&item.grantee)).cloned() {
            let change = AclChange {
                grantee: item.grantee,
                grantor: item.grantor,
                privileges: Privileges::of_everything(),
                of_option: false,
            };
            revoke(acl, &change, owner, true)?;
        }
    }
    access.columns.retain(|_, acl| !acl.is_empty());
    Ok(())
}

fn roles(
    named: &[RoleName],
    actor: &Actor<'_>,
    identity: Identity,
    denied: &str,
) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    for name in named {
        let id = find_role(name, actor.catalog, identity)?.id;
        if !actor.acts_as(id) {
            return Err(insufficient(denied.into()));
        }
        ids.push(id);
    }
    Ok(ids)
}

fn required(what: &str, catalog: &Catalog) -> ErrorReport {
    let name = name_of(catalog, INITIAL_ROLE_ID);
    let message = format!("cannot {what} {name} because they are required by the database system");
    ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
}
