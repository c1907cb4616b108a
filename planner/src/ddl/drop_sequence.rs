//! DROP SEQUENCE

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, alter,
    dependents::{self, Dependent, Object},
    missing::skip_missing,
};
use crate::{
    catalog::{
        Catalog, CatalogChange, ColumnDef, SequenceDef, TableDef, default_of, find_sequence,
    },
    parse::{DropSequence, quote},
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
                let names = (catalog, search_path);
                skip_missing("sequence", name, drop.if_exists, names, &mut plan.notices)?;
            }
        }
    }
    let objects: Vec<Object> =
        dropped.iter().filter_map(|s| Object::relation(catalog, search_path, s.id)).collect();
    let (dependents, tables) = counting(&dropped, (catalog, search_path), &|_, _| true);
    dependents::settle(&objects, &dependents, drop.cascade, &mut plan.notices)?;
    plan.changes = tables.into_values().map(|(old, new)| alter::change(&old, new)).collect();
    plan.changes.extend(dropped.iter().map(|sequence| CatalogChange::DropSequence(sequence.id)));
    Ok(plan)
}

/// Tables before and after they lose the defaults that count with dropped sequences, by id.
pub(super) type Changed = BTreeMap<u64, (Arc<TableDef>, TableDef)>;

/// The defaults that count with the sequences, and the tables without them. Of columns that do not
/// stay nothing need be said.
pub(super) fn counting(
    dropped: &[&SequenceDef],
    (catalog, search_path): (&Catalog, &[String]),
    stays: &dyn Fn(&TableDef, &ColumnDef) -> bool,
) -> (Vec<Dependent>, Changed) {
    let by_default: BTreeMap<String, usize> = dropped
        .iter()
        .enumerate()
        .map(|(at, sequence)| (default_of(&sequence.schema_name, &sequence.name), at))
        .collect();
    let (mut found, mut tables) = (Vec::new(), Changed::new());
    if by_default.is_empty() {
        return (Vec::new(), tables);
    }
    for table in catalog.tables.values() {
        for column in &table.columns {
            let at = column.default.as_ref().and_then(|default| by_default.get(default));
            let Some(at) = at.filter(|_| stays(table, column)) else { continue };
            found.push((*at, table, column));
            let (_, after) = tables
                .entry(table.id)
                .or_insert_with(|| (Arc::clone(table), table.without_segments()));
            let columns = after.columns.iter_mut().filter(|c| c.id == column.id);
            columns.for_each(|c| c.default = None);
        }
    }
    found.sort_by_key(|(at, ..)| *at);
    let dependent = |(at, table, column): (usize, &Arc<TableDef>, &ColumnDef)| {
        let of = Object::relation(catalog, search_path, table.id)?.description;
        let description = format!("default value for column {} of {of}", quote(&column.name));
        let on = Object::relation(catalog, search_path, dropped.get(at)?.id)?;
        Some(Dependent { object: Object { id: 0, description }, on })
    };
    (found.into_iter().filter_map(dependent).collect(), tables)
}

/// The defaults that count with sequences among these relations, or with those that they own, and
/// the tables that stay without them.
pub(super) fn counting_beside(
    dropped: &[Object],
    (catalog, search_path): (&Catalog, &[String]),
) -> (Vec<Dependent>, Changed) {
    let gone: BTreeSet<u64> = dropped.iter().map(|object| object.id).collect();
    let goes = |s: &&SequenceDef| {
        gone.contains(&s.id) || s.owned_by.is_some_and(|(table, _)| gone.contains(&table))
    };
    let sequences: Vec<&SequenceDef> = catalog.sequences.values().filter(goes).collect();
    let stays = |table: &TableDef, _: &ColumnDef| !gone.contains(&table.id);
    counting(&sequences, (catalog, search_path), &stays)
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
