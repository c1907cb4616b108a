//! CREATE TABLE … PARTITION BY, CREATE TABLE … PARTITION OF.

use std::sync::Arc;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    BoundValues,
    bound::{self, Taken, invalid},
    leaf::Maker,
    parts,
};
use crate::{
    catalog::{
        Catalog, CatalogChange, Distribution, KeyDef, PartitionStrategy, PartitionedBy, TableDef,
        resolve_table,
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

/// Makes a new table partitioned; its partitions, if the clause lists them.
pub(in crate::ddl) fn declare(
    by: &PartitionBy,
    table: &mut TableDef,
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
    table.partitioned_by = Some(partitioned_by(by, table)?);
    check_keys(table, table.unique_sets())?;
    let Some(listed) = &by.parts else { return Ok(Vec::new()) };
    let parts = parts::bounds(listed, table, values)?;
    let mut taken = Taken::default();
    let schema = table.schema_name.clone();
    let mut maker = Maker { parent: table, schema: &schema, names, next_oid };
    let make = |(name, bound): (String, _)| {
        taken.take(&name, &bound)?;
        maker.partition(&name, bound)
    };
    parts.into_iter().map(make).collect()
}

fn partitioned_by(by: &PartitionBy, table: &TableDef) -> Result<PartitionedBy> {
    let strategy = match by.strategy.name.as_str() {
        "range" => PartitionStrategy::Range,
        "list" => PartitionStrategy::List,
        "hash" => {
            let error = ErrorReport::unsupported("PARTITION BY HASH is not supported");
            let hint = "DISTRIBUTED BY spreads rows by their hash.";
            return Err(error.hint(hint).position(by.strategy.position));
        }
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
    Ok(PartitionedBy { strategy, columns })
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
    plan.row_checks.extend(default_check(parent, catalog));
    plan.changes.push(CatalogChange::CreateTable(partition));
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
    if table.partition_by.is_some() {
        return Err(one_level());
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

/// 0A000
pub(super) fn one_level() -> ErrorReport {
    ErrorReport::unsupported("partitions that are partitioned are not supported")
        .hint("Use PARTITION BY RANGE with more than one column.")
}
