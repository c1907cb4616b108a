//! DROP SCHEMA

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::DdlPlan;
use crate::{
    catalog::{Catalog, CatalogChange, TableDef, is_system_schema},
    parse::DropSchema,
};

pub(super) fn drop_schema(drop: &DropSchema, catalog: &Catalog) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("DROP SCHEMA");
    let mut schemas: Vec<&str> = Vec::new();
    for name in drop.names.iter().map(|n| n.name.as_str()) {
        if is_system_schema(name) {
            let message =
                format!("cannot drop schema {name} because it is required by the database system");
            return Err(ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        let message = format!("schema \"{name}\" does not exist");
        if !catalog.schemas.contains_key(name) {
            if !drop.if_exists {
                return Err(ErrorReport::new(SqlState::INVALID_SCHEMA_NAME, message));
            }
            let message = format!("{message}, skipping");
            plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
        } else if !schemas.contains(&name) {
            schemas.push(name);
        }
    }
    let tables: Vec<&TableDef> = catalog
        .tables
        .values()
        .filter(|t| schemas.contains(&t.schema_name.as_str()))
        .map(AsRef::as_ref)
        .collect();
    match tables.as_slice() {
        [] => {}
        tables if !drop.cascade => return Err(not_empty(&schemas, tables)),
        [table] => {
            let message = format!("drop cascades to table {}", full_name(table));
            plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
        }
        tables => {
            let message = format!("drop cascades to {} other objects", tables.len());
            let lines = tables.iter().map(|t| format!("drop cascades to table {}", full_name(t)));
            let detail = lines.collect::<Vec<_>>().join("\n");
            let notice = ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message);
            plan.notices.push(notice.detail(detail));
        }
    }
    plan.changes.extend(tables.iter().map(|t| CatalogChange::DropTable(t.id)));
    plan.changes.extend(schemas.into_iter().map(|s| CatalogChange::DropSchema(s.into())));
    Ok(plan)
}

fn not_empty(schemas: &[&str], tables: &[&TableDef]) -> ErrorReport {
    let message = match schemas {
        [schema] => format!("cannot drop schema {schema} because other objects depend on it"),
        _ => "cannot drop desired object(s) because other objects depend on them".into(),
    };
    let lines = tables
        .iter()
        .map(|t| format!("table {} depends on schema {}", full_name(t), t.schema_name));
    ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .detail(lines.collect::<Vec<_>>().join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

fn full_name(table: &TableDef) -> String {
    format!("{}.{}", table.schema_name, table.name)
}
