//! CREATE TABLE, with its keys and indexes.

use crate::catalog::{ColumnDef, IndexDef, KeyDef, TableDef};
use kestrel_proto::{ErrorReport, Result};

use super::{
    super::{
        quote::{identifier, identifiers},
        types::{is_collatable, type_name},
    },
    name,
};

/// The table as it is in the catalog, without rows.
pub(super) fn create_table(table: &TableDef) -> Result<Vec<String>> {
    let mut elements: Vec<_> = table.columns.iter().map(column).collect::<Result<_>>()?;
    for (key, kind) in constraints(table) {
        elements.push(constraint(table, key, kind)?);
    }
    let mut statements = vec![format!("CREATE TABLE {} ({})", name(table)?, elements.join(", "))];
    for index in &table.indexes {
        statements.push(create_index(table, index)?);
    }
    Ok(statements)
}

/// `"a" pg_catalog.text COLLATE "C" NOT NULL`
pub(super) fn column(column: &ColumnDef) -> Result<String> {
    let null = if column.not_null { " NOT NULL" } else { "" };
    Ok(format!("{} {}{null}", identifier(&column.name)?, column_type(column)?))
}

/// A column's type and collation.
pub(super) fn column_type(column: &ColumnDef) -> Result<String> {
    let collation = if is_collatable(column.sql_type) { " COLLATE \"C\"" } else { "" };
    Ok(format!("{}{collation}", type_name(column.sql_type)?))
}

/// PRIMARY KEY and UNIQUE.
pub(super) fn constraints(table: &TableDef) -> Vec<(&KeyDef, &'static str)> {
    let primary = table.primary_key.iter().map(|key| (key, "PRIMARY KEY"));
    primary.chain(table.unique_keys.iter().map(|key| (key, "UNIQUE"))).collect()
}

/// `CONSTRAINT "t_pkey" PRIMARY KEY ("a", "b")`
pub(super) fn constraint(table: &TableDef, key: &KeyDef, kind: &str) -> Result<String> {
    Ok(format!("CONSTRAINT {} {kind} ({})", identifier(&key.name)?, key_columns(table, key)?))
}

/// `CREATE INDEX "i" ON "s"."t" ("a", "b")`: it is in the table's schema.
pub(super) fn create_index(table: &TableDef, index: &IndexDef) -> Result<String> {
    let unique = if index.is_unique { "UNIQUE " } else { "" };
    Ok(format!(
        "CREATE {unique}INDEX {} ON {} ({})",
        identifier(&index.key.name)?,
        name(table)?,
        key_columns(table, &index.key)?
    ))
}

fn key_columns(table: &TableDef, key: &KeyDef) -> Result<String> {
    let names = key.columns.iter().map(|id| {
        let column = table.column_by_id(*id).map(|column| column.name.as_str());
        column.ok_or_else(|| {
            ErrorReport::internal(format!("key {} has unknown column {id}", key.name))
        })
    });
    identifiers(names.collect::<Result<Vec<_>>>()?)
}
