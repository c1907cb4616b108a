//! DDL for the databases that hold shards: what their tables must be for a change of the catalog.
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

use crate::catalog::{Catalog, CatalogChange, KES, Storage, TableDef};
use kestrel_proto::{ErrorReport, Result};

use self::{alter::alter_table, create::create_table};
use super::{Relation, quote::identifier};

/// The statements of all these changes, which `catalog` is to get in this order.
///
/// # Errors
/// Those of [`statements`], and of changes that do not fit.
pub fn all_statements(changes: &[CatalogChange], catalog: &Catalog) -> Result<Vec<String>> {
    let mut all = Vec::new();
    if catalog.shard_kind() != KES {
        return Ok(all);
    }
    let mut catalog = catalog.clone();
    for change in changes {
        all.extend(statements(change, &catalog)?);
        catalog = catalog.apply(std::slice::from_ref(change))?;
    }
    Ok(all)
}

/// The statements, to be run in this order in one transaction, that bring the databases from
/// `catalog` to what they are after `change`; most changes need none, and none those of a cluster
/// or a table whose rows are not in databases.
///
/// # Errors
/// 0A000: a column of a type that a database does not hold. Those of [`identifier`]. XX000: the
/// change is about a table that `catalog` does not have.
pub fn statements(change: &CatalogChange, catalog: &Catalog) -> Result<Vec<String>> {
    let table = |id: u64| {
        let found = catalog.table_by_id(id);
        found.ok_or_else(|| ErrorReport::internal(format!("a change of unknown table {id}")))
    };
    let has_schema = |name: &str| match catalog.new_storage(name) {
        Storage::Shard => true,
        Storage::Columnar => false,
    };
    Ok(match change {
        // The schema public is there in every new database.
        CatalogChange::CreateSchema(schema) if has_schema(&schema.name) => {
            vec![format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&schema.name)?)]
        }
        CatalogChange::DropSchema(name) if has_schema(name) => {
            vec![format!("DROP SCHEMA {}", identifier(name)?)]
        }
        CatalogChange::RenameSchema { from, to } if has_schema(from) => {
            vec![format!("ALTER SCHEMA {} RENAME TO {}", identifier(from)?, identifier(to)?)]
        }
        CatalogChange::CreateTable(table) if table.is_on_shards() => create_table(table)?,
        CatalogChange::DropTable(id) if table(*id)?.is_on_shards() => {
            vec![format!("DROP TABLE {}", name(table(*id)?)?)]
        }
        CatalogChange::AlterTable { before, after } if after.is_on_shards() => {
            alter_table(before, after)?
        }
        CatalogChange::RemoveAllSegments { table: id } if table(*id)?.is_on_shards() => {
            vec![format!("TRUNCATE TABLE {}", name(table(*id)?)?)]
        }
        CatalogChange::CreateSchema(_)
        | CatalogChange::DropSchema(_)
        | CatalogChange::RenameSchema { .. }
        | CatalogChange::CreateTable(_)
        | CatalogChange::DropTable(_)
        | CatalogChange::AlterTable { .. }
        | CatalogChange::RemoveAllSegments { .. } => Vec::new(),
        CatalogChange::CreateView(_)
        | CatalogChange::DropView(_)
        | CatalogChange::SetComment { .. }
        | CatalogChange::AddSegments { .. }
        | CatalogChange::ReplaceVectors { .. }
        | CatalogChange::ReplaceSegments { .. }
        | CatalogChange::CountShardRows { .. }
        | CatalogChange::SetShardRows { .. }
        | CatalogChange::SetStatistics(_)
        | CatalogChange::Decide(_)
        | CatalogChange::Forget(_)
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

/// `"schema"."table"`
fn name(table: &TableDef) -> Result<String> {
    Relation::of(table).quoted()
}

#[cfg(test)]
mod tests;
