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
        "table_catalog, table_schema, table_name, table_type, is_insertable_into, is_typed",
    );
    let actor = context.actor();
    for relation in context.relations().iter() {
        let is_temporary = is_temporary_schema(&relation.schema);
        if is_temporary && !context.session.search_path.contains(&relation.schema) {
            continue;
        }
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
        rows.push(row![database, &relation.schema, &relation.name, table_type, insertable, "NO"]);
    }
    rows
}
