//! DROP SCHEMA

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, alter,
    dependents::{self, Dependent, Object},
    drop_sequence::counting_beside,
};
use crate::{
    catalog::{Catalog, CatalogChange, is_system_schema},
    parse::DropSchema,
};

pub(super) fn drop_schema(
    drop: &DropSchema,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
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
    let names = (catalog, search_path);
    let mut dependents = held(&schemas, names);
    let objects = |of: &[Dependent]| of.iter().map(|d| d.object.clone()).collect::<Vec<Object>>();
    dependents.extend(dependents::views(&objects(&dependents), catalog, search_path));
    let relations = objects(&dependents);
    let (defaults, changed) = counting_beside(&relations, names);
    dependents.extend(defaults);
    let dropped = schemas.iter().map(|schema| of_schema(catalog, schema));
    let dropped: Vec<Object> = dropped.collect();
    dependents::settle(&dropped, &dependents, drop.cascade, &mut plan.notices)?;
    plan.changes.extend(changed.into_values().map(|(old, new)| alter::change(&old, new)));
    // Views first: what reads a table goes before the table.
    let (views, others): (Vec<_>, Vec<_>) =
        relations.iter().partition(|object| catalog.view_by_id(object.id).is_some());
    plan.changes.extend(views.into_iter().chain(others).map(|object| object.drop(catalog)));
    plan.changes.extend(schemas.into_iter().map(|s| CatalogChange::DropSchema(s.into())));
    Ok(plan)
}

fn of_schema(catalog: &Catalog, name: &str) -> Object {
    let id = catalog.schemas.get(name).map_or(0, |schema| schema.id);
    Object { id, description: format!("schema {name}") }
}

/// The tables, views and sequences of the schemas, older ones first. Sequences that a table owns go
/// with it.
fn held(schemas: &[&str], (catalog, search_path): (&Catalog, &[String])) -> Vec<Dependent> {
    let tables = catalog.tables.values().map(|t| (t.id, &t.schema_name));
    let views = catalog.views.values().map(|v| (v.id, &v.schema_name));
    let sequences = catalog.sequences.values().filter(|s| s.owned_by.is_none());
    let sequences = sequences.map(|s| (s.id, &s.schema_name));
    let all = tables.chain(views).chain(sequences);
    let mut held: Vec<_> = all.filter(|(_, schema)| schemas.contains(&schema.as_str())).collect();
    held.sort_unstable();
    let dependents = held.into_iter().filter_map(|(id, schema)| {
        let object = Object::relation(catalog, search_path, id)?;
        Some(Dependent { object, on: of_schema(catalog, schema) })
    });
    dependents.collect()
}
