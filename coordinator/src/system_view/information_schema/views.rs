//! `information_schema.views`, and what they read: `view_table_usage` and `view_column_usage`.

use kestrel_planner::catalog::ViewDef;

use super::super::{
    SystemViewContext, name,
    privileges::{owns, shows},
    relation::{Relation, RelationKind},
    rows::{Rows, row},
};

pub(in super::super) fn views(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "table_catalog, table_schema, table_name, view_definition, check_option, is_updatable, \
         is_insertable_into, is_trigger_updatable, is_trigger_deletable, \
         is_trigger_insertable_into",
    );
    let actor = context.actor();
    for relation in context.relations().iter() {
        let definition = match &relation.kind {
            RelationKind::View(view) => Some(name::view_definition(context, view)),
            RelationKind::System(definition) if definition.kind == "v" => None,
            _ => continue,
        };
        if !shows(&actor, relation) || context.is_of_other_session(&relation.schema) {
            continue;
        }
        // What a view is made of, only its owner is shown.
        let definition = definition.filter(|_| owns(&actor, relation));
        let (schema, name) = (&relation.schema, &relation.name);
        let database = &context.session.database;
        rows.push(row![database, schema, name, definition, "NONE", "NO", "NO", "NO", "NO", "NO",]);
    }
    rows
}

pub(in super::super) fn view_table_usage(context: &SystemViewContext) -> Rows {
    let mut rows =
        Rows::new("view_catalog, view_schema, view_name, table_catalog, table_schema, table_name");
    let database = &context.session.database;
    for (view, read) in reads(context) {
        let (schema, name) = (&view.schema_name, &view.name);
        rows.push(row![database, schema, name, database, &read.schema, &read.name]);
    }
    rows
}

pub(in super::super) fn view_column_usage(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "view_catalog, view_schema, view_name, table_catalog, table_schema, table_name, \
         column_name",
    );
    let database = &context.session.database;
    for (view, read) in reads(context) {
        let known = context.catalog.columns_by_id(read.oid.cast_unsigned()).unwrap_or_default();
        for column in known.iter().filter(|c| view.uses_column(read.oid.cast_unsigned(), c.id)) {
            rows.push(row![
                database,
                &view.schema_name,
                &view.name,
                database,
                &read.schema,
                &read.name,
                &column.name,
            ]);
        }
    }
    rows
}

/// Each view with each table or view that it reads and that the role owns.
fn reads(context: &SystemViewContext) -> Vec<(&ViewDef, &Relation)> {
    let actor = context.actor();
    let mut found = Vec::new();
    for view in context.catalog.views.values() {
        let mut ids: Vec<u64> = view.relations.iter().map(|relation| relation.named.id).collect();
        ids.sort_unstable();
        // The same table under two names is one.
        ids.dedup();
        let read = ids.into_iter().filter_map(|id| context.relations().get(id.cast_signed()));
        found.extend(read.filter(|read| owns(&actor, read)).map(|read| (view.as_ref(), read)));
    }
    found
}
