//! Privileges: there is one role, and it may do everything to everything that exists.

use kestrel_proto::Result;

use super::{
    super::{SystemViewContext, rows::Value},
    BOOLEAN, Function, Returns, TEXT, lenient, objects, strict,
};

pub(super) const FUNCTIONS: &[Function] = &[
    lenient("acldefault", (2, 2), Returns::Texts, |_, _| Ok(Value::Null)),
    strict("has_any_column_privilege", (2, 3), BOOLEAN, |c, a| on_relation(c, a, a.len() - 2)),
    strict("has_column_privilege", (3, 4), BOOLEAN, |c, a| on_relation(c, a, a.len() - 3)),
    strict("has_database_privilege", (2, 3), BOOLEAN, granted),
    strict("has_foreign_data_wrapper_privilege", (2, 3), BOOLEAN, granted),
    strict("has_function_privilege", (2, 3), BOOLEAN, granted),
    strict("has_language_privilege", (2, 3), BOOLEAN, granted),
    strict("has_schema_privilege", (2, 3), BOOLEAN, granted),
    strict("has_sequence_privilege", (2, 3), BOOLEAN, |c, a| on_relation(c, a, a.len() - 2)),
    strict("has_server_privilege", (2, 3), BOOLEAN, granted),
    strict("has_table_privilege", (2, 3), BOOLEAN, |c, a| on_relation(c, a, a.len() - 2)),
    strict("has_tablespace_privilege", (2, 3), BOOLEAN, granted),
    strict("has_type_privilege", (2, 3), BOOLEAN, granted),
    strict("pg_get_acl", (3, 3), TEXT, |_, _| Ok(Value::Null)),
    strict("pg_has_role", (2, 3), BOOLEAN, granted),
    strict("row_security_active", (1, 1), BOOLEAN, |_, _| Ok(false.into())),
];

fn granted(_: &SystemViewContext, _: &[Value]) -> Result<Value> {
    Ok(true.into())
}

/// NULL for an OID that is no relation's; 42P01 for such a name.
fn on_relation(context: &SystemViewContext, arguments: &[Value], index: usize) -> Result<Value> {
    Ok(objects::relation(context, arguments, index)?.map(|_| true).into())
}
