//! `information_schema.tables`

use kestrel_planner::catalog::is_temporary_schema;

use super::super::{
    SystemViewContext,
    privileges::shows,
    relation::RelationKind,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "table_catalog, table_schema, table_name, table_type, is_insertable_into, is_typed, \
         commit_action",
    );
    let actor = context.actor();
    for relation in context.relations().iter() {
        if context.is_of_other_session(&relation.schema) {
            continue;
        }
        let is_temporary = is_temporary_schema(&relation.schema);
        let (table_type, insertable) = match &relation.kind {
            RelationKind::Table(_) | RelationKind::View(_) if is_temporary => {
                let is_table = matches!(relation.kind, RelationKind::Table(_));
                ("LOCAL TEMPORARY", if is_table { "YES" } else { "NO" })
            }
            RelationKind::Table(_) => ("BASE TABLE", "YES"),
            RelationKind::System(definition) if definition.kind == "r" => ("BASE TABLE", "NO"),
            RelationKind::View(_) | RelationKind::System(_) => ("VIEW", "NO"),
            RelationKind::Index(..) | RelationKind::Sequence => continue,
        };
        if !shows(&actor, relation) {
            continue;
        }
        let database = &context.session.database;
        let (schema, name) = (&relation.schema, &relation.name);
        // As PostgreSQL says of all of them, whatever ON COMMIT said.
        let on_commit = is_temporary.then_some("PRESERVE");
        rows.push(row![database, schema, name, table_type, insertable, "NO", on_commit]);
    }
    rows
}
