//! `ALTER TABLE … SET DISTRIBUTED`: the rules are Greenplum's (`ATExecSetDistributedBy`,
//! commands/tablecmds.c). What it does without looking whether rows are where they belong is not here:
//! REORGANIZE = false leaves them only where that is right.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{DdlPlan, alter::change, distribution_key::Declared};
use crate::{
    catalog::{Distribution, TableDef},
    parse::{DistributedBy, SetDistributed, quote},
};

/// Plans the statement for a table; partitions follow.
///
/// Errors: 42P16 for keys that do not fit, and for partitions; 42701, 42703, 42704 as CREATE TABLE's.
pub(super) fn alter(plan: &mut DdlPlan, set: &SetDistributed, table: &TableDef) -> Result<()> {
    if table.partition_of.is_some() {
        let message = format!("can't set the distribution policy of \"{}\"", table.name);
        return Err(invalid(message)
            .hint("Distribution policy of a partition can only be the same as its parent's."));
    }
    let distribution = new_distribution(set, table)?;
    if table.partitioned_by.is_some() && distribution == Distribution::Replicated {
        let message = "can't set the distribution policy of a partition table to REPLICATED";
        return Err(invalid(message.into()));
    }
    let is_same = distribution == table.distribution;
    if is_same && !set.reorganize {
        plan.notices.extend(set.distributed.is_some().then(|| already_so(table)));
        return Ok(());
    }
    // Wherever rows are, each once, is right for a table that is distributed randomly.
    plan.moves_rows = set.reorganize
        || table.distribution == Distribution::Replicated
        || distribution != Distribution::Random;
    let after = TableDef { distribution, ..table.without_segments() };
    plan.changes.push(change(table, after));
    Ok(())
}

fn new_distribution(set: &SetDistributed, table: &TableDef) -> Result<Distribution> {
    let Some(clause) = &set.distributed else { return Ok(table.distribution.clone()) };
    // Unique indexes are asked for the same as UNIQUE.
    let unique: Vec<_> = table.unique_sets().filter(|key| !is_primary(table, key.id)).collect();
    let unique: Vec<_> = unique.into_iter().cloned().collect();
    let declared = Declared {
        clause: Some(clause),
        columns: &table.columns,
        primary_key: table.primary_key.as_ref(),
        unique_keys: &unique,
        keys_are_copied: false,
        like: None,
        column_word: "column",
    };
    if let DistributedBy::Randomly = clause {
        check_random(table, !unique.is_empty())?;
    }
    declared.distribution(&mut Vec::new())
}

fn is_primary(table: &TableDef, key: u64) -> bool {
    table.primary_key.as_ref().is_some_and(|primary| primary.id == key)
}

fn check_random(table: &TableDef, has_unique: bool) -> Result<()> {
    let (what, hint) = match (table.primary_key.is_some(), has_unique) {
        (true, _) => ("primary Key", "Drop the primary key first."),
        (false, true) => ("unique Index", "Drop the unique index first."),
        (false, false) => return Ok(()),
    };
    let message = format!("cannot set to DISTRIBUTED RANDOMLY because relation has {what}");
    Err(invalid(message).hint(hint))
}

fn already_so(table: &TableDef) -> ErrorReport {
    let (name, clause) = (&table.name, table.distributed_clause());
    let policy = match &table.distribution {
        Distribution::Hash(_) => clause.trim_start_matches("DISTRIBUTED BY ").to_string(),
        Distribution::Replicated | Distribution::Random => clause.clone(),
    };
    let message = format!("distribution policy of relation \"{name}\" already set to {policy}");
    ErrorReport::warning(SqlState::DUPLICATE_OBJECT, message).hint(format!(
        "Use ALTER TABLE {} SET WITH (REORGANIZE=TRUE) {clause} to force redistribution.",
        quote(name)
    ))
}

/// 42P16
fn invalid(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message)
}
