//! `pg_rewrite`: what a view selects is a rule of its.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

/// What PostgreSQL calls the rule of every view.
const SELECT_RULE: &str = "_RETURN";

/// A rule has the OID of its view: `pg_depend` tells the two apart by their classes.
pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, rulename, ev_class, ev_type, ev_enabled, is_instead");
    for view in context.catalog.views.values() {
        rows.push(row![view.id, SELECT_RULE, view.id, "1", "O", true]);
    }
    rows
}
