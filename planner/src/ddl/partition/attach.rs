//! ATTACH PARTITION, DETACH PARTITION. What is attached must already be as a partition would have been
//! made: the same columns, under the same ids, so that its segments are read as the others are.

use std::sync::Arc;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    bound::Taken,
    create::{check_levels, default_check},
    leaf::column_names,
};
use crate::{
    catalog::{Catalog, CatalogChange, KeyDef, PartitionBound, PartitionOf, TableDef},
    ddl::{DdlPlan, RowCheck, alter::change, names::RelationNames},
};

/// Makes `table` a partition of `parent`; under another name, if it gets one by the way.
pub(super) fn attach(
    plan: &mut DdlPlan,
    catalog: &Catalog,
    parent: &TableDef,
    table: &TableDef,
    bound: PartitionBound,
) -> Result<()> {
    check_kind(catalog, parent, table)?;
    check_columns(parent, table)?;
    check_storage(catalog, parent, table)?;
    check_constraints(parent, table)?;
    let mut taken = Taken::by(catalog.partitions_of(parent.id).into_iter().map(Arc::as_ref))?;
    taken.take(&table.name, &bound)?;
    plan.row_checks.push(RowCheck::Partition { table: table.id, is_new: true });
    if bound != PartitionBound::Default {
        plan.row_checks.extend(default_check(parent, catalog));
    }
    // No new column may have an id that files of this table have: columns come at the top.
    let top = catalog.partition_root(parent.id).map_or(parent, Arc::as_ref);
    let last_column_id = table.next_column_id() - 1;
    if top.next_column_id() <= last_column_id {
        let raised = TableDef { last_column_id, ..top.without_segments() };
        plan.changes.push(change(top, raised));
    }
    let after = attached(plan, catalog, parent, table, bound);
    plan.changes.push(change(table, after));
    Ok(())
}

/// As a partition, with the keys that its table has.
fn attached(
    plan: &mut DdlPlan,
    catalog: &Catalog,
    parent: &TableDef,
    table: &TableDef,
    bound: PartitionBound,
) -> TableDef {
    let mut after = table.without_segments();
    after.partition_of = Some(PartitionOf { parent: parent.id, bound });
    if table.partitioned_by.is_none() && table.is_surely_empty() {
        after.missing_values.clone_from(&parent.missing_values);
    }
    let mut names = RelationNames::new(catalog, &table.schema_name);
    let mut next_oid = catalog.next_oid;
    let mut own = |key: &KeyDef, columns: &str, label: &str| {
        let name = names.choose(&table.name, columns, label);
        let id = next_oid;
        next_oid += 1;
        plan.row_checks.push(RowCheck::Unique { table: table.id, key: id });
        KeyDef { name, id, columns: key.columns.clone() }
    };
    let has =
        |table: &TableDef, key: &KeyDef| table.unique_sets().any(|k| k.columns == key.columns);
    if let Some(key) = parent.primary_key.as_ref().filter(|_| after.primary_key.is_none()) {
        after.primary_key = Some(own(key, "", "pkey"));
    }
    for key in &parent.unique_keys {
        if !has(&after, key) {
            after.unique_keys.push(own(key, &column_names(parent, key), "key"));
        }
    }
    after
}

fn wrong(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
}

fn check_kind(catalog: &Catalog, parent: &TableDef, table: &TableDef) -> Result<()> {
    if table.partition_of.is_some() {
        return Err(wrong(format!("\"{}\" is already a partition", table.name)));
    }
    if catalog.partition_ancestors(parent.id).iter().any(|above| above.id == table.id) {
        let message = "circular inheritance not allowed";
        let detail = format!("\"{}\" is already a child of \"{}\".", parent.name, table.name);
        return Err(ErrorReport::new(SqlState::DUPLICATE_TABLE, message).detail(detail));
    }
    let below = catalog.partitions_below(table.id);
    let levels = |table: &TableDef| catalog.partition_ancestors(table.id).len();
    let partitioned = below.iter().filter(|below| below.partitioned_by.is_some());
    let deepest = partitioned.map(|below| levels(below)).max().unwrap_or(0);
    check_levels(catalog, parent, deepest.max(usize::from(table.partitioned_by.is_some())))?;
    if table.is_temporary() != parent.is_temporary() {
        let (new, old) = match table.is_temporary() {
            true => ("temporary", "permanent"),
            false => ("permanent", "temporary"),
        };
        return Err(wrong(format!(
            "cannot attach a {new} relation as partition of {old} relation \"{}\"",
            parent.name
        )));
    }
    Ok(())
}

fn check_columns(parent: &TableDef, table: &TableDef) -> Result<()> {
    let error = |message: String| ErrorReport::new(SqlState::DATATYPE_MISMATCH, message);
    let name = &table.name;
    if let Some(extra) = table.columns.iter().find(|column| parent.column(&column.name).is_none()) {
        let message = format!(
            "table \"{name}\" contains column \"{}\" not found in parent \"{}\"",
            extra.name, parent.name
        );
        let detail = "The new partition may contain only the columns present in parent.";
        return Err(error(message).detail(detail));
    }
    for column in &parent.columns {
        let Some(own) = table.column(&column.name) else {
            return Err(error(format!("child table is missing column \"{}\"", column.name)));
        };
        if own.sql_type != column.sql_type {
            let column = &column.name;
            let message =
                format!("child table \"{name}\" has different type for column \"{column}\"");
            return Err(error(message));
        }
        if column.not_null && !own.not_null {
            let message = format!("column \"{}\" in child table must be marked NOT NULL", own.name);
            return Err(error(message));
        }
    }
    if table.column_ids() != parent.column_ids() {
        return Err(not_as_made(parent, table, "Its columns have another order or other numbers."));
    }
    Ok(())
}

fn check_storage(catalog: &Catalog, parent: &TableDef, table: &TableDef) -> Result<()> {
    if table.distribution != parent.distribution {
        let message = format!(
            "distribution policy for \"{}\" must be the same as that for \"{}\"",
            table.name, parent.name
        );
        return Err(ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    if table.storage != parent.storage {
        let detail = "Its rows are in databases beside the datanodes.";
        return Err(not_as_made(parent, table, detail));
    }
    let is_other = |table: &TableDef| {
        let may_have_rows = table.partitioned_by.is_some() || !table.is_surely_empty();
        may_have_rows && table.missing_values != parent.missing_values
    };
    if is_other(table) || catalog.partitions_below(table.id).iter().any(|below| is_other(below)) {
        let detail = "Columns with defaults were added to one of the two.";
        return Err(not_as_made(parent, table, detail));
    }
    Ok(())
}

fn check_constraints(parent: &TableDef, table: &TableDef) -> Result<()> {
    for check in &parent.checks {
        let error = |message: String| Err(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message));
        match table.checks.iter().find(|own| own.name == check.name) {
            Some(own) if own.condition == check.condition => {}
            Some(own) => {
                return error(format!(
                    "child table \"{}\" has different definition for check constraint \"{}\"",
                    table.name, own.name
                ));
            }
            None => {
                return error(format!("child table is missing constraint \"{}\"", check.name));
            }
        }
    }
    Ok(())
}

/// 0A000: PostgreSQL would read its rows in another way than the other partitions'.
fn not_as_made(parent: &TableDef, table: &TableDef, detail: &str) -> ErrorReport {
    let message = format!(
        "table \"{}\" cannot become a partition of \"{}\" as it is",
        table.name, parent.name
    );
    ErrorReport::unsupported(message).detail(detail).hint(
        "Make a partition with CREATE TABLE ... PARTITION OF, and fill it with INSERT ... SELECT.",
    )
}

/// A partition becomes a table like others.
pub(super) fn detach(plan: &mut DdlPlan, partition: &TableDef) {
    let after = TableDef { partition_of: None, ..partition.without_segments() };
    plan.changes.push(change(partition, after));
}

/// Two tables change places: their names and what they are partitions of.
pub(super) fn exchange(
    plan: &mut DdlPlan,
    catalog: &Catalog,
    parent: &TableDef,
    (partition, table): (&TableDef, &TableDef),
    validate: bool,
) -> Result<()> {
    if partition.partitioned_by.is_some() || table.partitioned_by.is_some() {
        let message = "exchange of partitions that are partitioned is not supported";
        return Err(
            ErrorReport::unsupported(message).hint("Use DETACH PARTITION and ATTACH PARTITION.")
        );
    }
    check_kind(catalog, parent, table)?;
    check_columns(parent, table)?;
    check_storage(catalog, parent, table)?;
    check_constraints(parent, table)?;
    if table.next_column_id() > parent.next_column_id() {
        return Err(not_as_made(parent, table, "Columns were dropped from it."));
    }
    let Some(of) = &partition.partition_of else {
        return Err(ErrorReport::internal("a partition of nothing"));
    };
    let mut new = attached(plan, catalog, parent, table, of.bound.clone());
    if validate {
        plan.row_checks.push(RowCheck::Partition { table: table.id, is_new: true });
    }
    let aside =
        RelationNames::new(catalog, &partition.schema_name).choose(&partition.name, "", "old");
    let moved = |table: &TableDef, schema: &str, name: &str| TableDef {
        schema_name: schema.into(),
        name: name.into(),
        ..table.clone()
    };
    let mut old = TableDef { partition_of: None, ..partition.without_segments() };
    old = moved(&old, &partition.schema_name, &aside);
    plan.changes.push(change(partition, old.clone()));
    new = moved(&new, &partition.schema_name, &partition.name);
    plan.changes.push(change(table, new));
    let last = moved(&old, &table.schema_name, &table.name);
    plan.changes.push(CatalogChange::AlterTable { before: Box::new(old), after: Box::new(last) });
    Ok(())
}
