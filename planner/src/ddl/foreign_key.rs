//! FOREIGN KEY: checked, then forgotten with a WARNING, as in Greenplum. PostgreSQL's errors are
//! those of `transformFkeyCheckAttrs` (commands/tablecmds.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::keys::column_id;
use crate::{
    catalog::{Catalog, TableDef, resolve_table},
    parse::{CreateTable, ForeignKeyClause, TableElement},
};

/// Checks every foreign key of the new table and warns of it.
pub(super) fn check(
    table: &CreateTable,
    new: &TableDef,
    catalog: &Catalog,
    search_path: &[String],
    notices: &mut Vec<ErrorReport>,
) -> Result<()> {
    for element in &table.elements {
        let TableElement::ForeignKey(foreign_key) = element else { continue };
        check_one(foreign_key, new, catalog, search_path)?;
        notices.push(ErrorReport::warning(
            SqlState::WARNING,
            "referential integrity (FOREIGN KEY) constraints are not supported in Kestrel, will \
             not be enforced",
        ));
    }
    Ok(())
}

fn check_one(
    foreign_key: &ForeignKeyClause,
    new: &TableDef,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<()> {
    let missing = "referenced in foreign key constraint does not exist";
    for name in &foreign_key.columns {
        column_id(name, &new.columns, missing)?;
    }
    let name = &foreign_key.table;
    let is_self = name.name == new.name
        && name.schema.as_ref().is_none_or(|schema| *schema == new.schema_name);
    let target = if is_self { new } else { resolve_table(catalog, search_path, name)?.as_ref() };
    let referenced = if foreign_key.referenced.is_empty() {
        let key = target.primary_key.as_ref().ok_or_else(|| {
            let message =
                format!("there is no primary key for referenced table \"{}\"", target.name);
            name.locate(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message))
        })?;
        key.columns.clone()
    } else {
        let ids = foreign_key.referenced.iter().map(|c| column_id(c, &target.columns, missing));
        ids.collect::<Result<_>>()?
    };
    let error = |message: String| {
        Err(name.locate(ErrorReport::new(SqlState::INVALID_FOREIGN_KEY, message)))
    };
    if referenced.len() != foreign_key.columns.len() {
        return error(
            "number of referencing and referenced columns for foreign key disagree".into(),
        );
    }
    let mut keys = target.primary_key.iter().chain(&target.unique_keys);
    let is_same_set = |columns: &[u32]| {
        columns.len() == referenced.len() && columns.iter().all(|id| referenced.contains(id))
    };
    if !keys.any(|key| is_same_set(&key.columns)) {
        return error(format!(
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            target.name
        ));
    }
    Ok(())
}
