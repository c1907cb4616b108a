//! Names to what they stand for, along the search path.

use std::sync::Arc;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    Catalog, PG_TEMP, SequenceDef, TableDef, ViewDef, is_temporary_schema, of_other_session,
    own_temporary_schema, schemas_of,
};
use crate::parse::QualifiedName;

/// Schemas that Kestrel itself fills. Nothing can be created, changed or dropped in them.
pub const SYSTEM_SCHEMAS: [&str; 4] = ["pg_catalog", "information_schema", "kestrel", "gp_toolkit"];

/// Is it Kestrel's own schema, or one with PostgreSQL's reserved prefix?
pub fn is_system_schema(name: &str) -> bool {
    SYSTEM_SCHEMAS.contains(&name) || name.starts_with("pg_")
}

/// The user's table of this name: in its schema, or in the first one on the search path that has
/// it. The search path names schemas only: what `$user` stands for is known.
///
/// Errors: 42P01, and 42809 for a view; with the name's position if it has one.
pub fn resolve_table<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    name: &QualifiedName,
) -> Result<&'a Arc<TableDef>> {
    let error = |state, message: String| Err(name.locate(ErrorReport::new(state, message)));
    match find_relation(catalog, search_path, name) {
        Some(Found::Table(table)) => Ok(table),
        Some(Found::View(view)) => {
            error(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a table", view.name))
        }
        None => match of_other_session(catalog, search_path, name.schema.as_deref(), &name.name) {
            Some(denied) => Err(denied),
            None => error(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")),
        },
    }
}

/// As [`resolve_table`]; `None` if there is no such table.
pub fn find_table<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    name: &QualifiedName,
) -> Option<&'a Arc<TableDef>> {
    match find_relation(catalog, search_path, name) {
        Some(Found::Table(table)) => Some(table),
        Some(Found::View(_)) | None => None,
    }
}

/// What rows can be read from.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A table
    Table(&'a Arc<TableDef>),
    /// A view
    View(&'a Arc<ViewDef>),
}

impl Found<'_> {
    /// Its OID.
    pub fn id(&self) -> u64 {
        match self {
            Self::Table(table) => table.id,
            Self::View(view) => view.id,
        }
    }
}

/// The user's table or view of this name, looked up as [`resolve_table`] does.
pub fn find_relation<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    name: &QualifiedName,
) -> Option<Found<'a>> {
    let in_schema = |schema: &String| {
        let table = catalog.table(schema, &name.name).map(Found::Table);
        table.or_else(|| catalog.view(schema, &name.name).map(Found::View))
    };
    schemas_of(search_path, name.schema.as_ref()).iter().find_map(in_schema)
}

/// The sequence of this name, looked up as [`resolve_table`] does. A table or view of this name that
/// comes first hides it.
pub fn find_sequence<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    name: &QualifiedName,
) -> Option<&'a SequenceDef> {
    let schemas = schemas_of(search_path, name.schema.as_ref());
    let schema = schemas.iter().find(|s| relation_kind(catalog, s, &name.name).is_some())?;
    catalog.sequence(schema, &name.name)
}

/// The schema in which an object of this name is created: its own, or the first on the search path
/// that exists. The session's temporary schema may not be there yet. The search path has it in front
/// of all others unless the user has put `pg_temp` elsewhere; only then is it one to create in.
///
/// Errors: 3F000 for a schema that does not exist, or none on the search path; 42501 for Kestrel's
/// own schemas; 42P16 for temporary relations in other schemas, and for other sessions'.
pub fn creation_schema<'a>(
    catalog: &'a Catalog,
    search_path: &'a [String],
    name: &QualifiedName,
    temporary: bool,
) -> Result<&'a str> {
    let error = |state, message: &str| name.locate(ErrorReport::new(state, message));
    let own = own_temporary_schema(search_path).map(String::as_str);
    let in_own =
        || own.ok_or_else(|| ErrorReport::internal("the session cannot have temporary tables"));
    let Some(schema) = &name.schema else {
        if temporary {
            return in_own();
        }
        let usable = search_path.iter().find_map(|schema| match schema.as_str() {
            PG_TEMP => own,
            schema if is_temporary_schema(schema) => None,
            schema => catalog.schemas.get(schema).map(|schema| schema.name.as_str()),
        });
        let message = "no schema has been selected to create in";
        return usable.ok_or_else(|| error(SqlState::INVALID_SCHEMA_NAME, message));
    };
    if schema == PG_TEMP || own == Some(schema.as_str()) {
        return in_own();
    }
    if is_temporary_schema(schema) {
        let message = "cannot create relations in temporary schemas of other sessions";
        return Err(error(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    if temporary {
        let message = "cannot create temporary relation in non-temporary schema";
        return Err(error(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    if is_system_schema(schema) {
        let message = format!("permission denied to create \"{name}\"");
        return Err(error(SqlState::INSUFFICIENT_PRIVILEGE, &message)
            .detail("System catalog modifications are currently disallowed."));
    }
    let message = format!("schema \"{schema}\" does not exist");
    let found = catalog.schemas.get(schema).map(|schema| schema.name.as_str());
    found.ok_or_else(|| error(SqlState::INVALID_SCHEMA_NAME, &message))
}

/// What has this name among the relations of a schema: tables, views, sequences and indexes share
/// one space of names.
pub(crate) fn relation_kind(catalog: &Catalog, schema: &str, name: &str) -> Option<RelationKind> {
    if catalog.table(schema, name).is_some() {
        return Some(RelationKind::Table);
    }
    if catalog.view(schema, name).is_some() {
        return Some(RelationKind::View);
    }
    if catalog.sequences.contains_key(&(schema.to_string(), name.to_string())) {
        return Some(RelationKind::Sequence);
    }
    let mut tables = catalog.tables.values().filter(|t| t.schema_name == schema);
    let has_index = |t: &Arc<TableDef>| t.index_keys().any(|key| key.name == name);
    tables.any(has_index).then_some(RelationKind::Index)
}

/// Kinds of relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelationKind {
    /// A table
    Table,
    /// A view
    View,
    /// A sequence
    Sequence,
    /// An index, also one behind a PRIMARY KEY or UNIQUE constraint
    Index,
}
