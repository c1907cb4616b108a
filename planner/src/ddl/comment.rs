//! COMMENT ON

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::DdlPlan;
use crate::{
    catalog::{
        Catalog, CatalogChange, DATABASE_OID, Found, KeyDef, PG_TEMP, TableDef, find_relation,
        find_sequence, is_system_schema, is_temporary_schema, schemas_of,
    },
    parse::{Comment, CommentTarget, DATABASE, Identifier, QualifiedName},
};

pub(super) fn comment(
    comment: &Comment,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("COMMENT");
    let (object, column) = match &comment.target {
        CommentTarget::Table(name) => match found(catalog, search_path, name)? {
            Found::Table(table) => (table.id, 0),
            Found::View(_) => return Err(wrong_kind(name, "a table")),
        },
        CommentTarget::View(name) => match found(catalog, search_path, name)? {
            Found::View(view) => (view.id, 0),
            Found::Table(_) => return Err(wrong_kind(name, "a view")),
        },
        CommentTarget::Index(name) => (find_index(catalog, search_path, name)?.1.id, 0),
        CommentTarget::Sequence(name) => {
            let sequence = find_sequence(catalog, search_path, name);
            (sequence.ok_or_else(|| undefined(name))?.id, 0)
        }
        CommentTarget::Column(name, column) => {
            let id = found(catalog, search_path, name)?.id();
            (id, column_id(catalog, id, name, column)?)
        }
        CommentTarget::Schema(name) => (schema_id(catalog, name)?, 0),
        CommentTarget::Database(name) if name.name == DATABASE => (DATABASE_OID, 0),
        CommentTarget::Database(name) => {
            let message = format!("database \"{}\" does not exist", name.name);
            return Err(ErrorReport::new(SqlState::INVALID_CATALOG_NAME, message));
        }
    };
    plan.changes.push(CatalogChange::SetComment { object, column, text: comment.text.clone() });
    Ok(plan)
}

fn found<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    name: &QualifiedName,
) -> Result<Found<'a>> {
    let is_system = |schema: &&String| {
        is_system_schema(schema) && !is_temporary_schema(schema) && *schema != PG_TEMP
    };
    if let Some(schema) = name.schema.as_ref().filter(is_system) {
        let message = format!("permission denied: \"{schema}.{}\" is a system catalog", name.name);
        return Err(ErrorReport::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    find_relation(catalog, search_path, name).ok_or_else(|| undefined(name))
}

/// The index of this name, and its table. Indexes of keys have names in the same space.
///
/// Errors: 42P01
pub(super) fn find_index<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    name: &QualifiedName,
) -> Result<(&'a TableDef, &'a KeyDef)> {
    let schemas = schemas_of(search_path, name.schema.as_ref());
    let found = schemas.iter().find_map(|schema| {
        let tables = catalog.tables.values().filter(|table| table.schema_name == *schema);
        let mut keys =
            tables.flat_map(|table| table.index_keys().map(move |key| (table.as_ref(), key)));
        keys.find(|(_, key)| key.name == name.name)
    });
    found.ok_or_else(|| undefined(name))
}

fn undefined(name: &QualifiedName) -> ErrorReport {
    let message = format!("relation \"{name}\" does not exist");
    ErrorReport::new(SqlState::UNDEFINED_TABLE, message)
}

fn wrong_kind(name: &QualifiedName, kind: &str) -> ErrorReport {
    let message = format!("\"{}\" is not {kind}", name.name);
    ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
}

fn column_id(
    catalog: &Catalog,
    relation: u64,
    name: &QualifiedName,
    column: &Identifier,
) -> Result<u32> {
    let columns = catalog.columns_by_id(relation).unwrap_or_default();
    let found = columns.iter().find(|c| c.name == column.name).map(|c| c.id);
    found.ok_or_else(|| {
        let message =
            format!("column \"{}\" of relation \"{}\" does not exist", column.name, name.name);
        ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
    })
}

fn schema_id(catalog: &Catalog, name: &Identifier) -> Result<u64> {
    if is_system_schema(&name.name) {
        let message = format!("permission denied for schema {}", name.name);
        return Err(ErrorReport::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    catalog.schemas.get(&name.name).map(|schema| schema.id).ok_or_else(|| {
        let message = format!("schema \"{}\" does not exist", name.name);
        ErrorReport::new(SqlState::INVALID_SCHEMA_NAME, message)
    })
}
