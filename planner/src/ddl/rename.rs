//! RENAME CONSTRAINT and ALTER INDEX … RENAME: new names for keys, indexes and conditions.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{DdlPlan, alter, alter::Altered, comment::find_index, names::RelationNames};
use crate::{
    catalog::{Catalog, KeyDef, TableDef},
    parse::{AlterIndex, Identifier},
};

/// The key or index of this OID.
fn key_mut(table: &mut TableDef, id: u64) -> Option<&mut KeyDef> {
    let keys = table.primary_key.iter_mut().chain(&mut table.unique_keys);
    let mut all = keys.chain(table.indexes.iter_mut().map(|index| &mut index.key));
    all.find(|key| key.id == id)
}

pub(super) fn alter_index(
    alter: &AlterIndex,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("ALTER INDEX");
    let (table, key) = match find_index(catalog, search_path, &alter.name) {
        Ok(found) => found,
        Err(_) if alter::kind_of(&alter.name, catalog, search_path).is_some() => {
            let message = format!("\"{}\" is not an index", alter.name.name);
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Err(error) if !alter.if_exists => return Err(error),
        Err(_) => {
            let message = format!("relation \"{}\" does not exist, skipping", alter.name.name);
            plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            return Ok(plan);
        }
    };
    let name = alter::free_name(catalog, &table.schema_name, &key.name, &alter.new_name)?;
    let mut after = table.without_segments();
    if let Some(key) = key_mut(&mut after, key.id) {
        key.name = name;
    }
    plan.changes.push(alter::change(table, after));
    Ok(plan)
}

impl Altered<'_> {
    pub(super) fn rename_constraint(&mut self, from: &Identifier, to: &Identifier) -> Result<()> {
        let table = &mut self.table;
        let is_check = |name: &str, table: &TableDef| table.checks.iter().any(|c| c.name == name);
        let mut keys = table.primary_key.iter().chain(&table.unique_keys);
        let key = keys.find(|key| key.name == from.name).map(|key| key.id);
        if key.is_none() && !is_check(&from.name, table) {
            let message =
                format!("constraint \"{}\" for table \"{}\" does not exist", from.name, table.name);
            return Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message));
        }
        let mut keys = table.primary_key.iter().chain(&table.unique_keys);
        if is_check(&to.name, table) || keys.any(|key| key.name == to.name) {
            let message = format!(
                "constraint \"{}\" for relation \"{}\" already exists",
                to.name, table.name
            );
            return Err(ErrorReport::new(SqlState::DUPLICATE_OBJECT, message));
        }
        match key {
            // The index behind it has the same name, among those of relations.
            Some(id) => {
                RelationNames::new(self.catalog, &table.schema_name).take(&to.name)?;
                if let Some(key) = key_mut(table, id) {
                    key.name.clone_from(&to.name);
                }
            }
            None => {
                let named = table.checks.iter_mut().filter(|c| c.name == from.name);
                named.for_each(|check| check.name.clone_from(&to.name));
                table.checks.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        Ok(())
    }
}
