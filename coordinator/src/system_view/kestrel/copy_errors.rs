//! `kestrel.copy_errors`: the rows that COPY has left out and kept (LOG ERRORS), of the tables that the
//! role may read.

use kestrel_planner::catalog::{ObjectKind, Privilege};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("cmdtime, schema_name, relname, filename, linenum, errmsg, rawdata");
    let actor = context.actor();
    for error in context.copy_errors.iter() {
        // Of a table that is gone nobody asks any more.
        let Some(table) = context.catalog.table_by_id(error.table_id) else { continue };
        if !actor.privileges(table.id, ObjectKind::Table).has(Privilege::Select) {
            continue;
        }
        rows.push(row![
            error.at,
            table.schema_name.clone(),
            table.name.clone(),
            error.file.clone(),
            error.line,
            error.message.clone(),
            error.text.clone(),
        ]);
    }
    rows
}
