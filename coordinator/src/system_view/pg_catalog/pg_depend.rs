//! `pg_depend`: which column owns which sequence; one of an identity column is a part of it.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

/// `pg_class`, as a class of objects.
const RELATION: i64 = 1259;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("classid, objid, refclassid, refobjid, refobjsubid, deptype");
    for sequence in context.catalog.sequences.values() {
        if let Some((table, column)) = sequence.owned_by {
            let owner = context.catalog.table_by_id(table).and_then(|t| t.column_by_id(column));
            let is_identity = owner.is_some_and(|column| column.identity.is_some());
            let kind = if is_identity { "i" } else { "a" };
            rows.push(row![RELATION, sequence.id, RELATION, table, column, kind]);
        }
    }
    rows
}
