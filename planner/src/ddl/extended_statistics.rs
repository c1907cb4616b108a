//! CREATE STATISTICS and DROP STATISTICS: which columns ANALYZE is to look at together. They are
//! part of the table's definition, in its schema.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{DdlPlan, alter, keys::column_id};
use crate::{
    catalog::{
        Catalog, ExtendedStatistics, Found, SqlType, TableDef, find_relation, resolve_table,
        schemas_of,
    },
    parse::{CreateStatistics, DropStatistics, Identifier, QualifiedName},
};

/// PostgreSQL's STATS_MAX_DIMENSIONS.
const MAX_COLUMNS: usize = 8;

/// Errors are those of PostgreSQL's `CreateStatistics` (commands/statscmds.c).
pub(super) fn create_statistics(
    create: &CreateStatistics,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("CREATE STATISTICS");
    let table = table_of(create, catalog, search_path)?;
    let name = &create.name.name;
    if create.name.schema.as_ref().is_some_and(|schema| *schema != table.schema_name) {
        let message = "statistics in another schema than their table's are not supported";
        return Err(ErrorReport::unsupported(message));
    }
    if in_schema(catalog, &table.schema_name, name).is_some() {
        let message = format!("statistics object \"{name}\" already exists");
        if !create.if_not_exists {
            return Err(ErrorReport::new(SqlState::DUPLICATE_OBJECT, message));
        }
        let message = format!("{message}, skipping");
        plan.notices.push(ErrorReport::notice(SqlState::DUPLICATE_OBJECT, message));
        return Ok(plan);
    }
    if table.is_on_shards() {
        let message = "CREATE STATISTICS on tables in databases is not supported yet";
        return Err(ErrorReport::unsupported(message));
    }
    if let Some(position) = create.expression {
        let message = "statistics on expressions are not supported yet";
        return Err(ErrorReport::unsupported(message).hint("Name columns.").position(position));
    }
    let columns = columns(create, table)?;
    let (distinct, dependencies) = kinds(&create.kinds)?;
    let statistics = ExtendedStatistics {
        name: name.clone(),
        id: catalog.next_oid,
        columns,
        distinct,
        dependencies,
    };
    let mut after = table.without_segments();
    after.extended_statistics.push(statistics);
    plan.changes.push(alter::change(table, after));
    Ok(plan)
}

fn table_of<'a>(
    create: &CreateStatistics,
    catalog: &'a Catalog,
    search_path: &[String],
) -> Result<&'a TableDef> {
    if let Some(Found::View(view)) = find_relation(catalog, search_path, &create.table) {
        let message = format!("cannot define statistics for relation \"{}\"", view.name);
        return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
            .detail("This operation is not supported for views."));
    }
    resolve_table(catalog, search_path, &create.table).map(AsRef::as_ref)
}

/// Their ids, ascending.
fn columns(create: &CreateStatistics, table: &TableDef) -> Result<Vec<u32>> {
    let mut ids = Vec::with_capacity(create.columns.len());
    for name in &create.columns {
        let id = column_id(name, &table.columns, "does not exist")?;
        let sql_type = table.column_by_id(id).map(|column| column.sql_type);
        if sql_type == Some(SqlType::Json) {
            let message = format!(
                "column \"{}\" cannot be used in statistics because its type json has no default \
                 btree operator class",
                name.name
            );
            return Err(ErrorReport::unsupported(message));
        }
        ids.push(id);
    }
    let written = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if written < 2 {
        let message = "extended statistics require at least 2 columns";
        return Err(ErrorReport::new(SqlState::INVALID_OBJECT_DEFINITION, message));
    }
    if written > MAX_COLUMNS {
        let message = format!("cannot have more than {MAX_COLUMNS} columns in statistics");
        return Err(ErrorReport::new(SqlState::TOO_MANY_COLUMNS, message));
    }
    if ids.len() < written {
        let message = "duplicate column name in statistics definition";
        return Err(ErrorReport::new(SqlState::DUPLICATE_COLUMN, message));
    }
    Ok(ids)
}

/// `ndistinct` and `dependencies`.
fn kinds(kinds: &[Identifier]) -> Result<(bool, bool)> {
    let (mut distinct, mut dependencies) = (kinds.is_empty(), kinds.is_empty());
    for kind in kinds {
        match kind.name.as_str() {
            "ndistinct" => distinct = true,
            "dependencies" => dependencies = true,
            "mcv" => {
                let message = "common values of several columns are not supported yet";
                return Err(ErrorReport::unsupported(message)
                    .hint("Ask for ndistinct and dependencies.")
                    .position(kind.position));
            }
            other => {
                let message = format!("unrecognized statistics kind \"{other}\"");
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
            }
        }
    }
    Ok((distinct, dependencies))
}

pub(super) fn drop_statistics(
    drop: &DropStatistics,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("DROP STATISTICS");
    let mut changed: Vec<(&TableDef, TableDef)> = Vec::new();
    for name in &drop.names {
        let Some((table, statistics)) = find_statistics(catalog, search_path, name) else {
            let message = format!("statistics object \"{}\" does not exist", name.name);
            if !drop.if_exists {
                return Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message));
            }
            let message = format!("{message}, skipping");
            plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            continue;
        };
        let position = changed.iter().position(|(before, _)| before.id == table.id);
        let position = position.unwrap_or_else(|| {
            changed.push((table, table.without_segments()));
            changed.len() - 1
        });
        changed[position].1.extended_statistics.retain(|known| known.id != statistics.id);
    }
    let changes = changed.into_iter().map(|(before, after)| alter::change(before, after));
    plan.changes = changes.collect();
    Ok(plan)
}

/// The statistics object of this name, and its table.
pub(crate) fn find_statistics<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    name: &QualifiedName,
) -> Option<(&'a TableDef, &'a ExtendedStatistics)> {
    let mut schemas = schemas_of(search_path, name.schema.as_ref()).iter();
    schemas.find_map(|schema| in_schema(catalog, schema, &name.name))
}

fn in_schema<'a>(
    catalog: &'a Catalog,
    schema: &str,
    name: &str,
) -> Option<(&'a TableDef, &'a ExtendedStatistics)> {
    let mut tables = catalog.tables.values().filter(|table| table.schema_name == schema);
    tables.find_map(|table| {
        let found = table.extended_statistics.iter().find(|known| known.name == name)?;
        Some((table.as_ref(), found))
    })
}
