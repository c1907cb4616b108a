//! Decisions about reads and writes, as a table.

use super::{Actor, check_reads, check_sequence, check_table};
use crate::{
    bind::ReadColumns,
    catalog::{
        AccessDef, AclItem, Catalog, CatalogChange, ColumnDef, Distribution, INITIAL_ROLE_ID,
        Membership, NamedRelation, ObjectKind, PUBLIC, Privilege, Privileges, READ_ALL_DATA_ID,
        RoleDef, SequenceDef, SqlType, TableDef, ViewColumn, ViewDef, ViewRelation,
    },
};

const OWNER: u64 = 101;
const READER: u64 = 102;
const MEMBER: u64 = 103;
const STRANGER: u64 = 104;
const NOT_INHERITING: u64 = 105;
const AUDITOR: u64 = 106;

const TABLE: u64 = 201;
const VIEW: u64 = 202;
const SEQUENCE: u64 = 203;

fn column(id: u32, name: &str) -> ColumnDef {
    ColumnDef {
        id,
        name: name.into(),
        sql_type: SqlType::Integer,
        not_null: false,
        default: None,
        identity: None,
    }
}

fn table() -> TableDef {
    let columns = vec![column(1, "a"), column(2, "b")];
    TableDef::new(TABLE, ("public", "t"), columns, Distribution::Random)
}

/// A view over `t`'s column `a`.
fn view() -> ViewDef {
    let used = |id, name: &str| ViewColumn { id, name: name.into(), is_used: id == 1 };
    ViewDef {
        id: VIEW,
        schema_name: "public".into(),
        name: "v".into(),
        columns: vec![column(1, "a")],
        query: "SELECT a FROM t".into(),
        search_path: vec!["public".into()],
        relations: vec![ViewRelation {
            named: NamedRelation { schema: None, name: "t".into(), id: TABLE },
            columns: vec![used(1, "a"), used(2, "b")],
        }],
    }
}

fn item(grantee: u64, privileges: &[Privilege]) -> AclItem {
    let privileges = Privileges::of(privileges);
    AclItem { grantee, grantor: OWNER, privileges, grantable: Privileges::NONE }
}

fn catalog() -> Catalog {
    let role = |id: u64, inherit: bool, of: &[u64]| {
        let member_of = of.iter().map(|role| Membership {
            role: *role,
            grantor: INITIAL_ROLE_ID,
            admin: false,
        });
        let member_of = member_of.collect();
        let role = RoleDef { inherit, member_of, ..RoleDef::new(id, &format!("r{id}")) };
        CatalogChange::CreateRole(role)
    };
    let sequence =
        SequenceDef { id: SEQUENCE, ..SequenceDef::new("public", "q", SqlType::Integer) };
    let changes = [
        role(OWNER, true, &[]),
        role(READER, true, &[]),
        role(MEMBER, true, &[READER]),
        role(STRANGER, true, &[]),
        role(NOT_INHERITING, false, &[READER]),
        role(AUDITOR, true, &[READ_ALL_DATA_ID]),
        CatalogChange::CreateTable(table()),
        CatalogChange::CreateView(view()),
        CatalogChange::CreateSequence(sequence),
        CatalogChange::SetOwner { object: TABLE, owner: OWNER },
        CatalogChange::SetOwner { object: VIEW, owner: OWNER },
    ];
    Catalog::empty().apply(&changes).unwrap()
}

fn with(catalog: &Catalog, object: u64, acl: &[AclItem], columns: &[(u32, AclItem)]) -> Catalog {
    let before = catalog.access_of(object);
    let columns = columns.iter().map(|(id, item)| (*id, vec![item.clone()])).collect();
    let after = AccessDef { acl: Some(acl.to_vec()), columns, ..before.clone() };
    let change = CatalogChange::SetAccess { before: Box::new(before), after: Box::new(after) };
    catalog.apply(&[change]).unwrap()
}

/// What a role is told that reads these columns; empty: nothing.
fn reads(catalog: &Catalog, role: u64, relation: u64, columns: &[&str]) -> String {
    let named = NamedRelation { schema: None, name: "x".into(), id: relation };
    let names = columns.iter().map(|name| (*name).to_string()).collect();
    let used: ReadColumns = [(relation, names)].into();
    let checked = check_reads(&[named], catalog, role, &|| Ok(used.clone()));
    checked.err().map_or(String::new(), |error| error.message)
}

#[test]
fn tables_are_read_by_those_who_may() {
    use Privilege::Select;
    let bare = catalog();
    let granted = with(&bare, TABLE, &[item(OWNER, &[Select]), item(READER, &[Select])], &[]);
    let public = with(&bare, TABLE, &[item(PUBLIC, &[Select])], &[]);
    let of_column = with(&bare, TABLE, &[], &[(1, item(READER, &[Select]))]);
    let denied = "permission denied for table t";
    let (a, both, none): (&[&str], &[&str], &[&str]) = (&["a"], &["a", "b"], &[]);
    for (catalog, role, columns, expected) in [
        (&bare, INITIAL_ROLE_ID, a, ""),
        (&bare, OWNER, a, ""),
        (&bare, READER, a, denied),
        (&bare, AUDITOR, a, ""),
        (&bare, 999, a, denied),
        (&granted, READER, a, ""),
        (&granted, MEMBER, a, ""),
        (&granted, NOT_INHERITING, a, denied),
        (&granted, STRANGER, a, denied),
        (&public, STRANGER, a, ""),
        (&of_column, OWNER, a, denied),
        (&of_column, READER, a, ""),
        (&of_column, MEMBER, a, ""),
        (&of_column, READER, both, denied),
        (&of_column, READER, none, ""),
        (&of_column, STRANGER, none, denied),
    ] {
        assert_eq!(reads(catalog, role, TABLE, columns), expected, "{role} {columns:?}");
    }
}

#[test]
fn views_read_as_their_owners() {
    use Privilege::Select;
    let granted = with(&catalog(), VIEW, &[item(READER, &[Select])], &[]);
    assert_eq!(reads(&granted, READER, VIEW, &["a"]), "");
    assert_eq!(reads(&granted, READER, TABLE, &["a"]), "permission denied for table t");
    assert_eq!(reads(&granted, STRANGER, VIEW, &["a"]), "permission denied for view v");
    // The owner of the view has lost the table: nobody reads the view, not even a superuser.
    let lost = with(&granted, TABLE, &[], &[]);
    for role in [READER, INITIAL_ROLE_ID] {
        assert_eq!(reads(&lost, role, VIEW, &["a"]), "permission denied for table t");
    }
    let only_column = with(&granted, TABLE, &[], &[(1, item(OWNER, &[Select]))]);
    assert_eq!(reads(&only_column, READER, VIEW, &["a"]), "");
}

#[test]
fn rows_are_written_into_columns_that_may_be() {
    use Privilege::Insert;
    let catalog = with(&catalog(), TABLE, &[], &[(1, item(READER, &[Insert]))]);
    let may =
        |role: u64, columns: &[u32]| check_table(&table(), columns, Insert, &catalog, role).is_ok();
    assert!(may(READER, &[1]) && may(MEMBER, &[1]) && may(INITIAL_ROLE_ID, &[1, 2]));
    assert!(!may(READER, &[1, 2]) && !may(STRANGER, &[1]) && !may(AUDITOR, &[1]));
}

#[test]
fn sequences_give_values_to_those_who_may() {
    let catalog = catalog();
    let sequence = catalog.sequences.values().next().unwrap();
    let any = [Privilege::Usage, Privilege::Update];
    let error = check_sequence(sequence, &any, &catalog, READER).unwrap_err();
    assert_eq!(error.message, "permission denied for sequence q");
    let granted = with(&catalog, SEQUENCE, &[item(READER, &[Privilege::Usage])], &[]);
    assert!(check_sequence(sequence, &any, &granted, MEMBER).is_ok());
    assert!(check_sequence(sequence, &any[1..], &granted, MEMBER).is_err());
}

#[test]
fn public_looks_into_the_public_schema_and_makes_nothing_there() {
    let catalog = catalog();
    let held = |role| {
        Actor::new(&catalog, role).privileges(crate::catalog::PUBLIC_SCHEMA_ID, ObjectKind::Schema)
    };
    assert!(held(STRANGER).has(Privilege::Usage) && !held(STRANGER).has(Privilege::Create));
    assert!(held(INITIAL_ROLE_ID).has(Privilege::Create));
}
