//! DDL for a shard's database: what its tables must be for a change of the catalog.
//!
//! The database holds what its part in keeping the rows needs: columns, their types and NOT NULL,
//! and the keys, which it enforces: a key contains the table's distribution key, so that rows which
//! could have the same key are on one shard. What Kestrel does before rows come to a shard is not
//! there: defaults, sequences, CHECK and foreign keys, comments, roles and privileges, views. Texts
//! have `COLLATE "C"`, so that indexes have Kestrel's order.
//!
//! Indexes are created, unique or not: the database finds rows with them that Kestrel's filters ask
//! for. Names are the catalog's, so that the database's errors name what the user knows.

mod alter;
mod create;

use kestrel_planner::catalog::{Catalog, CatalogChange, TableDef};
use kestrel_proto::{ErrorReport, Result};

use self::{alter::alter_table, create::create_table};
use super::{Relation, quote::identifier};

/// The statements, to be run in this order in one transaction, that bring the database from
/// `catalog` to what it is after `change`; most changes need none.
///
/// # Errors
/// 0A000: a temporary table, or a column of a type that a database does not hold. Those of
/// [`identifier`]. XX000: the change is about a table that `catalog` does not have.
pub fn statements(change: &CatalogChange, catalog: &Catalog) -> Result<Vec<String>> {
    let table = |id: u64| {
        let found = catalog.table_by_id(id);
        found.ok_or_else(|| ErrorReport::internal(format!("a change of unknown table {id}")))
    };
    Ok(match change {
        // The schema public is there in every new database.
        CatalogChange::CreateSchema(schema) => {
            vec![format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&schema.name)?)]
        }
        CatalogChange::DropSchema(name) => vec![format!("DROP SCHEMA {}", identifier(name)?)],
        CatalogChange::RenameSchema { from, to } => {
            vec![format!("ALTER SCHEMA {} RENAME TO {}", identifier(from)?, identifier(to)?)]
        }
        CatalogChange::CreateTable(table) => create_table(table)?,
        CatalogChange::DropTable(id) => vec![format!("DROP TABLE {}", name(table(*id)?)?)],
        CatalogChange::AlterTable { before, after } => alter_table(before, after)?,
        CatalogChange::RemoveAllSegments { table: id } => {
            vec![format!("TRUNCATE TABLE {}", name(table(*id)?)?)]
        }
        CatalogChange::CreateView(_)
        | CatalogChange::DropView(_)
        | CatalogChange::SetComment { .. }
        | CatalogChange::AddSegments { .. }
        | CatalogChange::CreateSequence(_)
        | CatalogChange::AlterSequence { .. }
        | CatalogChange::DropSequence(_)
        | CatalogChange::SetSequence { .. }
        | CatalogChange::CreateRole(_)
        | CatalogChange::AlterRole(_)
        | CatalogChange::DropRole(_)
        | CatalogChange::SetOwner { .. }
        | CatalogChange::SetAccess { .. }
        | CatalogChange::SetDefaultAcl(_)
        | CatalogChange::DropDefaultAcl(_)
        | CatalogChange::SetRoleSettings(_)
        | CatalogChange::SetDatanodes { .. }
        | CatalogChange::RegisterDatanode { .. } => Vec::new(),
    })
}

/// `"schema"."table"`. A temporary table is its session's, and sessions with a shard are nobody's.
fn name(table: &TableDef) -> Result<String> {
    if table.is_temporary() {
        let message = "temporary tables are not supported on shards that a database holds";
        return Err(ErrorReport::unsupported(message));
    }
    Relation::of(table).quoted()
}

#[cfg(test)]
mod tests;
