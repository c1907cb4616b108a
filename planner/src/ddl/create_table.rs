//! CREATE TABLE

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, check,
    columns::{self, Context},
    distribution_key::Declared,
    foreign_key, keys,
    names::{RelationNames, already_exists},
    partition::{self, BoundValues},
    storage,
};
use crate::{
    catalog::{
        Catalog, CatalogChange, ColumnDef, Distribution, SchemaDef, SequenceDef, TableDef,
        creation_schema, is_temporary_schema, relation_kind,
    },
    parse::CreateTable,
};

pub(super) fn create_table(
    table: &CreateTable,
    catalog: &Catalog,
    search_path: &[String],
    values: BoundValues<'_>,
) -> Result<DdlPlan> {
    if let Some(of) = &table.partition_of {
        return partition::create_partition(table, of, (catalog, search_path), values);
    }
    let mut plan = DdlPlan::new("CREATE TABLE");
    let Some(schema) = target_schema(table, catalog, search_path, &mut plan.notices)? else {
        return Ok(plan);
    };
    check_clauses(table, &mut plan.notices)?;
    let name = table.name.name.as_str();
    let mut names = RelationNames::new(catalog, schema);
    names.take(name)?;
    let mut new = columns::of_clauses(
        table,
        &mut Context {
            catalog,
            search_path,
            schema,
            table: name,
            names: &mut names,
            notices: &mut plan.notices,
        },
    )?;
    let copied = std::mem::take(&mut new.keys);
    let copied_count = copied.len();
    let requests = keys::requests(table, &new.columns, copied)?;
    let keys_are_copied = requests.len() <= copied_count;
    let mut oid = catalog.next_oid;
    let mut next_oid = || {
        oid += 1;
        oid - 1
    };
    let id = next_oid();
    plan.changes.extend(missing_schema(catalog, schema, &mut next_oid));
    let (primary_key, unique_keys) =
        keys::make(requests, name, &mut new.columns, &mut names, &mut next_oid)?;
    let distribution = Declared {
        clause: table.distributed.as_ref(),
        columns: &new.columns,
        primary_key: primary_key.as_ref(),
        unique_keys: &unique_keys,
        keys_are_copied,
        like: new.like.take(),
        column_word: "column",
    }
    .distribution(&mut plan.notices)?;
    let mut definition = table_def(catalog, id, (schema, name), new.columns, distribution);
    (definition.primary_key, definition.unique_keys) = (primary_key, unique_keys);
    definition.on_commit = table.on_commit.unwrap_or_default();
    definition.cluster_by = match definition.is_on_shards() {
        true => Vec::new(),
        false => std::mem::take(&mut new.cluster_by),
    };
    storage::cluster(&mut definition, &table.storage_parameters)?;
    let copied = check::copied(table, catalog, search_path)?;
    check::add(table, &copied, &mut definition, &mut next_oid)?;
    foreign_key::check(table, &definition, catalog, search_path, &mut plan.notices)?;
    for sequence in new.sequences {
        let owned_by = sequence.owned_by.map(|(_, column)| (id, column));
        let sequence = SequenceDef { id: next_oid(), owned_by, ..sequence };
        plan.changes.push(CatalogChange::CreateSequence(sequence));
    }
    let partitions = match &table.partition_by {
        Some(by) => {
            partition::declare(by, (&mut definition, 1), &mut names, &mut next_oid, values)?
        }
        None => Vec::new(),
    };
    plan.changes.push(CatalogChange::CreateTable(definition));
    plan.changes.extend(partitions.into_iter().map(CatalogChange::CreateTable));
    Ok(plan)
}

/// A table without keys and rows.
pub(super) fn table_def(
    catalog: &Catalog,
    id: u64,
    (schema, name): (&str, &str),
    columns: Vec<ColumnDef>,
    distribution: Distribution,
) -> TableDef {
    let table = TableDef::new(id, (schema, name), columns, distribution);
    TableDef { storage: catalog.new_storage(schema), ..table }
}

/// Where the table goes. `None`, with a NOTICE: it is there, and that is all right.
pub(super) fn target_schema<'a>(
    table: &CreateTable,
    catalog: &'a Catalog,
    search_path: &'a [String],
    notices: &mut Vec<ErrorReport>,
) -> Result<Option<&'a str>> {
    if let Some(position) = table.global {
        let message = "GLOBAL is deprecated in temporary table creation";
        notices.push(ErrorReport::warning(SqlState::WARNING, message).position(position));
    }
    let schema = creation_schema(catalog, search_path, &table.name, table.temporary)?;
    if table.on_commit.is_some() && !is_temporary_schema(schema) {
        let message = "ON COMMIT can only be used on temporary tables";
        return Err(ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    let name = &table.name.name;
    if relation_kind(catalog, schema, name).is_none() {
        return Ok(Some(schema));
    }
    if !table.if_not_exists {
        return Err(already_exists(name));
    }
    let message = format!("relation \"{name}\" already exists, skipping");
    notices.push(ErrorReport::notice(SqlState::DUPLICATE_TABLE, message));
    Ok(None)
}

/// A session's temporary schema comes with the first relation in it.
pub(super) fn missing_schema(
    catalog: &Catalog,
    schema: &str,
    mut next_oid: impl FnMut() -> u64,
) -> Option<CatalogChange> {
    let is_missing = is_temporary_schema(schema) && !catalog.schemas.contains_key(schema);
    is_missing.then(|| {
        CatalogChange::CreateSchema(SchemaDef { id: next_oid(), name: schema.to_string() })
    })
}

/// Refuses the first clause that Kestrel does not have, and checks those without effect.
pub(super) fn check_clauses(table: &CreateTable, notices: &mut Vec<ErrorReport>) -> Result<()> {
    match table.unsupported.first() {
        Some(clause) => Err(clause.error()),
        None => storage::check(table, notices),
    }
}
