//! `information_schema.schemata`, and what the standard says about the one catalog.

use super::super::{
    OWNER, SystemViewContext,
    relation::schemas,
    rows::{Rows, row},
};

pub(in super::super) fn schemata(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("catalog_name, schema_name, schema_owner");
    for (_, schema) in schemas(&context.catalog) {
        rows.push(row![&context.session.database, schema.to_string(), OWNER]);
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

pub(in super::super) fn enabled_roles(_: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("role_name");
    rows.push(row![OWNER]);
    rows
}
