//! `information_schema.views`

use super::super::{
    SystemViewContext, name,
    privileges::{owns, shows},
    relation::RelationKind,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
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
        if !shows(&actor, relation) {
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
