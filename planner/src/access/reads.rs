//! What a query reads, and what a statement writes, checked as PostgreSQL's executor does
//! (`ExecCheckRTEPerms`, executor/execMain.c): one privilege on the table, or on every column that
//! the statement names; where it names none, on any one.

use std::collections::BTreeSet;

use kestrel_proto::Result;

use super::{Actor, denied::denied, insufficient};
use crate::{
    bind::ReadColumns,
    catalog::{
        COLUMN_PRIVILEGES, Catalog, NamedRelation, ObjectKind, Privilege, Privileges, SequenceDef,
        TableDef, ViewDef, is_system_schema,
    },
};

/// Checks that a role may read what a query names. `columns` finds out which columns the query
/// names of each relation: it is asked only when a privilege on the whole relation is missing.
/// What a view reads, its owner must be allowed to read.
///
/// Errors: 42501.
pub fn check_reads(
    relations: &[NamedRelation],
    catalog: &Catalog,
    role: u64,
    columns: &dyn Fn() -> Result<ReadColumns>,
) -> Result<()> {
    let actor = Actor::new(catalog, role);
    let mut seen = BTreeSet::new();
    for named in relations {
        let id = named.id;
        if !holds(&actor, id, Privilege::Select) {
            let read = columns()?.remove(&id).unwrap_or_default();
            let known = catalog.columns_by_id(id).unwrap_or_default();
            let read = known.iter().filter(|column| read.contains(&column.name));
            let read: Vec<u32> = read.map(|column| column.id).collect();
            check_columns(&actor, id, &read, Privilege::Select)?;
        }
        if let Some(view) = catalog.view_by_id(id) {
            check_view(view, catalog, &mut seen)?;
        }
    }
    Ok(())
}

fn check_view(view: &ViewDef, catalog: &Catalog, seen: &mut BTreeSet<u64>) -> Result<()> {
    if !seen.insert(view.id) {
        return Ok(());
    }
    let owner = Actor::new(catalog, catalog.owner(view.id));
    for relation in &view.relations {
        let id = relation.named.id;
        if !holds(&owner, id, Privilege::Select) {
            let read = relation.columns.iter().filter(|column| column.is_used);
            let read: Vec<u32> = read.map(|column| column.id).collect();
            check_columns(&owner, id, &read, Privilege::Select)?;
        }
        if let Some(view) = catalog.view_by_id(id) {
            check_view(view, catalog, seen)?;
        }
    }
    Ok(())
}

fn holds(actor: &Actor<'_>, relation: u64, privilege: Privilege) -> bool {
    actor.privileges(relation, ObjectKind::Table).has(privilege)
}

fn check_columns(
    actor: &Actor<'_>,
    relation: u64,
    columns: &[u32],
    privilege: Privilege,
) -> Result<()> {
    let has = |column: u32| actor.column_privileges(relation, column).has(privilege);
    let known = actor.catalog.columns_by_id(relation).unwrap_or_default();
    let may = COLUMN_PRIVILEGES.has(privilege)
        && match columns {
            [] => known.iter().any(|column| has(column.id)),
            some => some.iter().all(|column| has(*column)),
        };
    if may { Ok(()) } else { Err(denied(actor.catalog, relation)) }
}

/// Checks that a role may do this to a table, or to these of its columns (their ids).
///
/// Errors: 42501.
pub fn check_table(
    table: &TableDef,
    columns: &[u32],
    privilege: Privilege,
    catalog: &Catalog,
    role: u64,
) -> Result<()> {
    let actor = Actor::new(catalog, role);
    match holds(&actor, table.id, privilege) {
        true => Ok(()),
        false => check_columns(&actor, table.id, columns, privilege),
    }
}

/// Checks that a role has one of these privileges on a sequence: to take its values, USAGE or UPDATE
/// (commands/sequence.c).
///
/// Errors: 42501.
pub fn check_sequence(
    sequence: &SequenceDef,
    any: &[Privilege],
    catalog: &Catalog,
    role: u64,
) -> Result<()> {
    let held = Actor::new(catalog, role).privileges(sequence.id, ObjectKind::Sequence);
    match held.and(Privileges::of(any)).is_empty() {
        true => Err(denied(catalog, sequence.id)),
        false => Ok(()),
    }
}

/// Checks that a role may look into a schema. One that is not there is somebody else's error.
///
/// Errors: 42501.
pub fn check_schema(schema: &str, catalog: &Catalog, role: u64) -> Result<()> {
    let Some(found) = catalog.schemas.get(schema).filter(|_| !is_system_schema(schema)) else {
        return Ok(());
    };
    let held = Actor::new(catalog, role).privileges(found.id, ObjectKind::Schema);
    match held.has(Privilege::Usage) {
        true => Ok(()),
        false => Err(insufficient(format!("permission denied for schema {schema}"))),
    }
}
