//! `information_schema.schemata`, and what the standard says about the one catalog.

use kestrel_planner::catalog::{INITIAL_ROLE_ID, ObjectKind};

use super::super::{
    SystemViewContext,
    privileges::role_name,
    relation::schemas,
    rows::{Rows, row},
};

pub(in super::super) fn schemata(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("catalog_name, schema_name, schema_owner");
    let (catalog, actor) = (&context.catalog, context.actor());
    for (oid, schema) in schemas(catalog) {
        let oid = oid.cast_unsigned();
        let (owner, held) = match catalog.schemas.contains_key(schema) {
            true => (catalog.owner(oid), !actor.privileges(oid, ObjectKind::Schema).is_empty()),
            false => (INITIAL_ROLE_ID, true),
        };
        if held || actor.acts_as(owner) {
            let owner = role_name(catalog, owner);
            rows.push(row![&context.session.database, schema.to_string(), owner]);
        }
    }
    rows
}

pub(in super::super) fn information_schema_catalog_name(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("catalog_name");
    rows.push(row![&context.session.database]);
    rows
}

pub(in super::super) fn character_sets(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "character_set_name, character_repertoire, form_of_use, default_collate_catalog, \
         default_collate_schema, default_collate_name",
    );
    let database = &context.session.database;
    rows.push(row!["UTF8", "UCS", "UTF8", database, "pg_catalog", "default"]);
    rows
}
