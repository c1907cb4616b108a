//! DROP SEQUENCE

use std::{collections::BTreeMap, sync::Arc};

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, alter,
    dependents::{self, Dependent, Object},
    drop_table::{is_missing, not_a_user_table},
};
use crate::{
    catalog::{Catalog, CatalogChange, SequenceDef, TableDef, find_sequence},
    parse::{DropSequence, QualifiedName, quote},
};

pub(super) fn drop_sequence(
    drop: &DropSequence,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("DROP SEQUENCE");
    let mut dropped: Vec<&SequenceDef> = Vec::new();
    for name in &drop.sequences {
        match find_sequence(catalog, search_path, name) {
            Some(sequence) if dropped.iter().any(|other| other.id == sequence.id) => {}
            Some(sequence) => {
                check_not_identity(sequence, catalog)?;
                dropped.push(sequence);
            }
            None => {
                let error = missing(name, catalog, search_path);
                if !drop.if_exists || !is_missing(&error) {
                    return Err(error);
                }
                let message = format!("{}, skipping", error.message);
                plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            }
        }
    }
    let objects: Vec<Object> =
        dropped.iter().filter_map(|s| Object::relation(catalog, search_path, s.id)).collect();
    let (dependents, tables) =
        counting(&dropped, &objects, (catalog, search_path), &|_: &TableDef| true);
    dependents::settle(&objects, &dependents, drop.cascade, &mut plan.notices)?;
    plan.changes = tables.into_values().map(|(old, new)| alter::change(&old, new)).collect();
    plan.changes.extend(dropped.iter().map(|sequence| CatalogChange::DropSequence(sequence.id)));
    Ok(plan)
}

/// Tables before and after they lose the defaults that count with dropped sequences, by id.
pub(super) type Changed = BTreeMap<u64, (Arc<TableDef>, TableDef)>;

/// The defaults that count with the sequences, and the tables without them. Of tables that do not
/// stay nothing need be said.
pub(super) fn counting(
    dropped: &[&SequenceDef],
    objects: &[Object],
    (catalog, search_path): (&Catalog, &[String]),
    stays: &dyn Fn(&TableDef) -> bool,
) -> (Vec<Dependent>, Changed) {
    let mut dependents = Vec::new();
    let mut tables = Changed::new();
    for (sequence, on) in dropped.iter().zip(objects) {
        let counting = catalog.counting_columns(sequence);
        for (table, column) in counting.filter(|(table, _)| stays(table)) {
            let of = Object::relation(catalog, search_path, table.id);
            let of = of.map(|object| object.description).unwrap_or_default();
            let description = format!("default value for column {} of {of}", quote(&column.name));
            dependents.push(Dependent { object: Object { id: 0, description }, on: on.clone() });
            let (_, after) = tables
                .entry(table.id)
                .or_insert_with(|| (Arc::clone(table), table.without_segments()));
            let columns = after.columns.iter_mut().filter(|c| c.id == column.id);
            columns.for_each(|c| c.default = None);
        }
    }
    (dependents, tables)
}

fn check_not_identity(sequence: &SequenceDef, catalog: &Catalog) -> Result<()> {
    let owner = sequence.owned_by.and_then(|(table, column)| {
        let table = catalog.table_by_id(table)?;
        let column = table.column_by_id(column)?;
        column.identity.map(|_| (table, column))
    });
    let Some((table, column)) = owner else { return Ok(()) };
    let column = format!("column {} of table {}", quote(&column.name), quote(&table.name));
    let name = quote(&sequence.name);
    let message = format!("cannot drop sequence {name} because {column} requires it");
    Err(ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .hint(format!("You can drop {column} instead.")))
}

/// Why the name is no sequence that can be dropped.
fn missing(name: &QualifiedName, catalog: &Catalog, search_path: &[String]) -> ErrorReport {
    match not_a_user_table(name, catalog, search_path) {
        Some(error) if error.sqlstate == SqlState::WRONG_OBJECT_TYPE => {
            let kind = alter::kind_of(name, catalog, search_path);
            let hint = kind.map(|kind| {
                let article = if kind == "index" { "an" } else { "a" };
                format!("Use DROP {} to remove {article} {kind}.", kind.to_ascii_uppercase())
            });
            let message = format!("\"{}\" is not a sequence", name.name);
            ErrorReport { hint, ..ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message) }
        }
        Some(error) => error,
        None => {
            let message = format!("sequence \"{}\" does not exist", name.name);
            ErrorReport::new(SqlState::UNDEFINED_TABLE, message)
        }
    }
}
