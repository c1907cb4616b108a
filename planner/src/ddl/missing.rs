//! What DROP says to names that it cannot drop (PostgreSQL's `DropErrorMsgNonExistent` and
//! `DropErrorMsgWrongType`, commands/tablecmds.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::alter::kind_of;
use crate::{
    catalog::{
        Catalog, PG_TEMP, is_system_schema, is_temporary_schema, of_other_session, relation_kind,
        schemas_of,
    },
    parse::QualifiedName,
};

/// Leaves out a name that is no `kind` (`table`, `view`, `sequence`, `index`) with a NOTICE, if
/// IF EXISTS says so.
///
/// Errors: 42P01, 42704 and 3F000 without IF EXISTS; 42809 for what is something else; 42501 for
/// the system's own.
pub(super) fn skip_missing(
    kind: &str,
    name: &QualifiedName,
    if_exists: bool,
    (catalog, search_path): (&Catalog, &[String]),
    notices: &mut Vec<ErrorReport>,
) -> Result<()> {
    let error = missing(kind, name, catalog, search_path);
    let is_missing =
        [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_OBJECT, SqlState::INVALID_SCHEMA_NAME]
            .contains(&error.sqlstate);
    if !if_exists || !is_missing {
        return Err(error);
    }
    let message = format!("{}, skipping", error.message);
    notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
    Ok(())
}

fn missing(
    kind: &str,
    name: &QualifiedName,
    catalog: &Catalog,
    search_path: &[String],
) -> ErrorReport {
    match not_a_user_table(name, catalog, search_path) {
        Some(error) if error.sqlstate == SqlState::WRONG_OBJECT_TYPE => {
            let message = format!("\"{}\" is not {}", name.name, with_article(kind));
            let found = kind_of(name, catalog, search_path).filter(|found| *found != kind);
            let hint = found.map(|found| {
                let upper = found.to_ascii_uppercase();
                format!("Use DROP {upper} to remove {}.", with_article(found))
            });
            ErrorReport { hint, ..ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message) }
        }
        Some(error) => error,
        None => {
            let state = match kind {
                "index" => SqlState::UNDEFINED_OBJECT,
                _ => SqlState::UNDEFINED_TABLE,
            };
            ErrorReport::new(state, format!("{kind} \"{}\" does not exist", name.name))
        }
    }
}

fn with_article(kind: &str) -> String {
    if kind == "index" { "an index".into() } else { format!("a {kind}") }
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
    let mut schemas = schemas_of(search_path, name.schema.as_ref()).iter();
    schemas.find_map(|schema| relation_kind(catalog, schema, &name.name))?;
    let message = format!("\"{}\" is not a table", name.name);
    Some(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message))
}
