//! CREATE INDEX and DROP INDEX. An index is recorded, so that clients see what they made; queries
//! of a columnar table have no use for one. A unique one is a rule about the rows.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, RowCheck, alter,
    comment::find_index,
    distribution_key::Declared,
    keys::column_id,
    missing::skip_missing,
    names::{RelationNames, already_exists},
};
use crate::{
    catalog::{
        Catalog, Found, IndexDef, KeyDef, TableDef, find_relation, relation_kind, resolve_table,
    },
    parse::{CreateIndex, DropIndex},
};

/// PostgreSQL's and Greenplum's access methods.
const METHODS: [&str; 7] = ["btree", "hash", "gin", "gist", "spgist", "brin", "bitmap"];

/// PostgreSQL's INDEX_MAX_KEYS.
const MAX_COLUMNS: usize = 32;

pub(super) fn create_index(
    create: &CreateIndex,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("CREATE INDEX");
    let table = table_of(create, catalog, search_path)?;
    if let Some(method) = create.method.as_ref().filter(|m| !METHODS.contains(&m.name.as_str())) {
        let message = format!("access method \"{}\" does not exist", method.name);
        return Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message));
    }
    let schema = table.schema_name.as_str();
    if let Some(name) = &create.name
        && relation_kind(catalog, schema, &name.name).is_some()
    {
        if !create.if_not_exists {
            return Err(already_exists(&name.name));
        }
        let message = format!("relation \"{}\" already exists, skipping", name.name);
        plan.notices.push(ErrorReport::notice(SqlState::DUPLICATE_TABLE, message));
        return Ok(plan);
    }
    if let Some(clause) = create.unsupported.first() {
        return Err(clause.error());
    }
    if create.columns.len() > MAX_COLUMNS {
        let message = format!("cannot use more than {MAX_COLUMNS} columns in an index");
        return Err(ErrorReport::new(SqlState::TOO_MANY_COLUMNS, message));
    }
    let ids = create.columns.iter().map(|c| column_id(c, &table.columns, "does not exist"));
    let columns = ids.collect::<Result<Vec<u32>>>()?;
    let name = match &create.name {
        Some(name) => name.name.clone(),
        None => {
            let parts: Vec<_> = create.columns.iter().map(|c| c.name.as_str()).collect();
            RelationNames::new(catalog, schema).choose(&table.name, &parts.join("_"), "idx")
        }
    };
    let key = KeyDef { name, id: catalog.next_oid, columns };
    if create.is_unique {
        check_distribution(&key, table)?;
        plan.row_checks.push(RowCheck::Unique { table: table.id, key: key.id });
    } else if !table.is_on_shards() {
        let message = format!("index \"{}\" is recorded, but nothing is built", key.name);
        plan.notices.push(
            ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message).detail(
                "Tables are columnar: queries skip what they do not need without an index.",
            ),
        );
    }
    let mut after = table.without_segments();
    after.indexes.push(IndexDef { key, is_unique: create.is_unique });
    plan.changes.push(alter::change(table, after));
    Ok(plan)
}

fn table_of<'a>(
    create: &CreateIndex,
    catalog: &'a Catalog,
    search_path: &[String],
) -> Result<&'a TableDef> {
    if let Some(Found::View(view)) = find_relation(catalog, search_path, &create.table) {
        let message = format!("cannot create index on relation \"{}\"", view.name);
        return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
            .detail("This operation is not supported for views."));
    }
    resolve_table(catalog, search_path, &create.table).map(AsRef::as_ref)
}

/// Each datanode answers for its own rows: equal keys must meet there.
pub(super) fn check_distribution(key: &KeyDef, table: &TableDef) -> Result<()> {
    Declared {
        clause: None,
        columns: &table.columns,
        primary_key: None,
        unique_keys: std::slice::from_ref(key),
        keys_are_copied: false,
        like: None,
        column_word: "column",
    }
    .check(&table.distribution)
}

pub(super) fn drop_index(
    drop: &DropIndex,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("DROP INDEX");
    let mut changed: Vec<(&TableDef, TableDef)> = Vec::new();
    for name in &drop.indexes {
        let (table, key) = match find_index(catalog, search_path, name) {
            Ok(found) => found,
            Err(_) => {
                let names = (catalog, search_path);
                skip_missing("index", name, drop.if_exists, names, &mut plan.notices)?;
                continue;
            }
        };
        if !table.indexes.iter().any(|index| index.key.id == key.id) {
            let (key, table) = (&key.name, &table.name);
            let message = format!(
                "cannot drop index {key} because constraint {key} on table {table} requires it"
            );
            return Err(ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop constraint {key} on table {table} instead.")));
        }
        let position = changed.iter().position(|(before, _)| before.id == table.id);
        let position = position.unwrap_or_else(|| {
            changed.push((table, table.without_segments()));
            changed.len() - 1
        });
        changed[position].1.indexes.retain(|index| index.key.id != key.id);
    }
    let changes = changed.into_iter().map(|(before, after)| alter::change(before, after));
    plan.changes = changes.collect();
    Ok(plan)
}
