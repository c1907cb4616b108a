//! ALTER SEQUENCE

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan,
    access::owner_id,
    alter::{free_name, new_schema},
    sequence::{Origin, no_sequence, owned_by, with_options},
};
use crate::{
    access::not_same_owner,
    catalog::{Catalog, CatalogChange, SequenceDef, find_sequence},
    parse::{AlterSequence, SequenceAction, SequenceOptions},
};

pub(super) fn alter_sequence(
    alter: &AlterSequence,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("ALTER SEQUENCE");
    let Some(before) = find_sequence(catalog, search_path, &alter.name) else {
        let error = no_sequence(&alter.name, catalog, search_path);
        if !alter.if_exists || error.sqlstate != SqlState::UNDEFINED_TABLE {
            return Err(error);
        }
        let message = format!("relation \"{}\" does not exist, skipping", alter.name.name);
        plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
        return Ok(plan);
    };
    let mut after = before.clone();
    match &alter.action {
        SequenceAction::Owner(owner) => {
            let owner = owner_id(owner, catalog)?;
            check_alone(before, catalog)?;
            plan.changes.push(CatalogChange::SetOwner { object: before.id, owner });
        }
        SequenceAction::Rename(name) => {
            after.name = free_name(catalog, &before.schema_name, &before.name, name)?;
        }
        SequenceAction::SetSchema(schema) => {
            if let Some(table) = before.owned_by.and_then(|(owner, _)| catalog.table_by_id(owner)) {
                let message = "cannot move an owned sequence into another schema";
                return Err(ErrorReport::unsupported(message).detail(format!(
                    "Sequence \"{}\" is linked to table \"{}\".",
                    before.name, table.name
                )));
            }
            after.schema_name = new_schema(catalog, &before.schema_name, &before.name, schema)?;
        }
        SequenceAction::Options(options) => {
            if let Some(owner) = &options.owned_by {
                check_not_identity(before, catalog)?;
                after.owned_by = owned_by(before, owner.as_ref(), catalog, search_path)?;
                check_same_owner(&after, catalog)?;
            }
            plan.changes = changes(before, after, options)?;
            return Ok(plan);
        }
    }
    plan.changes.extend(change(before, after));
    Ok(plan)
}

/// What options change of a sequence that becomes `after` otherwise.
pub(super) fn changes(
    before: &SequenceDef,
    after: SequenceDef,
    options: &SequenceOptions,
) -> Result<Vec<CatalogChange>> {
    let (after, restart) = with_options(after, options, Origin::Altered)?;
    let restart = restart.map(|state| CatalogChange::SetSequence { id: before.id, state });
    Ok(change(before, after).into_iter().chain(restart).collect())
}

fn change(before: &SequenceDef, after: SequenceDef) -> Option<CatalogChange> {
    let before = before.clone();
    (before != after).then_some(CatalogChange::AlterSequence { before, after })
}

/// The sequence of a column belongs to whom the table does.
fn check_alone(sequence: &SequenceDef, catalog: &Catalog) -> Result<()> {
    let owner = sequence.owned_by.and_then(|(table, _)| catalog.table_by_id(table));
    let Some(table) = owner else { return Ok(()) };
    let message = format!("cannot change owner of sequence \"{}\"", sequence.name);
    Err(ErrorReport::unsupported(message)
        .detail(format!("Sequence \"{}\" is linked to table \"{}\".", sequence.name, table.name)))
}

fn check_same_owner(sequence: &SequenceDef, catalog: &Catalog) -> Result<()> {
    match sequence.owned_by {
        Some((table, _)) if catalog.owner(table) != catalog.owner(sequence.id) => {
            Err(not_same_owner())
        }
        Some(_) | None => Ok(()),
    }
}

fn check_not_identity(sequence: &SequenceDef, catalog: &Catalog) -> Result<()> {
    let owner = sequence.owned_by.and_then(|(table, column)| {
        let table = catalog.table_by_id(table)?;
        table.column_by_id(column)?.identity?;
        Some(table)
    });
    let Some(table) = owner else { return Ok(()) };
    let message = "cannot change ownership of identity sequence";
    Err(ErrorReport::unsupported(message)
        .detail(format!("Sequence \"{}\" is linked to table \"{}\".", sequence.name, table.name)))
}
