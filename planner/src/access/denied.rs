//! What who may not is told.

use kestrel_proto::{ErrorReport, SqlState};

use crate::{
    catalog::{Catalog, DATABASE_OID},
    parse::DATABASE,
};

/// `permission denied for table t` (42501).
pub fn denied(catalog: &Catalog, object: u64) -> ErrorReport {
    let (kind, name) = described(catalog, object);
    insufficient(format!("permission denied for {kind} {name}"))
}

/// `must be owner of table t` (42501).
pub fn must_be_owner(catalog: &Catalog, object: u64) -> ErrorReport {
    let (kind, name) = described(catalog, object);
    insufficient(format!("must be owner of {kind} {name}"))
}

/// `must be member of role "r"` (42501).
pub fn must_be_member(catalog: &Catalog, role: u64) -> ErrorReport {
    let name = catalog.role_by_id(role).map_or("", |role| role.name.as_str());
    insufficient(format!("must be member of role \"{name}\""))
}

/// Sequences belong to whom the table does whose column owns them (55000).
pub fn not_same_owner() -> ErrorReport {
    let message = "sequence must have same owner as table it is linked to";
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

/// 42501 in these words.
pub fn insufficient(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

/// What an object is and how it is called. A table's index is named as one.
pub(super) fn described(catalog: &Catalog, object: u64) -> (&'static str, String) {
    if let Some(table) = catalog.table_by_id(object) {
        return ("table", table.name.clone());
    }
    if let Some(view) = catalog.view_by_id(object) {
        return ("view", view.name.clone());
    }
    if let Some(sequence) = catalog.sequence_by_id(object) {
        return ("sequence", sequence.name.clone());
    }
    if let Some(schema) = catalog.schemas.values().find(|s| s.id == object) {
        return ("schema", schema.name.clone());
    }
    match object {
        DATABASE_OID => ("database", DATABASE.into()),
        _ => ("relation", object.to_string()),
    }
}
