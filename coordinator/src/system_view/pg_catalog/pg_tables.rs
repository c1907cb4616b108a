//! `pg_tables` and `pg_views`.

use super::super::{
    OWNER, SystemViewContext, name,
    relation::{RelationKind, indexes},
    rows::{Rows, row},
};

pub(in super::super) fn pg_tables(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schemaname, tablename, tableowner, hasindexes, hasrules, hastriggers, rowsecurity",
    );
    for relation in context.relations().iter() {
        let has_indexes = match &relation.kind {
            RelationKind::Table(table) => indexes(table).next().is_some(),
            RelationKind::System(definition) if definition.kind == "r" => false,
            RelationKind::System(_)
            | RelationKind::View(_)
            | RelationKind::Index(..)
            | RelationKind::Sequence => continue,
        };
        let (schema, name) = (&relation.schema, &relation.name);
        rows.push(row![schema, name, OWNER, has_indexes, false, false, false]);
    }
    rows
}

/// Views. The system's are computed: no SELECT defines them.
pub(in super::super) fn pg_views(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("schemaname, viewname, viewowner, definition");
    for relation in context.relations().iter() {
        let definition = match &relation.kind {
            RelationKind::View(view) => Some(name::view_definition(view)),
            RelationKind::System(definition) if definition.kind == "v" => None,
            _ => continue,
        };
        rows.push(row![&relation.schema, &relation.name, OWNER, definition]);
    }
    rows
}
