//! `pg_tables` and `pg_views`.

use super::super::{
    SystemViewContext, name,
    privileges::{owner, role_name},
    relation::{Relation, RelationKind, indexes},
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
        let owner = owner_of(context, relation);
        rows.push(row![schema, name, owner, has_indexes, false, false, false]);
    }
    rows
}

fn owner_of(context: &SystemViewContext, relation: &Relation) -> String {
    role_name(&context.catalog, owner(&context.catalog, relation).cast_unsigned())
}

/// Views. The system's are computed: no SELECT defines them.
pub(in super::super) fn pg_views(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("schemaname, viewname, viewowner, definition");
    for relation in context.relations().iter() {
        let definition = match &relation.kind {
            RelationKind::View(view) => Some(name::view_definition(context, view)),
            RelationKind::System(definition) if definition.kind == "v" => None,
            _ => continue,
        };
        let owner = owner_of(context, relation);
        rows.push(row![&relation.schema, &relation.name, owner, definition]);
    }
    rows
}
