//! `pg_depend`: which column owns which sequence (one of an identity column is a part of it), and
//! which columns a view needs.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

/// `pg_class`, as a class of objects.
const RELATION: i64 = 1259;
/// `pg_rewrite`, as a class of objects.
const RULE: i64 = 2618;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("classid, objid, refclassid, refobjid, refobjsubid, deptype");
    for sequence in context.catalog.sequences.values() {
        if let Some((table, column)) = sequence.owned_by {
            let kind = if context.identity_column(sequence).is_some() { "i" } else { "a" };
            rows.push(row![RELATION, sequence.id, RELATION, table, column, kind]);
        }
    }
    for view in context.catalog.views.values() {
        // The rule is a part of the view, and it is the rule that needs what the query names.
        rows.push(row![RULE, view.id, RELATION, view.id, 0, "i"]);
        rows.push(row![RULE, view.id, RELATION, view.id, 0, "n"]);
        for relation in &view.relations {
            for column in relation.columns.iter().filter(|column| column.is_used) {
                rows.push(row![RULE, view.id, RELATION, relation.named.id, column.id, "n"]);
            }
        }
    }
    rows
}
