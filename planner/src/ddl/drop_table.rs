//! DROP TABLE

use std::sync::Arc;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan,
    dependents::{self, Object},
};
use crate::{
    catalog::{
        Catalog, CatalogChange, PG_TEMP, RelationKind, TableDef, find_table, is_system_schema,
        is_temporary_schema, of_other_session, relation_kind, schemas_of,
    },
    parse::{DropTable, QualifiedName},
};

pub(super) fn drop_table(
    drop: &DropTable,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("DROP TABLE");
    let mut tables: Vec<&Arc<TableDef>> = Vec::new();
    for name in &drop.tables {
        match find_table(catalog, search_path, name) {
            Some(table) if tables.iter().any(|t| t.id == table.id) => {}
            Some(table) => tables.push(table),
            None => {
                let error = missing(name, catalog, search_path);
                if !drop.if_exists || !is_missing(&error) {
                    return Err(error);
                }
                let message = format!("{}, skipping", error.message);
                plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            }
        }
    }
    check_dependents(&tables, catalog)?;
    let object = |t: &&Arc<TableDef>| Object::relation(catalog, search_path, t.id);
    let dropped: Vec<Object> = tables.iter().filter_map(object).collect();
    let views = dependents::views(&dropped, catalog, search_path);
    dependents::settle(&dropped, &views, drop.cascade, &mut plan.notices)?;
    plan.changes = views.iter().map(|view| view.object.drop(catalog)).collect();
    plan.changes.extend(tables.iter().map(|t| CatalogChange::DropTable(t.id)));
    Ok(plan)
}

pub(super) fn is_missing(error: &ErrorReport) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(&error.sqlstate)
}

/// Why the name is no table that can be dropped.
fn missing(name: &QualifiedName, catalog: &Catalog, search_path: &[String]) -> ErrorReport {
    if let Some(error) = not_a_user_table(name, catalog, search_path) {
        return error;
    }
    let message = format!("table \"{}\" does not exist", name.name);
    ErrorReport::new(SqlState::UNDEFINED_TABLE, message)
}

/// The error for names that belong to something else than a user's table, or to no schema.
pub(super) fn not_a_user_table(
    name: &QualifiedName,
    catalog: &Catalog,
    search_path: &[String],
) -> Option<ErrorReport> {
    if let Some(schema) = &name.schema {
        if let Some(error) =
            of_other_session(catalog, search_path, name.schema.as_deref(), &name.name)
        {
            return Some(error);
        }
        let is_temporary = is_temporary_schema(schema) || schema == PG_TEMP;
        if is_system_schema(schema) && !is_temporary {
            let message = format!("permission denied: \"{}\" is a system catalog", name.name);
            return Some(ErrorReport::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        if !is_temporary && !catalog.schemas.contains_key(schema) {
            let message = format!("schema \"{schema}\" does not exist");
            return Some(ErrorReport::new(SqlState::INVALID_SCHEMA_NAME, message));
        }
    }
    let schemas = schemas_of(search_path, name.schema.as_ref());
    let kind = schemas.iter().find_map(|s| relation_kind(catalog, s, &name.name))?;
    let message = format!("\"{}\" is not a table", name.name);
    let error = ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message);
    Some(match kind {
        RelationKind::Sequence => error.hint("Use DROP SEQUENCE to remove a sequence."),
        RelationKind::Index => error.hint("Use DROP INDEX to remove an index."),
        RelationKind::View => error.hint("Use DROP VIEW to remove a view."),
        RelationKind::Table => error,
    })
}

/// A table made LIKE one with a serial column may take its defaults from that one's sequence.
fn check_dependents(tables: &[&Arc<TableDef>], catalog: &Catalog) -> Result<()> {
    let is_dropped = |id: u64| tables.iter().any(|t| t.id == id);
    for sequence in catalog.sequences.values() {
        let Some((owner, _)) = sequence.owned_by.filter(|(owner, _)| is_dropped(*owner)) else {
            continue;
        };
        let owner = tables.iter().find(|t| t.id == owner);
        let mut others =
            catalog.counting_columns(sequence).filter(|(table, _)| !is_dropped(table.id));
        if let (Some((other, used_by)), Some(owner)) = (others.next(), owner) {
            return Err(dependent(&owner.name, &sequence.name, &used_by.name, &other.name));
        }
    }
    Ok(())
}

fn dependent(table: &str, sequence: &str, column: &str, other: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop table {table} because other objects depend on it"),
    )
    .detail(format!(
        "default value for column {column} of table {other} depends on sequence {sequence}"
    ))
    .hint(format!("Drop the table {other} in the same statement."))
}
