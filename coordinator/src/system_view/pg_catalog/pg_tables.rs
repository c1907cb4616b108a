//! `pg_tables` and `pg_views`.

use super::super::{
    OWNER, SystemViewContext,
    relation::{RelationKind, keys},
    rows::{Rows, row},
};

pub(in super::super) fn pg_tables(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schemaname, tablename, tableowner, hasindexes, hasrules, hastriggers, rowsecurity",
    );
    for relation in context.relations().iter() {
        let has_indexes = match &relation.kind {
            RelationKind::Table(table) => keys(table).next().is_some(),
            RelationKind::System(definition) if definition.kind == "r" => false,
            RelationKind::System(_) | RelationKind::Index(..) | RelationKind::Sequence => {
                continue;
            }
        };
        let (schema, name) = (&relation.schema, &relation.name);
        rows.push(row![schema, name, OWNER, has_indexes, false, false, false]);
    }
    rows
}

/// The system views: they are computed, so no SELECT defines them.
pub(in super::super) fn pg_views(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("schemaname, viewname, viewowner");
    for relation in context.relations().iter() {
        if matches!(&relation.kind, RelationKind::System(definition) if definition.kind == "v") {
            rows.push(row![&relation.schema, &relation.name, OWNER]);
        }
    }
    rows
}
