//! DROP SCHEMA

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan,
    dependents::{self, Dependent, Object},
};
use crate::{
    catalog::{Catalog, CatalogChange, is_system_schema},
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
    let held = held(&schemas, catalog);
    let mut relations: Vec<Object> = held.iter().map(|held| held.object.clone()).collect();
    let mut dependents = held;
    dependents.extend(dependents::views(&relations, catalog, &[]));
    let dropped = schemas.iter().map(|schema| of_schema(catalog, schema));
    let dropped: Vec<Object> = dropped.collect();
    dependents::settle(&dropped, &dependents, drop.cascade, &mut plan.notices)?;
    relations = dependents.into_iter().map(|dependent| dependent.object).collect();
    // Views first: what reads a table goes before the table.
    let (views, tables): (Vec<_>, Vec<_>) =
        relations.iter().partition(|object| catalog.view_by_id(object.id).is_some());
    plan.changes.extend(views.into_iter().chain(tables).map(|object| object.drop(catalog)));
    plan.changes.extend(schemas.into_iter().map(|s| CatalogChange::DropSchema(s.into())));
    Ok(plan)
}

fn of_schema(catalog: &Catalog, name: &str) -> Object {
    let id = catalog.schemas.get(name).map_or(0, |schema| schema.id);
    Object { id, description: format!("schema {name}") }
}

/// The tables, views and sequences of the schemas. Sequences that a table owns go with it.
fn held(schemas: &[&str], catalog: &Catalog) -> Vec<Dependent> {
    let tables = catalog.tables.values().map(|t| (t.id, &t.schema_name));
    let views = catalog.views.values().map(|v| (v.id, &v.schema_name));
    let sequences = catalog.sequences.values().filter(|s| s.owned_by.is_none());
    let sequences = sequences.map(|s| (s.id, &s.schema_name));
    let held = tables
        .chain(views)
        .chain(sequences)
        .filter(|(_, schema)| schemas.contains(&schema.as_str()));
    let dependents = held.filter_map(|(id, schema)| {
        let object = Object::relation(catalog, &[], id)?;
        Some(Dependent { object, on: of_schema(catalog, schema) })
    });
    dependents.collect()
}
