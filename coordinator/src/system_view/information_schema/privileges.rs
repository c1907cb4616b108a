//! `information_schema.table_privileges` and `role_table_grants`: the one role may do everything.

use super::super::{
    OWNER, SystemViewContext,
    rows::{Rows, row},
};

const PRIVILEGES: [&str; 7] =
    ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "grantor, grantee, table_catalog, table_schema, table_name, privilege_type, \
         is_grantable, with_hierarchy",
    );
    for table in context.catalog.tables.values() {
        for privilege in PRIVILEGES {
            rows.push(row![
                OWNER,
                OWNER,
                &context.session.database,
                &table.schema_name,
                &table.name,
                privilege,
                "YES",
                if privilege == "SELECT" { "YES" } else { "NO" },
            ]);
        }
    }
    rows
}
