//! `pg_depend`: which column owns which sequence.

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
            rows.push(row![RELATION, sequence.id, RELATION, table, column, "a"]);
        }
    }
    rows
}
