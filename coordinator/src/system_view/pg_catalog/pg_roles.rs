//! Roles: `pg_authid`, and the views `pg_roles`, `pg_user` and `pg_shadow`.

use chrono::{DateTime, Utc};
use kestrel_planner::catalog::RoleDef;

use super::{
    super::{
        SystemViewContext,
        rows::{Rows, Value, row},
    },
    pg_acl::configuration,
};

/// As `pg_roles` and `pg_user` show a password.
const HIDDEN: &str = "********";

/// Only superusers read it.
pub(in super::super) fn pg_authid(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(ROLE_COLUMNS);
    for role in context.catalog.roles.values() {
        rows.push(role_row(role, verifier(role)));
    }
    rows
}

pub(in super::super) fn pg_roles(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(VIEW_COLUMNS);
    for role in context.catalog.roles.values() {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = role_row(role, HIDDEN.into());
        rows.push([a, b, c, d, e, f, g, h, i, j, k, l, configuration_of(context, role)]);
    }
    rows
}

pub(in super::super) fn pg_user(context: &SystemViewContext) -> Rows {
    users(context, |_| HIDDEN.into())
}

pub(in super::super) fn pg_shadow(context: &SystemViewContext) -> Rows {
    users(context, verifier)
}

const VIEW_COLUMNS: &str = "oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, \
                            rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword, \
                            rolvaliduntil, rolconfig";

const ROLE_COLUMNS: &str = "oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, \
                            rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword, \
                            rolvaliduntil";

/// `rolconfig`, which is a column of the view alone.
fn configuration_of(context: &SystemViewContext, role: &RoleDef) -> Value {
    let settings = context.catalog.role_settings.get(&role.id).map(|s| &s.everywhere);
    settings.filter(|list| !list.is_empty()).map_or(Value::Null, configuration)
}

fn role_row(role: &RoleDef, password: Value) -> [Value; 12] {
    row![
        role.id,
        &role.name,
        role.superuser,
        role.inherit,
        role.create_role,
        role.create_db,
        role.login,
        role.replication,
        role.bypass_rls,
        role.connection_limit,
        password,
        valid_until(role),
    ]
}

/// The roles that may log in.
fn users(context: &SystemViewContext, password: impl Fn(&RoleDef) -> Value) -> Rows {
    let mut rows = Rows::new(
        "usename, usesysid, usecreatedb, usesuper, userepl, usebypassrls, passwd, valuntil, \
         useconfig",
    );
    for role in context.catalog.roles.values().filter(|role| role.login) {
        rows.push(row![
            &role.name,
            role.id,
            role.create_db,
            role.superuser,
            role.replication,
            role.bypass_rls,
            password(role),
            valid_until(role),
            configuration_of(context, role),
        ]);
    }
    rows
}

fn verifier(role: &RoleDef) -> Value {
    role.verifier.as_ref().map(|verifier| verifier.as_str().to_string()).into()
}

fn valid_until(role: &RoleDef) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(role.valid_until_us?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kestrel_planner::catalog::{Catalog, CatalogChange, Verifier};

    use super::*;
    use crate::system_view::{SessionFacts, system_view, tests::text};

    #[test]
    fn only_superusers_see_verifiers() {
        let ann = RoleDef {
            login: true,
            verifier: Some(Verifier::new("SCRAM-SHA-256$…")),
            valid_until_us: Some(0),
            ..RoleDef::new(16384, "ann")
        };
        let staff = CatalogChange::CreateRole(RoleDef::new(16385, "staff"));
        let catalog = Catalog::empty().apply(&[CatalogChange::CreateRole(ann), staff]).unwrap();
        let catalog = Arc::new(catalog);
        let shown = |user: &str, view: &str, column: &str| -> Vec<String> {
            let session = SessionFacts { user: user.into(), ..SessionFacts::default() };
            let context = SystemViewContext::new(Arc::clone(&catalog), session, Utc::now());
            let batch = match system_view("pg_catalog", view).unwrap().batch(&context) {
                Ok(batch) => batch,
                Err(error) => return vec![error.message],
            };
            let index = batch.schema().index_of(column).unwrap();
            let column = batch.project(&[index]).unwrap();
            let cells = text(&column).into_iter().flatten();
            cells.filter(|cell| !cell.starts_with("pg_")).collect()
        };
        let null = "~";
        assert_eq!(shown("kestrel", "pg_roles", "rolname"), ["ann", "kestrel", "staff"]);
        assert_eq!(shown("kestrel", "pg_user", "usename"), ["ann", "kestrel"]);
        let seen = shown("kestrel", "pg_authid", "rolpassword");
        assert_eq!(
            seen.iter().filter(|cell| *cell != null).collect::<Vec<_>>(),
            ["SCRAM-SHA-256$…"]
        );
        let denied = "permission denied for table pg_authid";
        assert_eq!(shown("ann", "pg_authid", "rolpassword"), [denied]);
        assert_eq!(shown("kestrel", "pg_shadow", "passwd"), ["SCRAM-SHA-256$…", null]);
        let denied = "permission denied for view pg_shadow";
        assert_eq!(shown("ann", "pg_shadow", "passwd"), [denied]);
        assert_eq!(shown("kestrel", "pg_roles", "rolpassword"), [HIDDEN; 15]);
    }
}
