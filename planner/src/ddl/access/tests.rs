//! Statements about privileges in order, each as some role: what PostgreSQL 15 answers.

use super::{Identity, plan_access, with_named_owners};
use crate::{
    access::{check_changes, check_statement, with_owners},
    catalog::{Catalog, CatalogChange, Privilege, RoleDef},
    ddl::{DdlPlan, plan},
    parse::{StatementKind, parse},
};

const PATH: &[&str] = &["s", "public"];

/// Roles `ann`, `bob`, `eve`; schema `s` of ann with her table `t`.
fn catalog() -> Catalog {
    let names = ["ann", "bob", "eve"];
    let role = |(at, name): (usize, &str)| {
        CatalogChange::CreateRole(RoleDef::new(16384 + at as u64, name))
    };
    let roles: Vec<_> = names.into_iter().enumerate().map(role).collect();
    let mut catalog = Catalog::empty().apply(&roles).unwrap();
    for (role, sql) in [
        ("kestrel", "CREATE SCHEMA s AUTHORIZATION ann"),
        ("ann", "CREATE TABLE s.t (a int, b int) DISTRIBUTED BY (a)"),
    ] {
        assert!(!run(&mut catalog, role, sql).contains(": "), "{sql}");
    }
    catalog
}

/// The tag, with warnings before it; or SQLSTATE, message and detail.
fn run(catalog: &mut Catalog, role: &str, sql: &str) -> String {
    let id = catalog.roles[role].id;
    let identity = Identity { session: id, current: id };
    let path: Vec<String> = PATH.iter().map(|schema| (*schema).to_string()).collect();
    let planned = |kind: &StatementKind| -> kestrel_proto::Result<DdlPlan> {
        match kind {
            StatementKind::Access(access) => plan_access(access, catalog, &path, identity),
            StatementKind::Ddl(ddl) => {
                let ddl = with_named_owners(ddl, catalog, identity);
                check_statement(&ddl, catalog, &path, id)?;
                plan(&ddl, catalog, &path)
            }
            other => panic!("{other:?}"),
        }
    };
    let outcome = planned(&parse(sql).unwrap().remove(0).kind).and_then(|plan| {
        check_changes(&plan.changes, catalog, id)?;
        Ok(plan)
    });
    match outcome {
        Ok(plan) => {
            *catalog = catalog.apply(&with_owners(plan.changes, catalog, id)).unwrap();
            let notices = plan.notices.iter().filter(|n| !n.message.contains("DISTRIBUTED"));
            let notices: String = notices.map(|n| format!("{}; ", n.message)).collect();
            format!("{notices}{}", plan.tag)
        }
        Err(error) => {
            let detail = error.detail.map_or(String::new(), |d| format!(" ({d})"));
            format!("{}: {}{detail}", error.sqlstate.as_str(), error.message)
        }
    }
}

const CASES: &[(&str, &str, &str)] = &[
    ("bob", "GRANT SELECT ON s.t TO bob", "42501: permission denied for schema s"),
    ("ann", "GRANT USAGE ON SCHEMA s TO bob, eve", "GRANT"),
    ("bob", "GRANT SELECT ON s.t TO bob", "42501: permission denied for table t"),
    ("ann", "GRANT SELECT ON t TO bob WITH GRANT OPTION", "GRANT"),
    ("bob", "GRANT SELECT, INSERT ON t TO eve", "not all privileges were granted for \"t\"; GRANT"),
    ("bob", "GRANT ALL ON t TO eve", "GRANT"),
    ("eve", "GRANT SELECT ON t TO bob", "no privileges were granted for \"t\"; GRANT"),
    ("eve", "REVOKE SELECT ON t FROM bob", "no privileges could be revoked for \"t\"; REVOKE"),
    ("ann", "REVOKE SELECT ON t FROM bob", "2BP01: dependent privileges exist"),
    (
        "ann",
        "GRANT SELECT ON t TO PUBLIC WITH GRANT OPTION",
        "0LP01: grant options can only be \
      granted to roles",
    ),
    ("ann", "GRANT USAGE ON t TO bob", "0LP01: invalid privilege type USAGE for table"),
    ("ann", "GRANT CREATE ON t TO bob", "0LP01: invalid privilege type CREATE for relation"),
    ("ann", "GRANT FLY ON t TO bob", "42601: unrecognized privilege type \"fly\""),
    ("ann", "GRANT SELECT (c) ON t TO bob", "42703: column \"c\" of relation \"t\" does not exist"),
    ("ann", "GRANT DELETE (a) ON t TO bob", "0LP01: invalid privilege type DELETE for column"),
    ("ann", "GRANT SELECT ON t TO nobody", "42704: role \"nobody\" does not exist"),
    ("ann", "GRANT SELECT ON t TO bob GRANTED BY bob", "0A000: grantor must be current user"),
    ("ann", "REVOKE SELECT ON t FROM bob CASCADE", "REVOKE"),
    ("ann", "GRANT INSERT (a), SELECT (a, b) ON t TO eve", "GRANT"),
    ("eve", "DROP TABLE t", "42501: must be owner of table t"),
    ("eve", "TRUNCATE t", "42501: permission denied for table t"),
    ("eve", "ALTER TABLE t ADD c int", "42501: must be owner of table t"),
    ("eve", "CREATE INDEX ON t (a)", "42501: must be owner of table t"),
    ("eve", "CREATE TABLE s.u (a int)", "42501: permission denied for schema s"),
    ("eve", "CREATE SCHEMA x", "42501: permission denied for database kestrel"),
    ("eve", "DROP SCHEMA s CASCADE", "42501: must be owner of schema s"),
    ("eve", "COMMENT ON TABLE t IS 'x'", "42501: must be owner of table t"),
    ("eve", "ALTER TABLE t OWNER TO eve", "42501: must be owner of table t"),
    ("ann", "ALTER TABLE t OWNER TO eve", "42501: must be member of role \"eve\""),
    ("kestrel", "GRANT eve TO ann", "GRANT ROLE"),
    ("kestrel", "GRANT eve TO ann", "role \"ann\" is already a member of role \"eve\"; GRANT ROLE"),
    ("kestrel", "GRANT ann TO eve", "0LP01: role \"ann\" is a member of role \"eve\""),
    (
        "kestrel",
        "GRANT pg_database_owner TO eve",
        "0LP01: role \"pg_database_owner\" cannot have \
      explicit members",
    ),
    ("bob", "GRANT eve TO bob", "42501: must have admin option on role \"eve\""),
    ("bob", "GRANT kestrel TO bob", "42501: must be superuser to alter superusers"),
    ("ann", "ALTER TABLE t OWNER TO eve", "42501: permission denied for schema s"),
    ("ann", "GRANT CREATE ON SCHEMA s TO eve", "GRANT"),
    ("ann", "ALTER TABLE t OWNER TO eve", "ALTER TABLE"),
    (
        "eve",
        "CREATE TABLE u (a int REFERENCES t)",
        "42704: there is no primary key for \
      referenced table \"t\"",
    ),
    ("bob", "CREATE TABLE s.u (a int)", "42501: permission denied for schema s"),
    ("kestrel", "REVOKE eve FROM bob", "role \"bob\" is not a member of role \"eve\"; REVOKE ROLE"),
    ("kestrel", "REVOKE eve FROM ann", "REVOKE ROLE"),
    ("ann", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bob", "ALTER DEFAULT PRIVILEGES"),
    (
        "ann",
        "ALTER DEFAULT PRIVILEGES FOR ROLE bob GRANT SELECT ON TABLES TO ann",
        "42501: must be \
      member of role \"bob\"",
    ),
    ("ann", "CREATE TABLE u (a int) DISTRIBUTED BY (a)", "CREATE TABLE"),
    ("bob", "REASSIGN OWNED BY ann TO bob", "42501: permission denied to reassign objects"),
    ("bob", "DROP OWNED BY ann", "42501: permission denied to drop objects"),
    (
        "kestrel",
        "DROP OWNED BY kestrel",
        "2BP01: cannot drop objects owned by role kestrel because \
      they are required by the database system",
    ),
    ("kestrel", "REASSIGN OWNED BY eve TO bob", "REASSIGN OWNED"),
    ("kestrel", "DROP OWNED BY eve", "DROP OWNED"),
    (
        "kestrel",
        "DROP OWNED BY ann",
        "2BP01: cannot drop desired object(s) because other objects \
      depend on them (table t depends on schema s)",
    ),
    ("kestrel", "DROP OWNED BY ann CASCADE", "drop cascades to table t; DROP OWNED"),
];

#[test]
fn privileges_are_granted_by_those_who_may() {
    let mut catalog = catalog();
    for (role, sql, expected) in CASES {
        assert_eq!(run(&mut catalog, role, sql), *expected, "{role}: {sql}");
    }
    assert_eq!(catalog.access.values().collect::<Vec<_>>(), Vec::<&_>::new());
    assert!(catalog.default_acls.is_empty());
}

#[test]
fn sequences_belong_to_their_tables_owners() {
    let mut catalog = catalog();
    let other_owner = "55000: sequence must have same owner as table it is linked to";
    for (role, sql, expected) in [
        ("ann", "GRANT USAGE ON SCHEMA s TO bob", "GRANT"),
        ("ann", "CREATE SEQUENCE q", "CREATE SEQUENCE"),
        ("bob", "CREATE SEQUENCE r", "42501: permission denied for schema s"),
        ("bob", "ALTER SEQUENCE q RESTART", "42501: must be owner of sequence q"),
        ("bob", "ALTER SEQUENCE q OWNER TO bob", "42501: must be owner of sequence q"),
        ("bob", "DROP SEQUENCE q", "42501: must be owner of sequence q"),
        ("ann", "ALTER SEQUENCE q OWNER TO bob", "42501: must be member of role \"bob\""),
        ("kestrel", "ALTER TABLE t ADD c serial", "ALTER TABLE"),
        ("ann", "ALTER SEQUENCE t_c_seq INCREMENT BY 2", "ALTER SEQUENCE"),
        ("kestrel", "CREATE SEQUENCE r OWNED BY t.a", other_owner),
        ("kestrel", "CREATE SEQUENCE r", "CREATE SEQUENCE"),
        ("kestrel", "ALTER SEQUENCE r OWNED BY t.a", other_owner),
        ("kestrel", "ALTER SEQUENCE r OWNER TO ann", "ALTER SEQUENCE"),
        ("ann", "ALTER SEQUENCE r OWNED BY t.a", "ALTER SEQUENCE"),
        (
            "ann",
            "ALTER SEQUENCE r OWNER TO CURRENT_USER",
            "0A000: cannot change owner of sequence \"r\" (Sequence \"r\" is linked to table \
             \"t\".)",
        ),
        ("kestrel", "DROP OWNED BY ann", "DROP OWNED"),
    ] {
        assert_eq!(run(&mut catalog, role, sql), expected, "{role}: {sql}");
    }
    assert!(catalog.sequences.is_empty() && catalog.access.is_empty());
}

#[test]
fn default_privileges_come_with_new_objects() {
    let mut catalog = catalog();
    for sql in [
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bob",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT INSERT ON TABLES TO bob",
        "CREATE TABLE u (a int) DISTRIBUTED BY (a)",
    ] {
        run(&mut catalog, "ann", sql);
    }
    let table = catalog.table("s", "u").unwrap();
    let access = catalog.access_of(table.id);
    let bob = catalog.roles["bob"].id;
    let of_bob = access.acl.unwrap().into_iter().find(|item| item.grantee == bob).unwrap();
    assert!(of_bob.privileges.has(Privilege::Select) && of_bob.privileges.has(Privilege::Insert));
    run(&mut catalog, "ann", "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM bob");
    assert_eq!(catalog.default_acls.len(), 1);
}

#[test]
fn a_role_is_told_what_depends_on_it() {
    let mut catalog = catalog();
    for sql in [
        "GRANT SELECT (a) ON t TO bob",
        "GRANT USAGE ON SCHEMA s TO bob",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO bob",
    ] {
        run(&mut catalog, "ann", sql);
    }
    let path: Vec<String> = vec!["public".into()];
    let told = |name: &str| super::dependents_of_role(catalog.roles[name].id, &catalog, &path);
    let default = "default privileges on new relations belonging to role ann in schema s";
    assert_eq!(
        told("bob"),
        [
            format!("privileges for {default}").as_str(),
            "privileges for column a of table s.t",
            "privileges for schema s",
        ]
    );
    assert_eq!(
        told("ann"),
        [format!("owner of {default}").as_str(), "owner of table s.t", "owner of schema s"]
    );
    assert!(told("eve").is_empty());
}

#[test]
fn indexes_need_a_place_and_defaults_of_others_go_with_their_sequences() {
    let mut catalog = catalog();
    let denied = "42501: permission denied for schema s";
    for (role, sql, expected) in [
        ("ann", "GRANT USAGE, CREATE ON SCHEMA s TO bob", "GRANT"),
        ("ann", "CREATE TABLE c (a int, n serial, m serial) DISTRIBUTED BY (a)", "CREATE TABLE"),
        (
            "bob",
            "CREATE TABLE w (LIKE c INCLUDING DEFAULTS) DISTRIBUTED BY (a)",
            "42501: permission denied for table c",
        ),
        ("ann", "GRANT SELECT ON c TO bob", "GRANT"),
        ("bob", "CREATE TABLE w (LIKE c INCLUDING DEFAULTS) DISTRIBUTED BY (a)", "CREATE TABLE"),
        ("ann", "REVOKE CREATE ON SCHEMA s FROM bob", "REVOKE"),
        ("bob", "ALTER TABLE w ADD PRIMARY KEY (a)", denied),
        ("bob", "ALTER TABLE w ADD UNIQUE (a)", denied),
        ("bob", "CREATE INDEX ON w (a)", denied),
        ("bob", "ALTER TABLE w ADD CHECK (a > 0)", "ALTER TABLE"),
        ("ann", "ALTER TABLE w ALTER n DROP DEFAULT", "42501: must be owner of table w"),
        (
            "ann",
            "ALTER TABLE c DROP COLUMN n CASCADE",
            "drop cascades to default value for column n of table w; ALTER TABLE",
        ),
        (
            "ann",
            "DROP TABLE c CASCADE",
            "drop cascades to default value for column m of table w; DROP TABLE",
        ),
    ] {
        assert_eq!(run(&mut catalog, role, sql), expected, "{role}: {sql}");
    }
}
