//! Temporary relations: each session has a schema of its own for them, `pg_temp_<process id>`, which
//! is made with the first of them and goes with the session. Everybody sees in the catalog that it
//! is there; nobody else gets at what is in it.

use std::collections::BTreeSet;

use kestrel_proto::{ErrorReport, SqlState};
use serde::{Deserialize, Serialize};

use super::{Catalog, CatalogChange};

/// What every session calls its own temporary schema.
pub const PG_TEMP: &str = "pg_temp";

const PREFIX: &str = "pg_temp_";

/// What the end of a transaction does to a temporary table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCommit {
    /// Nothing.
    #[default]
    PreserveRows,
    /// It has no rows any more.
    DeleteRows,
    /// It goes.
    Drop,
}

/// The temporary schema of the session with this process id.
pub fn temporary_schema(process_id: i32) -> String {
    format!("{PREFIX}{process_id}")
}

/// Is it a session's temporary schema?
pub fn is_temporary_schema(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|number| number.parse::<i32>().is_ok())
}

/// The session's own temporary schema, which is on its search path whether it is there or not.
pub fn own_temporary_schema(search_path: &[String]) -> Option<&String> {
    search_path.iter().find(|schema| is_temporary_schema(schema))
}

/// Where a name is looked up: its schema, or all of the search path. Other sessions' temporary
/// schemas are not looked into.
pub fn schemas_of<'a>(search_path: &'a [String], schema: Option<&'a String>) -> &'a [String] {
    let Some(schema) = schema else { return search_path };
    if schema == PG_TEMP {
        return own_temporary_schema(search_path).map_or(&[][..], std::slice::from_ref);
    }
    if is_temporary_schema(schema) && !search_path.contains(schema) {
        return &[];
    }
    std::slice::from_ref(schema)
}

/// The error for a name of something temporary that belongs to another session.
pub(crate) fn of_other_session(
    catalog: &Catalog,
    search_path: &[String],
    schema: Option<&str>,
    name: &str,
) -> Option<ErrorReport> {
    let schema = schema.filter(|schema| is_temporary_schema(schema))?;
    let is_own = search_path.iter().any(|own| own == schema);
    let is_there = catalog.table(schema, name).is_some() || catalog.view(schema, name).is_some();
    (is_there && !is_own).then(|| {
        let message = "cannot access temporary tables of other sessions";
        ErrorReport::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    })
}

impl Catalog {
    /// Is it a temporary table or view?
    pub fn is_temporary(&self, id: u64) -> bool {
        let table = self.table_by_id(id).map(|t| &t.schema_name);
        let schema = table.or_else(|| self.view_by_id(id).map(|v| &v.schema_name));
        schema.is_some_and(|schema| is_temporary_schema(schema))
    }

    /// What drops all that is in a temporary schema, and the schema.
    pub fn drop_temporary(&self, schema: &str) -> Vec<CatalogChange> {
        if !self.schemas.contains_key(schema) {
            return Vec::new();
        }
        let views = self.views.values().filter(|v| v.schema_name == schema);
        let tables = self.tables.values().filter(|t| t.schema_name == schema);
        // The others go with their tables.
        let is_loose = |owner: u64| self.table_by_id(owner).is_none_or(|t| t.schema_name != schema);
        let sequences = self.sequences.values().filter(|s| s.schema_name == schema);
        let sequences = sequences.filter(|s| s.owned_by.is_none_or(|(owner, _)| is_loose(owner)));
        views
            .map(|view| CatalogChange::DropView(view.id))
            .chain(sequences.map(|sequence| CatalogChange::DropSequence(sequence.id)))
            .chain(tables.map(|table| CatalogChange::DropTable(table.id)))
            .chain([CatalogChange::DropSchema(schema.to_string())])
            .collect()
    }

    /// What drops the temporary schemas of all sessions: at start there is none.
    pub fn drop_all_temporary(&self) -> Vec<CatalogChange> {
        let schemas = self.schemas.keys().filter(|schema| is_temporary_schema(schema));
        schemas.flat_map(|schema| self.drop_temporary(schema)).collect()
    }

    /// What ON COMMIT says of the tables in a temporary schema, in a transaction that commits.
    pub fn on_commit(&self, schema: &str) -> Vec<CatalogChange> {
        let mut changes = Vec::new();
        let mut dropped = BTreeSet::new();
        for table in self.tables.values().filter(|t| t.schema_name == schema) {
            match table.on_commit {
                OnCommit::PreserveRows => {}
                OnCommit::DeleteRows if table.segments.is_empty() => {}
                OnCommit::DeleteRows => {
                    changes.push(CatalogChange::RemoveAllSegments { table: table.id });
                }
                OnCommit::Drop => {
                    dropped.insert(table.id);
                    changes.push(CatalogChange::DropTable(table.id));
                }
            }
        }
        let views = self.readers_of(dropped).into_iter().map(CatalogChange::DropView);
        views.chain(changes).collect()
    }

    /// The views that read these relations, and those that read these.
    fn readers_of(&self, mut read: BTreeSet<u64>) -> BTreeSet<u64> {
        let mut readers = BTreeSet::new();
        while !read.is_empty() {
            let views = self.views.values().filter(|v| read.iter().any(|id| v.uses(*id)));
            let new: BTreeSet<u64> =
                views.map(|v| v.id).filter(|id| !readers.contains(id)).collect();
            readers.extend(&new);
            read = new;
        }
        readers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_the_sessions_own_schema_only() {
        let path = ["pg_temp_7".to_string(), "public".to_string()];
        let own = &path[..1];
        assert_eq!(schemas_of(&path, None), &path);
        assert_eq!(schemas_of(&path, Some(&"pg_temp".to_string())), own);
        assert_eq!(schemas_of(&path, Some(&"pg_temp_7".to_string())), own);
        assert_eq!(schemas_of(&path, Some(&"pg_temp_8".to_string())), &[] as &[String]);
        assert_eq!(schemas_of(&path, Some(&"s".to_string())), &["s".to_string()]);
        assert!(!is_temporary_schema("pg_temp"));
        assert!(!is_temporary_schema("pg_temporary_1"));
    }
}
