//! ALTER TABLE: the way from one definition of a table to the next.
//!
//! The order of the steps is such that none meets what an earlier one should have taken away: first
//! the table gets its name, then keys and indexes go, then columns go, are renamed, changed and
//! come, then keys and indexes come.

use crate::{
    catalog::{ColumnDef, KeyDef, TableDef},
    codec::decode_value,
};
use kestrel_proto::Result;

use super::{
    super::{literal::literal, quote::identifier},
    create::{column, column_type, constraint, constraints, create_index},
    name,
};

/// Both are of the same id. Columns and keys are recognised by their ids.
pub(super) fn alter_table(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let mut statements = renamed_table(before, after)?;
    statements.extend(dropped_keys(before, after)?);
    let table = name(after)?;
    let actions = [
        dropped_columns(before, after)?,
        renamed_columns(before, after)?,
        changed_columns(before, after)?,
        added_columns(before, after)?,
        added_constraints(before, after)?,
    ];
    let actions = actions.into_iter().flatten();
    statements.extend(actions.map(|action| format!("ALTER TABLE {table} {action}")));
    for index in &after.indexes {
        if before.indexes.iter().all(|old| !is_same(&old.key, &index.key)) {
            statements.push(create_index(after, index)?);
        }
    }
    statements.extend(renamed_indexes(before, after)?);
    Ok(statements)
}

fn renamed_table(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    let mut now = before.without_segments();
    if before.schema_name != after.schema_name {
        let schema = identifier(&after.schema_name)?;
        statements.push(format!("ALTER TABLE {} SET SCHEMA {schema}", name(&now)?));
        now.schema_name.clone_from(&after.schema_name);
    }
    if before.name != after.name {
        let new = identifier(&after.name)?;
        statements.push(format!("ALTER TABLE {} RENAME TO {new}", name(&now)?));
    }
    Ok(statements)
}

/// Whether a key of this id is the same but for its name.
fn is_same(one: &KeyDef, other: &KeyDef) -> bool {
    one.id == other.id && one.columns == other.columns
}

fn dropped_keys(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    for (key, _) in constraints(before) {
        if constraints(after).iter().all(|(new, _)| !is_same(key, new)) {
            let (table, key) = (name(after)?, identifier(&key.name)?);
            statements.push(format!("ALTER TABLE {table} DROP CONSTRAINT {key}"));
        }
    }
    for index in &before.indexes {
        if after.indexes.iter().all(|new| !is_same(&index.key, &new.key)) {
            let schema = identifier(&after.schema_name)?;
            let index = identifier(&index.key.name)?;
            statements.push(format!("DROP INDEX {schema}.{index}"));
        }
    }
    Ok(statements)
}

fn dropped_columns(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let gone = before.columns.iter().filter(|column| after.column_by_id(column.id).is_none());
    gone.map(|column| Ok(format!("DROP COLUMN {}", identifier(&column.name)?))).collect()
}

/// The columns that stay, as they were and as they become.
fn kept<'a>(
    before: &'a TableDef,
    after: &'a TableDef,
) -> impl Iterator<Item = (&'a ColumnDef, &'a ColumnDef)> {
    before.columns.iter().filter_map(|old| Some((old, after.column_by_id(old.id)?)))
}

/// A new name may be another column's old one: then all go by names that nothing has.
fn renamed_columns(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let renamed: Vec<_> = kept(before, after).filter(|(old, new)| old.name != new.name).collect();
    let is_taken = |name: &str| renamed.iter().any(|(old, _)| old.name == name);
    let rename = |from: &str, to: &str| -> Result<String> {
        Ok(format!("RENAME COLUMN {} TO {}", identifier(from)?, identifier(to)?))
    };
    if !renamed.iter().any(|(_, new)| is_taken(&new.name)) {
        return renamed.iter().map(|(old, new)| rename(&old.name, &new.name)).collect();
    }
    let between = |column: &ColumnDef| format!("kestrel renames column {}", column.id);
    let away = renamed.iter().map(|(old, _)| rename(&old.name, &between(old)));
    let back = renamed.iter().map(|(_, new)| rename(&between(new), &new.name));
    away.chain(back).collect()
}

fn changed_columns(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let mut actions = Vec::new();
    for (old, new) in kept(before, after) {
        let column = identifier(&new.name)?;
        if old.sql_type != new.sql_type {
            actions.push(format!("ALTER COLUMN {column} TYPE {}", column_type(new)?));
        }
        if old.not_null != new.not_null {
            let verb = if new.not_null { "SET" } else { "DROP" };
            actions.push(format!("ALTER COLUMN {column} {verb} NOT NULL"));
        }
    }
    Ok(actions)
}

/// Rows that are there get the new column's first default, which no later row gets from the
/// database.
fn added_columns(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let mut actions = Vec::new();
    for new in after.columns.iter().filter(|column| before.column_by_id(column.id).is_none()) {
        let Some(value) = after.missing_values.get(&new.id) else {
            actions.push(format!("ADD COLUMN {}", column(new)?));
            continue;
        };
        let value = literal(&decode_value(value)?, new.sql_type)?;
        let (definition, column) = (column(new)?, identifier(&new.name)?);
        actions.push(format!("ADD COLUMN {definition} DEFAULT {value}"));
        actions.push(format!("ALTER COLUMN {column} DROP DEFAULT"));
    }
    Ok(actions)
}

fn added_constraints(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let mut actions = Vec::new();
    for (key, kind) in constraints(after) {
        match constraints(before).iter().find(|(old, _)| is_same(old, key)) {
            None => actions.push(format!("ADD {}", constraint(after, key, kind)?)),
            Some((old, _)) if old.name != key.name => {
                let (from, to) = (identifier(&old.name)?, identifier(&key.name)?);
                actions.push(format!("RENAME CONSTRAINT {from} TO {to}"));
            }
            Some(_) => {}
        }
    }
    Ok(actions)
}

fn renamed_indexes(before: &TableDef, after: &TableDef) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    for index in &after.indexes {
        let old = before.indexes.iter().find(|old| is_same(&old.key, &index.key));
        if let Some(old) = old.filter(|old| old.key.name != index.key.name) {
            let schema = identifier(&after.schema_name)?;
            let (from, to) = (identifier(&old.key.name)?, identifier(&index.key.name)?);
            statements.push(format!("ALTER INDEX {schema}.{from} RENAME TO {to}"));
        }
    }
    Ok(statements)
}
