//! The session, the server, its settings.

use kestrel_planner::catalog::{PG_TEMP, is_temporary_schema, own_temporary_schema};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{SystemViewContext, pg_catalog::pg_database::UTF8, relation::schema_oid, rows::Value},
    BIGINT, BOOLEAN, Function, INTEGER, NAME, OID, Returns, TEXT, TIMESTAMPTZ, int, strict, string,
};

pub(super) const FUNCTIONS: &[Function] = &[
    strict("current_catalog", (0, 0), NAME, |c, _| Ok((&c.session.database).into())),
    strict("current_database", (0, 0), NAME, |c, _| Ok((&c.session.database).into())),
    strict("current_role", (0, 0), NAME, |c, _| Ok((&c.session.user).into())),
    strict("current_schema", (0, 0), NAME, |c, _| Ok(schemas(c, false).into_iter().next().into())),
    strict("current_schemas", (1, 1), Returns::Texts, |c, arguments| {
        Ok(schemas(c, arguments[0] == Value::Bool(true)).into())
    }),
    strict("current_setting", (1, 2), TEXT, current_setting),
    strict("current_user", (0, 0), NAME, |c, _| Ok((&c.session.user).into())),
    strict("getdatabaseencoding", (0, 0), NAME, |_, _| Ok("UTF8".into())),
    strict("inet_client_addr", (0, 0), TEXT, |c, _| Ok(c.session.client_address.clone().into())),
    strict("inet_client_port", (0, 0), INTEGER, |c, _| Ok(c.session.client_port.into())),
    strict("inet_server_addr", (0, 0), TEXT, |_, _| Ok(Value::Null)),
    strict("inet_server_port", (0, 0), INTEGER, |_, _| Ok(Value::Null)),
    strict("pg_backend_pid", (0, 0), INTEGER, |c, _| Ok(c.session.backend_pid.into())),
    // Who waits for a lock is not shown yet.
    strict("pg_blocking_pids", (1, 1), Returns::Ints, |_, _| Ok(Value::Ints(vec![]))),
    strict("pg_char_to_encoding", (1, 1), INTEGER, |_, arguments| {
        let name = string(arguments, 0).unwrap_or_default().replace('-', "");
        Ok(if name.eq_ignore_ascii_case("utf8") { UTF8.into() } else { (-1).into() })
    }),
    strict("pg_client_encoding", (0, 0), NAME, |c, _| {
        let found = c.settings.iter().find(|setting| setting.name == "client_encoding");
        Ok(found.map_or("UTF8".into(), |setting| (&setting.value).into()))
    }),
    strict("pg_conf_load_time", (0, 0), TIMESTAMPTZ, |c, _| Ok(c.session.server_start.into())),
    strict("pg_current_xact_id", (0, 0), BIGINT, |c, _| Ok(transaction_id(c))),
    strict("pg_current_xact_id_if_assigned", (0, 0), BIGINT, |c, _| {
        Ok(c.session.transaction_id.into())
    }),
    strict("pg_encoding_to_char", (1, 1), NAME, |_, arguments| {
        Ok(if int(arguments, 0) == Some(UTF8) { "UTF8".into() } else { "".into() })
    }),
    strict("pg_is_in_recovery", (0, 0), BOOLEAN, |_, _| Ok(false.into())),
    strict("pg_jit_available", (0, 0), BOOLEAN, |_, _| Ok(false.into())),
    strict("pg_my_temp_schema", (0, 0), OID, |c, _| {
        let own = own_temporary_schema(&c.session.search_path);
        Ok(own.and_then(|name| schema_oid(&c.catalog, name)).unwrap_or(0).into())
    }),
    strict("pg_postmaster_start_time", (0, 0), TIMESTAMPTZ, |c, _| {
        Ok(c.session.server_start.into())
    }),
    strict("pg_tablespace_location", (1, 1), TEXT, |_, _| Ok("".into())),
    strict("session_user", (0, 0), NAME, |c, _| Ok((&c.session.session_user).into())),
    strict("txid_current", (0, 0), BIGINT, |c, _| Ok(transaction_id(c))),
    strict("txid_current_if_assigned", (0, 0), BIGINT, |c, _| Ok(c.session.transaction_id.into())),
    strict("user", (0, 0), NAME, |c, _| Ok((&c.session.user).into())),
    strict("version", (0, 0), TEXT, |c, _| {
        let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        Ok(format!("PostgreSQL {} on {platform}", c.session.server_version).into())
    }),
];

/// The schemas of the search path that exist. The session's temporary one and `pg_catalog` are on it
/// implicitly, unless it names them.
fn schemas(context: &SystemViewContext, with_implicit: bool) -> Vec<String> {
    let path = &context.session.search_path;
    let exists = |name: &&String| schema_oid(&context.catalog, name).is_some();
    let names_temporary = path.iter().any(|s| s == PG_TEMP);
    let is_implicit = |name: &&String| !names_temporary && is_temporary_schema(name);
    let temporary = path.iter().filter(|name| is_implicit(name) && with_implicit).filter(exists);
    let implicit = with_implicit && !path.iter().any(|s| s == "pg_catalog");
    let catalog = implicit.then(|| "pg_catalog".to_string());
    let named = path.iter().filter(|name| !is_implicit(name)).filter(exists).cloned();
    temporary.cloned().chain(catalog).chain(named).collect()
}

fn current_setting(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let name = string(arguments, 0).unwrap_or_default();
    let found = context.settings.iter().find(|s| s.name.eq_ignore_ascii_case(name));
    match found {
        Some(setting) => Ok((&setting.value).into()),
        None if arguments.get(1) == Some(&Value::Bool(true)) => Ok(Value::Null),
        None => Err(ErrorReport::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}

/// A statement that writes nothing has no number of its own; what it reads has one.
fn transaction_id(context: &SystemViewContext) -> Value {
    context.session.transaction_id.unwrap_or(context.catalog.version).into()
}
