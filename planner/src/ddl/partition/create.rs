//! CREATE TABLE … PARTITION BY, CREATE TABLE … PARTITION OF.

use std::sync::Arc;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    BoundValues,
    bound::{self, Taken, invalid},
    leaf::Maker,
    parts::{self, full_name},
};
use crate::{
    catalog::{
        Catalog, CatalogChange, Distribution, KeyDef, PartitionBound, PartitionStrategy,
        PartitionTemplate, PartitionedBy, TableDef, resolve_table,
    },
    ddl::{
        DdlPlan, RowCheck,
        create_table::{check_clauses, target_schema},
        distribution_key::Declared,
        keys::column_id,
        names::RelationNames,
        storage,
    },
    parse::{CreateTable, Identifier, PartitionBy, PartitionOfClause},
    partition::is_key_type,
};

/// PostgreSQL's PARTITION_MAX_KEYS.
const MAX_KEY_COLUMNS: usize = 32;
/// So many partitioned tables may be one below the other.
const MAX_LEVELS: usize = 32;

/// Makes a new table partitioned; its partitions, if the clause lists them, each before what is below
/// it. `level`: that of the partitions, from 1 on.
pub(in crate::ddl) fn declare(
    by: &PartitionBy,
    (table, level): (&mut TableDef, usize),
    names: &mut RelationNames<'_>,
    next_oid: &mut dyn FnMut() -> u64,
    values: BoundValues<'_>,
) -> Result<Vec<TableDef>> {
    if table.is_on_shards() {
        let message = "partitioned tables in databases beside the datanodes are not supported";
        return Err(ErrorReport::unsupported(message).hint(
            "Leave PARTITION BY out, or have datanodes keep the rows themselves (shard kind \
             \"columnar\").",
        ));
    }
    if table.distribution == Distribution::Replicated {
        let message = "PARTITION BY clause cannot be used with DISTRIBUTED REPLICATED clause";
        return Err(ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    let key = partitioned_by(by, table)?;
    let template = by.below.as_deref().map(|below| template(below, table, level + 1, values));
    table.partitioned_by = Some(PartitionedBy { template: template.transpose()?, ..key });
    check_keys(table, table.unique_sets())?;
    let Some(listed) = &by.parts else { return Ok(Vec::new()) };
    let parts = parts::bounds(listed, table, values)?;
    made(&parts, (&*table, level), names, next_oid)
}

/// SUBPARTITION BY: how each partition is partitioned, which are on this level then.
fn template(
    by: &PartitionBy,
    table: &TableDef,
    level: usize,
    values: BoundValues<'_>,
) -> Result<Box<PartitionTemplate>> {
    if level > MAX_LEVELS {
        return Err(too_many_levels());
    }
    let Some(listed) = &by.parts else {
        let message = format!("no partitions specified at depth {level}");
        let error = ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message);
        return Err(error.hint("Use SUBPARTITION TEMPLATE.").position(by.strategy.position));
    };
    let key = partitioned_by(by, table)?;
    let partitioned = TableDef { partitioned_by: Some(key.clone()), ..table.clone() };
    let partitions = parts::bounds(listed, &partitioned, values)?;
    let below = by.below.as_deref().map(|below| template(below, table, level + 1, values));
    let by = PartitionedBy { template: below.transpose()?, ..key };
    Ok(Box::new(PartitionTemplate { by, partitions }))
}

/// The partitions of a new table, by short names and bounds, and what its template has below each.
pub(super) fn made(
    parts: &[(String, PartitionBound)],
    (table, level): (&TableDef, usize),
    names: &mut RelationNames<'_>,
    next_oid: &mut dyn FnMut() -> u64,
) -> Result<Vec<TableDef>> {
    let mut taken = Taken::default();
    let mut tables = Vec::new();
    for (short, bound) in parts {
        let name = full_name(&table.name, level, short);
        taken.take(&name, bound)?;
        let schema = table.schema_name.as_str();
        let mut maker =
            Maker { parent: table, schema, names: &mut *names, next_oid: &mut *next_oid };
        let partition = maker.partition(&name, bound.clone())?;
        tables.extend(divided(partition, (table, level), names, next_oid)?);
    }
    Ok(tables)
}

/// A new partition on this level, and what its table's template has below it.
pub(super) fn divided(
    mut partition: TableDef,
    (table, level): (&TableDef, usize),
    names: &mut RelationNames<'_>,
    next_oid: &mut dyn FnMut() -> u64,
) -> Result<Vec<TableDef>> {
    let template = table.partitioned_by.as_ref().and_then(|by| by.template.as_deref());
    let Some(PartitionTemplate { by, partitions }) = template else { return Ok(vec![partition]) };
    partition.partitioned_by = Some(by.clone());
    check_keys(&partition, partition.unique_sets())?;
    let below = made(partitions, (&partition, level + 1), names, next_oid)?;
    Ok([partition].into_iter().chain(below).collect())
}

fn partitioned_by(by: &PartitionBy, table: &TableDef) -> Result<PartitionedBy> {
    let strategy = match by.strategy.name.as_str() {
        "range" => PartitionStrategy::Range,
        "list" => PartitionStrategy::List,
        "hash" => PartitionStrategy::Hash,
        other => {
            let message = format!("unrecognized partitioning strategy \"{other}\"");
            let error = ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message);
            return Err(error.position(by.strategy.position));
        }
    };
    if strategy == PartitionStrategy::List && by.columns.len() != 1 {
        let message = "cannot use \"list\" partition strategy with more than one column";
        return Err(invalid(message.into()));
    }
    if by.columns.len() > MAX_KEY_COLUMNS {
        let message = format!("cannot partition using more than {MAX_KEY_COLUMNS} columns");
        return Err(ErrorReport::new(SqlState::TOO_MANY_COLUMNS, message));
    }
    let missing = "named in partition key does not exist";
    let column = |name: &Identifier| {
        let id = column_id(name, &table.columns, missing)?;
        let sql_type = table.column_by_id(id).map(|column| column.sql_type);
        match sql_type.filter(|sql_type| !is_key_type(*sql_type)) {
            Some(sql_type) => {
                let message = format!("type {sql_type} in a partition key is not supported");
                Err(ErrorReport::unsupported(message).position(name.position))
            }
            None => Ok(id),
        }
    };
    let columns = by.columns.iter().map(column).collect::<Result<_>>()?;
    Ok(PartitionedBy { strategy, columns, template: None })
}

/// Rows with equal keys must meet in one partition, or no partition could tell that they are equal.
pub(super) fn check_keys<'a>(
    table: &TableDef,
    keys: impl Iterator<Item = &'a KeyDef>,
) -> Result<()> {
    for key in keys {
        let columns = table.partition_columns();
        let Some(lacking) = columns.iter().find(|column| !key.columns.contains(&column.id)) else {
            continue;
        };
        let is_primary = table.primary_key.as_ref().is_some_and(|primary| primary.id == key.id);
        let kind = if is_primary { "PRIMARY KEY" } else { "UNIQUE" };
        let message =
            "unique constraint on partitioned table must include all partitioning columns";
        return Err(ErrorReport::unsupported(message).detail(format!(
            "{kind} constraint on table \"{}\" lacks column \"{}\" which is part of the partition \
             key.",
            table.name, lacking.name
        )));
    }
    Ok(())
}

/// CREATE TABLE … PARTITION OF
pub(in crate::ddl) fn create_partition(
    table: &CreateTable,
    of: &PartitionOfClause,
    (catalog, search_path): (&Catalog, &[String]),
    values: BoundValues<'_>,
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("CREATE TABLE");
    let Some(schema) = target_schema(table, catalog, search_path, &mut plan.notices)? else {
        return Ok(plan);
    };
    check_clauses(table, &mut plan.notices)?;
    let parent = resolve_table(catalog, search_path, &of.parent)?;
    check_parent(table, schema, parent)?;
    let name = table.name.name.as_str();
    let bound = bound::of_clause(&of.bound, parent, values)?;
    let mut taken = Taken::by(catalog.partitions_of(parent.id).into_iter().map(Arc::as_ref))?;
    taken.take(name, &bound).map_err(|error| error.position(of.bound.position))?;
    let mut oid = catalog.next_oid;
    let mut next_oid = || {
        oid += 1;
        oid - 1
    };
    let mut names = RelationNames::new(catalog, schema);
    let mut maker = Maker { parent, schema, names: &mut names, next_oid: &mut next_oid };
    let mut partition = maker.partition(name, bound)?;
    if let Some(on_commit) = table.on_commit {
        partition.on_commit = on_commit;
    }
    storage::cluster(&mut partition, &table.storage_parameters)?;
    let below = match &table.partition_by {
        Some(by) => {
            check_levels(catalog, parent, 1)?;
            let level = catalog.partition_ancestors(parent.id).len() + 1;
            declare(by, (&mut partition, level), &mut names, &mut next_oid, values)?
        }
        None => Vec::new(),
    };
    plan.row_checks.extend(default_check(parent, catalog));
    plan.changes.push(CatalogChange::CreateTable(partition));
    plan.changes.extend(below.into_iter().map(CatalogChange::CreateTable));
    Ok(plan)
}

/// The rows of the default partition must not be those of a new one.
pub(super) fn default_check(parent: &TableDef, catalog: &Catalog) -> Option<RowCheck> {
    let default = catalog.default_partition(parent.id)?;
    Some(RowCheck::Partition { table: default.id, is_new: false })
}

fn check_parent(table: &CreateTable, schema: &str, parent: &TableDef) -> Result<()> {
    if parent.partitioned_by.is_none() {
        return Err(invalid(format!("\"{}\" is not partitioned", parent.name)));
    }
    let is_temporary = crate::catalog::is_temporary_schema(schema);
    if is_temporary != parent.is_temporary() {
        let (new, old) = match is_temporary {
            true => ("temporary", "permanent"),
            false => ("permanent", "temporary"),
        };
        let message = format!(
            "cannot create a {new} relation as partition of {old} relation \"{}\"",
            parent.name
        );
        return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    if table.distributed.is_some() {
        let declared = Declared {
            clause: table.distributed.as_ref(),
            columns: &parent.columns,
            primary_key: None,
            unique_keys: &[],
            keys_are_copied: false,
            like: None,
            column_word: "column",
        };
        if declared.distribution(&mut Vec::new())? != parent.distribution {
            let message = format!("can't set the distribution policy of \"{}\"", table.name.name);
            return Err(ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .hint("Distribution policy of a partition can only be the same as its parent's."));
        }
    }
    Ok(())
}

/// Trees of partitions are walked by recursion: 0A000 if there were too many levels with so many that are
/// partitioned below `parent`.
pub(super) fn check_levels(catalog: &Catalog, parent: &TableDef, below: usize) -> Result<()> {
    if catalog.partition_ancestors(parent.id).len() + below <= MAX_LEVELS {
        return Ok(());
    }
    Err(too_many_levels())
}

fn too_many_levels() -> ErrorReport {
    let message = format!("more than {MAX_LEVELS} levels of partitioned tables are not supported");
    ErrorReport::unsupported(message)
}
