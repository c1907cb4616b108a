//! `pg_cursors`: the session's cursors, and the portals that its client has named.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows =
        Rows::new("name, statement, is_holdable, is_binary, is_scrollable, creation_time");
    for cursor in &context.cursors {
        rows.push(row![
            &cursor.name,
            &cursor.statement,
            cursor.is_holdable,
            cursor.is_binary,
            cursor.is_scrollable,
            cursor.created_at,
        ]);
    }
    rows
}
