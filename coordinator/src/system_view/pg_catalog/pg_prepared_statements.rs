//! `pg_prepared_statements`: the session's prepared statements, but for the unnamed one.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
    types,
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "name, statement, prepare_time, parameter_types, from_sql, generic_plans, custom_plans",
    );
    for prepared in context.prepared_statements.iter() {
        let parameters = prepared.parameter_types.iter();
        let parameters = parameters.map(|t| types::format(i64::from(t.oid()), Some(-1)));
        rows.push(row![
            &prepared.name,
            &prepared.statement,
            prepared.prepared_at,
            parameters.collect::<Vec<_>>(),
            prepared.from_sql,
            // Every execution is planned for its own values; nobody counts them.
            0,
            0,
        ]);
    }
    rows
}
