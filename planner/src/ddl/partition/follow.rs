//! Partitions go along with their table: what a plan changes in a partitioned table, it changes in
//! each partition, too, and what only their table may change, it refuses to change in partitions.

use std::collections::{BTreeMap, HashSet};

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    create::check_keys,
    leaf::{column_names, own_column},
};
use crate::{
    catalog::{Catalog, CatalogChange, CheckDef, ColumnDef, IndexDef, KeyDef, TableDef},
    ddl::{DdlPlan, RowCheck, alter::change, names::RelationNames},
};

/// Adds to a plan what it does to partitions.
///
/// Errors: 42P16 and 42809 for what only the partitioned table may change, or nobody; 0A000 for keys
/// without the partition key.
pub(in crate::ddl) fn spread(plan: &mut DdlPlan, catalog: &Catalog) -> Result<()> {
    let mut changes = Vec::with_capacity(plan.changes.len());
    let mut spread = Spread {
        catalog,
        next_oid: next_oid(plan, catalog),
        names: BTreeMap::new(),
        row_checks: std::mem::take(&mut plan.row_checks),
        moves_rows: plan.moves_rows,
    };
    let mut dropped: HashSet<u64> = plan.changes.iter().filter_map(dropped).collect();
    for change in std::mem::take(&mut plan.changes) {
        match &change {
            CatalogChange::DropTable(id) => {
                // What is below a partition goes before it.
                let below = catalog.partitions_below(*id).into_iter().rev();
                let others = below.map(|table| table.id).filter(|id| dropped.insert(*id));
                changes.extend(others.map(CatalogChange::DropTable));
                changes.push(change);
            }
            CatalogChange::RemoveAllSegments { table } => {
                let below = catalog.partitions_below(*table);
                changes.push(change);
                let empty = |table: u64| CatalogChange::RemoveAllSegments { table };
                changes.extend(below.into_iter().map(|table| empty(table.id)));
            }
            CatalogChange::AlterTable { before, after } => {
                check_of_partition(before, after, catalog)?;
                let followed = spread.followed(before, after)?;
                changes.push(change);
                changes.extend(followed);
            }
            _ => changes.push(change),
        }
    }
    plan.row_checks = spread.row_checks;
    plan.changes = changes;
    Ok(())
}

fn dropped(change: &CatalogChange) -> Option<u64> {
    if let CatalogChange::DropTable(id) = change { Some(*id) } else { None }
}

/// An OID that neither the catalog nor the plan has.
fn next_oid(plan: &DdlPlan, catalog: &Catalog) -> u64 {
    let of_table = |table: &TableDef| {
        let checks = table.checks.iter().map(|check| check.id);
        let keys = table.index_keys().map(|key| key.id);
        checks.chain(keys).chain([table.id]).max().unwrap_or(0)
    };
    let last = plan.changes.iter().map(|change| match change {
        CatalogChange::CreateTable(table) => of_table(table),
        CatalogChange::AlterTable { after, .. } => of_table(after),
        CatalogChange::CreateSequence(sequence) => sequence.id,
        CatalogChange::CreateSchema(schema) => schema.id,
        _ => 0,
    });
    catalog.next_oid.max(last.max().unwrap_or(0) + 1)
}

struct Spread<'a> {
    catalog: &'a Catalog,
    next_oid: u64,
    /// By schema.
    names: BTreeMap<&'a str, RelationNames<'a>>,
    row_checks: Vec<RowCheck>,
    /// Of the partitions, too.
    moves_rows: bool,
}

impl<'a> Spread<'a> {
    fn take_oid(&mut self) -> u64 {
        self.next_oid += 1;
        self.next_oid - 1
    }

    /// What follows for the partitions of a table that is altered, and for those below them.
    fn followed(&mut self, before: &TableDef, after: &TableDef) -> Result<Vec<CatalogChange>> {
        if after.partitioned_by.is_none() {
            return Ok(Vec::new());
        }
        check_key_columns(before, after)?;
        check_keys(after, after.unique_sets())?;
        // Partitions answer for their rows; the table has none.
        let (own, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.row_checks)
            .into_iter()
            .partition(|check| check.table() == after.id && !check.is_of_partition());
        self.row_checks = others;
        let mut changes = Vec::new();
        for partition in self.catalog.partitions_of(after.id) {
            check_views(partition, before, after, self.catalog)?;
            let mut new = partition.without_segments();
            follow_columns(&mut new, before, after);
            let checks = self.follow_checks(&mut new, before, after);
            let keys = self.follow_keys(&mut new, before, after, &partition.schema_name);
            for check in &own {
                let table = partition.id;
                self.row_checks.push(match *check {
                    RowCheck::NotNull { column, .. } => RowCheck::NotNull { table, column },
                    RowCheck::Check { check, .. } => {
                        RowCheck::Check { table, check: checks.get(&check).copied().unwrap_or(0) }
                    }
                    RowCheck::Unique { key, .. } => {
                        RowCheck::Unique { table, key: keys.get(&key).copied().unwrap_or(0) }
                    }
                    RowCheck::Partition { .. } => continue,
                });
            }
            new.distribution.clone_from(&after.distribution);
            let below = self.followed(partition, &new)?;
            if self.moves_rows || new != partition.without_segments() {
                changes.push(change(partition, new));
            }
            changes.extend(below);
        }
        Ok(changes)
    }

    /// The partition's OIDs of the table's new constraints.
    fn follow_checks(
        &mut self,
        partition: &mut TableDef,
        before: &TableDef,
        after: &TableDef,
    ) -> BTreeMap<u64, u64> {
        for old in &before.checks {
            let at = partition.checks.iter().position(|check| check.name == old.name);
            let Some(at) = at else { continue };
            match after.checks.iter().find(|check| check.id == old.id) {
                Some(now) => {
                    partition.checks[at] = CheckDef { id: partition.checks[at].id, ..now.clone() };
                }
                None => {
                    partition.checks.remove(at);
                }
            }
        }
        let mut added = BTreeMap::new();
        for new in &after.checks {
            if before.checks.iter().all(|old| old.id != new.id) {
                let id = self.take_oid();
                added.insert(new.id, id);
                partition.checks.push(CheckDef { id, ..new.clone() });
            }
        }
        partition.checks.sort_by(|a, b| a.name.cmp(&b.name));
        added
    }

    /// The partition's OIDs of the table's new keys and indexes.
    fn follow_keys(
        &mut self,
        partition: &mut TableDef,
        before: &TableDef,
        after: &TableDef,
        schema: &'a str,
    ) -> BTreeMap<u64, u64> {
        for gone in before.index_keys().filter(|old| after.index_keys().all(|k| k.id != old.id)) {
            let same = |key: &KeyDef| key.columns == gone.columns;
            if before.primary_key.as_ref().is_some_and(|key| key.id == gone.id) {
                partition.primary_key.take_if(|key| same(key));
            } else if before.unique_keys.iter().any(|key| key.id == gone.id) {
                remove_first(&mut partition.unique_keys, same);
            } else {
                remove_first(&mut partition.indexes, |index| same(&index.key));
            }
        }
        let is_new = |key: &KeyDef| before.index_keys().all(|old| old.id != key.id);
        let mut added = BTreeMap::new();
        if let Some(key) = after.primary_key.as_ref().filter(|key| is_new(key)) {
            let own = self.key(partition, key, "", "pkey", schema);
            added.insert(key.id, own.id);
            partition.primary_key = Some(own);
        }
        for key in after.unique_keys.iter().filter(|key| is_new(key)) {
            let own = self.key(partition, key, &column_names(after, key), "key", schema);
            added.insert(key.id, own.id);
            partition.unique_keys.push(own);
        }
        for index in after.indexes.iter().filter(|index| is_new(&index.key)) {
            let columns = column_names(after, &index.key);
            let key = self.key(partition, &index.key, &columns, "idx", schema);
            added.insert(index.key.id, key.id);
            partition.indexes.push(IndexDef { key, is_unique: index.is_unique });
        }
        added
    }

    fn key(
        &mut self,
        partition: &TableDef,
        key: &KeyDef,
        columns: &str,
        label: &str,
        schema: &'a str,
    ) -> KeyDef {
        let catalog = self.catalog;
        let names = self.names.entry(schema);
        let names = names.or_insert_with(|| RelationNames::new(catalog, schema));
        // The table's own key has its name already, though not in the catalog.
        let _ = names.take(&key.name);
        let name = names.choose(&partition.name, columns, label);
        KeyDef { name, id: self.take_oid(), columns: key.columns.clone() }
    }
}

fn remove_first<T>(from: &mut Vec<T>, is_it: impl Fn(&T) -> bool) {
    if let Some(at) = from.iter().position(is_it) {
        from.remove(at);
    }
}

/// The table's columns; what a partition alone has is its default, and that it takes no NULL.
fn follow_columns(partition: &mut TableDef, before: &TableDef, after: &TableDef) {
    let own = |id: u32| partition.column_by_id(id);
    let columns = after.columns.iter().map(|now| {
        let mut column = own_column(now);
        if let (Some(old), Some(own)) = (before.column_by_id(now.id), own(now.id)) {
            column.not_null |= own.not_null && !old.not_null;
            if old.default == now.default {
                column.default.clone_from(&own.default);
            }
        }
        column
    });
    partition.columns = columns.collect();
    partition.last_column_id = partition.last_column_id.max(after.last_column_id);
    let gone = |id: &u32| before.column_by_id(*id).is_some() && after.column_by_id(*id).is_none();
    partition.missing_values.retain(|id, _| !gone(id));
    if before.cluster_by != after.cluster_by {
        partition.cluster_by.clone_from(&after.cluster_by);
    }
    let kept = partition.cluster_by.iter().position(gone);
    partition.cluster_by.truncate(kept.unwrap_or(partition.cluster_by.len()));
}

/// A view of a partition that needs a column which goes, or gets another type, goes first.
fn check_views(
    partition: &TableDef,
    before: &TableDef,
    after: &TableDef,
    catalog: &Catalog,
) -> Result<()> {
    for old in &before.columns {
        let verb = match after.column_by_id(old.id) {
            None => "drop",
            Some(new) if new.sql_type != old.sql_type => "alter type of",
            Some(_) => continue,
        };
        let mut views = catalog.views.values();
        let Some(view) = views.find(|view| view.uses_column(partition.id, old.id)) else {
            continue;
        };
        let (column, table) = (&old.name, &partition.name);
        let message = format!(
            "cannot {verb} column {column} of table {table} because other objects depend on it"
        );
        return Err(ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .detail(format!("view {} depends on column {column} of table {table}", view.name))
            .hint("Drop the view first."));
    }
    Ok(())
}

/// The columns of the partition key stay as they are.
fn check_key_columns(before: &TableDef, after: &TableDef) -> Result<()> {
    let ids = before.partitioned_by.iter().flat_map(|by| by.all_columns());
    for old in ids.filter_map(|id| before.column_by_id(id)) {
        let verb = match after.column_by_id(old.id) {
            None => "drop",
            Some(new) if new.sql_type != old.sql_type => "alter",
            Some(_) => continue,
        };
        return Err(invalid(format!(
            "cannot {verb} column \"{}\" because it is part of the partition key of relation \"{}\"",
            old.name, before.name
        )));
    }
    Ok(())
}

/// 42P16
fn invalid(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message)
}

/// A partition's columns and what it has from its table are its table's to change.
fn check_of_partition(before: &TableDef, after: &TableDef, catalog: &Catalog) -> Result<()> {
    if before.partition_of.is_none() || before.partition_of != after.partition_of {
        return Ok(());
    }
    let parent = before.parent_id().and_then(|id| catalog.table_by_id(id));
    let Some(parent) = parent else { return Ok(()) };
    if after.columns.iter().any(|column| before.column_by_id(column.id).is_none()) {
        let message = "cannot add column to a partition";
        return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    for old in &before.columns {
        check_column(old, after.column_by_id(old.id), parent)?;
    }
    let inherited = |name: &str| {
        let relation = &before.name;
        invalid(format!("cannot drop inherited constraint \"{name}\" of relation \"{relation}\""))
    };
    for check in &before.checks {
        let is_parents = parent.checks.iter().any(|of| of.name == check.name);
        if is_parents && after.checks.iter().all(|now| now.name != check.name) {
            return Err(inherited(&check.name));
        }
    }
    for key in before.unique_sets() {
        let is_parents = parent.unique_sets().any(|of| of.columns == key.columns);
        if is_parents && after.unique_sets().all(|now| now.id != key.id) {
            return Err(inherited(&key.name));
        }
    }
    Ok(())
}

fn check_column(old: &ColumnDef, new: Option<&ColumnDef>, parent: &TableDef) -> Result<()> {
    let name = &old.name;
    let Some(new) = new else {
        return Err(invalid(format!("cannot drop inherited column \"{name}\"")));
    };
    if new.name != old.name {
        return Err(invalid(format!("cannot rename inherited column \"{name}\"")));
    }
    if new.sql_type != old.sql_type {
        return Err(invalid(format!("cannot alter inherited column \"{name}\"")));
    }
    let must_be = parent.column_by_id(old.id).is_some_and(|column| column.not_null);
    if old.not_null && !new.not_null && must_be {
        return Err(invalid(format!("column \"{name}\" is marked NOT NULL in parent table")));
    }
    Ok(())
}
