//! CREATE, ALTER and DROP ROLE, with PostgreSQL 15's rules and words (commands/user.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, Identity,
    access::{add_members, dependents_of_role, drop_members, find_role, missing_role},
    role_settings,
};
use crate::{
    catalog::{Catalog, CatalogChange, INITIAL_ROLE_ID, Membership, RoleDef, Verifier},
    functions::parse_timestamp_tz,
    parse::{Identifier, Password, RoleName, RoleOptions, RoleStatement},
};

/// From a setting's name and values to its own name and its value as it is kept.
pub type CheckedSetting<'a> = dyn Fn(&str, &[String]) -> Result<(String, String)> + 'a;

/// Who asks, and what the plan cannot do by itself.
pub struct RoleContext<'a> {
    /// The session's roles.
    pub identity: Identity,
    /// Where the session looks for names: others are told with their schema.
    pub search_path: &'a [String],
    /// The name of a setting, and the value that sessions are to set; an error for those that are none.
    pub checked_setting: &'a CheckedSetting<'a>,
    /// Whether who asks may take what was set away; 42501 if not.
    pub may_reset: &'a dyn Fn(&str) -> Result<()>,
    /// The value of a setting in this session.
    pub current_setting: &'a dyn Fn(&str) -> Result<String>,
    /// Makes a verifier of a password, and leaves one as it is. It needs random bytes, and a plan
    /// has none.
    pub verifier: &'a dyn Fn(&str) -> Result<Verifier>,
}

/// Plans a statement about roles against one snapshot.
///
/// Errors: 42501 for what the session's role may not do; 42704 and 42710 for what is not there and
/// what is; 42939 for reserved names; 55006 for the session's own role; 2BP01 for a role that owns
/// something or was granted something; 22007, 22008 and 22023 for wrong values.
pub fn plan_role(
    statement: &RoleStatement,
    catalog: &Catalog,
    context: &RoleContext<'_>,
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new(statement.tag());
    match statement {
        RoleStatement::Create { role, is_user, options } => {
            check_create(options, catalog, context)?;
            let name = new_name(role)?;
            if catalog.roles.contains_key(name) {
                return Err(exists(name));
            }
            let mut role = RoleDef { login: *is_user, ..RoleDef::new(catalog.next_oid, name) };
            apply(options, &mut role, context, &mut plan)?;
            let id = role.id;
            plan.changes.push(CatalogChange::CreateRole(role));
            join(id, name, options, catalog, context, &mut plan)?;
        }
        RoleStatement::Alter { role, options } => {
            let mut role = find(role, catalog, context)?.clone();
            check_alter(&role, options, catalog, context)?;
            apply(options, &mut role, context, &mut plan)?;
            plan.changes.push(CatalogChange::AlterRole(role));
        }
        RoleStatement::Rename { role, to } => {
            let role = find(role, catalog, context)?;
            let to = new_name(to)?;
            check_rename(role, to, catalog, context)?;
            let role = RoleDef { name: to.into(), ..role.clone() };
            plan.changes.push(CatalogChange::AlterRole(role));
        }
        RoleStatement::Members { role, add, members } => {
            let role = find(role, catalog, context)?.id;
            let (mut catalog, identity) = (catalog.clone(), context.identity);
            if *add {
                let membership = Membership { role, grantor: identity.current, admin: false };
                add_members(&mut catalog, &membership, members, identity, &mut plan)?;
            } else {
                drop_members(&mut catalog, role, members, None, identity, &mut plan)?;
            }
        }
        RoleStatement::Setting(setting) => {
            role_settings::alter(setting, catalog, context, &mut plan)?;
        }
        RoleStatement::Drop { if_exists, roles } => {
            drop_roles(*if_exists, roles, catalog, context, &mut plan)?;
        }
    }
    Ok(plan)
}

/// IN ROLE, ROLE and ADMIN of CREATE ROLE.
fn join(
    id: u64,
    name: &str,
    options: &RoleOptions,
    catalog: &Catalog,
    context: &RoleContext<'_>,
    plan: &mut DdlPlan,
) -> Result<()> {
    let RoleOptions { in_roles, members, admins, .. } = options;
    if in_roles.is_empty() && members.is_empty() && admins.is_empty() {
        return Ok(());
    }
    let mut catalog = catalog.apply(&plan.changes)?;
    let identity = context.identity;
    let grantor = identity.current;
    let itself = [RoleName::Named(Identifier { name: name.into(), position: 0 })];
    for role in in_roles {
        let role = find(role, &catalog, context)?.id;
        let membership = Membership { role, grantor, admin: false };
        add_members(&mut catalog, &membership, &itself, identity, plan)?;
    }
    for (members, admin) in [(admins, true), (members, false)] {
        let membership = Membership { role: id, grantor, admin };
        add_members(&mut catalog, &membership, members, identity, plan)?;
    }
    Ok(())
}

fn apply(
    options: &RoleOptions,
    role: &mut RoleDef,
    context: &RoleContext<'_>,
    plan: &mut DdlPlan,
) -> Result<()> {
    let flags = [
        (&mut role.superuser, options.superuser),
        (&mut role.inherit, options.inherit),
        (&mut role.create_role, options.create_role),
        (&mut role.create_db, options.create_db),
        (&mut role.login, options.login),
        (&mut role.replication, options.replication),
        (&mut role.bypass_rls, options.bypass_rls),
    ];
    for (flag, option) in flags {
        *flag = option.unwrap_or(*flag);
    }
    if let Some(limit) = options.connection_limit {
        if limit < -1 {
            let message = format!("invalid connection limit: {limit}");
            return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        role.connection_limit = limit;
    }
    match &options.password {
        None => {}
        Some(Password::Null) => role.verifier = None,
        Some(Password::Text { value, .. }) if value.expose().is_empty() => {
            let message = "empty string is not a valid password, clearing password";
            plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            role.verifier = None;
        }
        Some(Password::Text { value, .. }) => {
            role.verifier = Some((context.verifier)(value.expose())?);
        }
    }
    match options.valid_until.as_deref() {
        None => {}
        Some("infinity") => role.valid_until_us = None,
        Some(text) => role.valid_until_us = Some(parse_timestamp_tz(text)?),
    }
    Ok(())
}

fn check_create(options: &RoleOptions, catalog: &Catalog, context: &RoleContext<'_>) -> Result<()> {
    if is_superuser(catalog, context) {
        return Ok(());
    }
    for (option, what) in [
        (options.superuser, "superusers"),
        (options.replication, "replication users"),
        (options.bypass_rls, "bypassrls users"),
    ] {
        if option == Some(true) {
            return Err(denied(format!("must be superuser to create {what}")));
        }
    }
    if !may_create_roles(catalog, context) {
        return Err(denied("permission denied to create role"));
    }
    Ok(())
}

fn check_alter(
    role: &RoleDef,
    options: &RoleOptions,
    catalog: &Catalog,
    context: &RoleContext<'_>,
) -> Result<()> {
    if is_superuser(catalog, context) {
        return Ok(());
    }
    if role.superuser || options.superuser.is_some() {
        let message = "must be superuser to alter superuser roles or change superuser attribute";
        return Err(denied(message));
    }
    if role.replication || options.replication.is_some() {
        let message =
            "must be superuser to alter replication roles or change replication attribute";
        return Err(denied(message));
    }
    if options.bypass_rls.is_some() {
        return Err(denied("must be superuser to change bypassrls attribute"));
    }
    // Its own password is all that a role may change of itself.
    let others = RoleOptions { password: None, ..options.clone() };
    let own_password = role.id == context.identity.current && others == RoleOptions::default();
    let may = may_create_roles(catalog, context) || (own_password && options.password.is_some());
    if may { Ok(()) } else { Err(denied("permission denied")) }
}

fn check_rename(
    role: &RoleDef,
    to: &str,
    catalog: &Catalog,
    context: &RoleContext<'_>,
) -> Result<()> {
    if role.id == context.identity.session {
        return Err(ErrorReport::unsupported("session user cannot be renamed"));
    }
    if role.id == context.identity.current {
        return Err(ErrorReport::unsupported("current user cannot be renamed"));
    }
    if role.is_predefined() {
        let message = format!("role name \"{}\" is reserved", role.name);
        return Err(ErrorReport::new(SqlState::RESERVED_NAME, message)
            .detail("Role names starting with \"pg_\" are reserved."));
    }
    if role.id == INITIAL_ROLE_ID {
        // Clients that name no user are this one.
        return Err(ErrorReport::unsupported("the first role cannot be renamed"));
    }
    if catalog.roles.contains_key(to) {
        return Err(exists(to));
    }
    if role.superuser && !is_superuser(catalog, context) {
        return Err(denied("must be superuser to rename superusers"));
    }
    if !may_create_roles(catalog, context) {
        return Err(denied("permission denied to rename role"));
    }
    Ok(())
}

fn drop_roles(
    if_exists: bool,
    roles: &[RoleName],
    catalog: &Catalog,
    context: &RoleContext<'_>,
    plan: &mut DdlPlan,
) -> Result<()> {
    if !may_create_roles(catalog, context) {
        return Err(denied("permission denied to drop role"));
    }
    let mut dropped: Vec<u64> = Vec::new();
    for role in roles {
        let RoleName::Named(name) = role else {
            let message = "cannot use special role specifier in DROP ROLE";
            return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        let Some(role) = catalog.roles.get(&name.name) else {
            if !if_exists {
                return Err(missing_role(&name.name));
            }
            let message = format!("role \"{}\" does not exist, skipping", name.name);
            plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            continue;
        };
        for (own, what) in
            [(context.identity.current, "current"), (context.identity.session, "session")]
        {
            if role.id == own {
                let message = format!("{what} user cannot be dropped");
                return Err(ErrorReport::new(SqlState::OBJECT_IN_USE, message));
            }
        }
        if role.superuser && !is_superuser(catalog, context) {
            return Err(denied("must be superuser to drop superusers"));
        }
        if role.id == INITIAL_ROLE_ID || role.is_predefined() {
            let message = format!(
                "cannot drop role {} because it is required by the database system",
                role.name
            );
            return Err(ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        let dependents = dependents_of_role(role.id, catalog, context.search_path);
        if !dependents.is_empty() {
            let message = format!(
                "role \"{}\" cannot be dropped because some objects depend on it",
                role.name
            );
            return Err(ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(dependents.join("\n")));
        }
        if !dropped.contains(&role.id) {
            dropped.push(role.id);
        }
    }
    plan.changes.extend(dropped.into_iter().map(CatalogChange::DropRole));
    Ok(())
}

/// The name of a role that is to be.
fn new_name(role: &RoleName) -> Result<&str> {
    let Identifier { name, position } = match role {
        RoleName::Named(name) => name,
        RoleName::Own(word, position) => {
            let message = format!("{word} cannot be used as a role name here");
            return Err(ErrorReport::new(SqlState::RESERVED_NAME, message).position(*position));
        }
    };
    if name.starts_with("pg_") {
        let message = format!("role name \"{name}\" is reserved");
        return Err(ErrorReport::new(SqlState::RESERVED_NAME, message)
            .detail("Role names starting with \"pg_\" are reserved.")
            .position(*position));
    }
    Ok(name)
}

fn find<'a>(
    role: &RoleName,
    catalog: &'a Catalog,
    context: &RoleContext<'_>,
) -> Result<&'a RoleDef> {
    find_role(role, catalog, context.identity)
}

pub(super) fn is_superuser(catalog: &Catalog, context: &RoleContext<'_>) -> bool {
    catalog.is_superuser(context.identity.current)
}

pub(super) fn may_create_roles(catalog: &Catalog, context: &RoleContext<'_>) -> bool {
    let role = catalog.role_by_id(context.identity.current);
    role.is_some_and(|role| role.superuser || role.create_role)
}

pub(super) fn denied(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

fn exists(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{StatementKind, parse};

    /// Runs the statement as this role; the tag, or SQLSTATE and message.
    fn run(catalog: &mut Catalog, user: &str, sql: &str) -> String {
        let statement = parse(sql).unwrap().remove(0);
        let StatementKind::Role(role) = statement.kind else { panic!("{sql}") };
        let verifier = |text: &str| Ok(Verifier::new(format!("hash of {text}")));
        let id = catalog.roles[user].id;
        let context = RoleContext {
            identity: Identity { session: id, current: id },
            search_path: &["public".to_string()],
            checked_setting: &|name, values| Ok((name.into(), values.join(", "))),
            may_reset: &|_| Ok(()),
            current_setting: &|_| Ok("now".into()),
            verifier: &verifier,
        };
        match plan_role(&role, catalog, &context) {
            Ok(plan) => {
                *catalog = catalog.apply(&plan.changes).unwrap();
                plan.tag
            }
            Err(error) => format!("{}: {}", error.sqlstate.as_str(), error.message),
        }
    }

    /// Role, statement, answer; in this order. As PostgreSQL 15 answers.
    const CASES: &[(&str, &str, &str)] = &[
        ("kestrel", "CREATE USER ann PASSWORD 'x' CONNECTION LIMIT 2", "CREATE ROLE"),
        ("kestrel", "CREATE ROLE ann", "42710: role \"ann\" already exists"),
        ("kestrel", "CREATE ROLE boss CREATEROLE", "CREATE ROLE"),
        ("kestrel", "CREATE ROLE pg_x", "42939: role name \"pg_x\" is reserved"),
        ("kestrel", "CREATE ROLE x CONNECTION LIMIT -2", "22023: invalid connection limit: -2"),
        ("kestrel", "ALTER ROLE nobody LOGIN", "42704: role \"nobody\" does not exist"),
        (
            "kestrel",
            "CREATE ROLE x VALID UNTIL 'soon'",
            "22007: invalid input syntax for type \
          timestamp with time zone: \"soon\"",
        ),
        ("ann", "CREATE ROLE x", "42501: permission denied to create role"),
        ("ann", "ALTER ROLE ann LOGIN", "42501: permission denied"),
        ("ann", "ALTER ROLE ann PASSWORD 'y'", "ALTER ROLE"),
        ("ann", "ALTER ROLE boss PASSWORD 'y'", "42501: permission denied"),
        ("ann", "DROP ROLE boss", "42501: permission denied to drop role"),
        ("boss", "CREATE ROLE x SUPERUSER", "42501: must be superuser to create superusers"),
        (
            "boss",
            "ALTER ROLE kestrel PASSWORD 'y'",
            "42501: must be superuser to alter superuser roles or change superuser attribute",
        ),
        ("boss", "DROP ROLE kestrel", "42501: must be superuser to drop superusers"),
        ("boss", "DROP ROLE boss", "55006: current user cannot be dropped"),
        ("boss", "ALTER ROLE ann RENAME TO anna", "ALTER ROLE"),
        ("boss", "DROP ROLE ann", "42704: role \"ann\" does not exist"),
        ("boss", "DROP ROLE IF EXISTS ann, anna", "DROP ROLE"),
        ("kestrel", "DROP ROLE boss, nobody", "42704: role \"nobody\" does not exist"),
        ("kestrel", "CREATE ROLE other SUPERUSER IN ROLE pg_monitor ROLE boss", "CREATE ROLE"),
        ("kestrel", "ALTER GROUP boss DROP USER other", "ALTER ROLE"),
        (
            "kestrel",
            "DROP ROLE pg_monitor",
            "2BP01: cannot drop role pg_monitor because it is \
          required by the database system",
        ),
        ("boss", "CREATE ROLE y ROLE other", "CREATE ROLE"),
        ("boss", "ALTER GROUP y DROP USER other", "ALTER ROLE"),
        ("boss", "DROP ROLE y", "DROP ROLE"),
        (
            "boss",
            "ALTER ROLE ALL SET work_mem TO '1MB'",
            "42501: must be superuser to alter \
          settings globally",
        ),
        ("boss", "ALTER ROLE boss SET work_mem TO '1MB'", "ALTER ROLE"),
        (
            "other",
            "DROP ROLE kestrel",
            "2BP01: cannot drop role kestrel because it is required by the database system",
        ),
    ];

    #[test]
    fn roles_are_made_changed_and_dropped_by_those_who_may() {
        let mut catalog = Catalog::empty();
        for (user, sql, expected) in CASES {
            assert_eq!(run(&mut catalog, user, sql), *expected, "{user}: {sql}");
        }
        let roles = catalog.roles.values().filter(|role| !role.is_predefined());
        let names: Vec<_> = roles.map(|role| role.name.as_str()).collect();
        assert_eq!(names, ["boss", "kestrel", "other"]);
    }

    #[test]
    fn options_change_what_they_name() {
        let mut catalog = Catalog::empty();
        run(&mut catalog, "kestrel", "CREATE USER a PASSWORD 'x' VALID UNTIL '1970-01-02 00:00Z'");
        let role = &catalog.roles["a"];
        assert!(role.login && role.inherit && !role.superuser);
        assert_eq!(role.verifier, Some(Verifier::new("hash of x")));
        assert_eq!(role.valid_until_us, Some(86_400_000_000));
        run(&mut catalog, "kestrel", "ALTER USER a PASSWORD NULL VALID UNTIL 'infinity' NOLOGIN");
        let role = &catalog.roles["a"];
        assert!(!role.login);
        assert_eq!((&role.verifier, role.valid_until_us), (&None, None));
    }
}
