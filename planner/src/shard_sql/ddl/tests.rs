//! DDL statements in, the database's statements out.

use crate::{
    catalog::{COLUMNAR, Catalog, CatalogChange, ColumnDef, DatanodeDef, KES, SchemaDef, TableDef},
    codec::encode_value,
    ddl,
    parse::{StatementKind, parse},
};
use kestrel_proto::SqlState;

use super::statements;

/// A cluster of one datanode.
fn cluster(shard_kind: &str) -> Catalog {
    let datanode = DatanodeDef {
        id: 0,
        name: "dn1".into(),
        uuid: "known".into(),
        address: "local".into(),
        shard_kind: shard_kind.into(),
    };
    let datanodes =
        CatalogChange::SetDatanodes { datanodes: vec![datanode], bucket_map_version: 1 };
    Catalog::empty().apply(&[datanodes]).unwrap()
}

/// What the last of these statements does in the database.
fn last(sql: &str) -> Vec<String> {
    let mut catalog = cluster(KES);
    let mut texts = Vec::new();
    for statement in parse(sql).unwrap() {
        let StatementKind::Ddl(ddl) = &statement.kind else { panic!("no DDL: {statement:?}") };
        texts.clear();
        for change in ddl::plan(ddl, &catalog, &["public".into()]).unwrap().changes {
            texts.extend(statements(&change, &catalog).unwrap());
            catalog = catalog.apply(&[change]).unwrap();
        }
    }
    texts
}

fn table(sql: &str) -> TableDef {
    let StatementKind::Ddl(ddl) = &parse(sql).unwrap()[0].kind else { panic!("{sql}") };
    let plan = ddl::plan(ddl, &cluster(KES), &["public".into()]).unwrap();
    match plan.changes.into_iter().next() {
        Some(CatalogChange::CreateTable(table)) => table,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn golden() {
    const T: &str = "CREATE TABLE t (a int, b text, c date) DISTRIBUTED BY (a);";
    let check = |sql: &str, expected: &[&str]| {
        assert_eq!(last(&format!("{T}{sql}")), expected, "{sql}");
    };
    check(
        "CREATE TABLE \"U\"\"1\" (k bigint PRIMARY KEY, v varchar(7) NOT NULL, w numeric(15,2) \
         DEFAULT 1.5, x char(3) CHECK (x <> 'no'), UNIQUE (k, v)) DISTRIBUTED BY (k)",
        &["CREATE TABLE \"public\".\"U\"\"1\" (\"k\" pg_catalog.int8 NOT NULL, \
           \"v\" pg_catalog.varchar(7) COLLATE \"C\" NOT NULL, \"w\" pg_catalog.numeric(15,2), \
           \"x\" pg_catalog.bpchar(3) COLLATE \"C\", \
           CONSTRAINT \"U\"\"1_pkey\" PRIMARY KEY (\"k\"), \
           CONSTRAINT \"U\"\"1_k_v_key\" UNIQUE (\"k\", \"v\"))"],
    );
    check("DROP TABLE t", &["DROP TABLE \"public\".\"t\""]);
    check("CREATE SCHEMA s", &["CREATE SCHEMA IF NOT EXISTS \"s\""]);
    check("CREATE INDEX i ON t (b)", &["CREATE INDEX \"i\" ON \"public\".\"t\" (\"b\")"]);
    check(
        "CREATE UNIQUE INDEX i ON t (a, b)",
        &["CREATE UNIQUE INDEX \"i\" ON \"public\".\"t\" (\"a\", \"b\")"],
    );
    check("CREATE INDEX i ON t (b); DROP INDEX i", &["DROP INDEX \"public\".\"i\""]);
    check("ALTER TABLE t RENAME TO u", &["ALTER TABLE \"public\".\"t\" RENAME TO \"u\""]);
    check(
        "CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s",
        &["ALTER TABLE \"public\".\"t\" SET SCHEMA \"s\""],
    );
    check(
        "ALTER TABLE t RENAME COLUMN b TO bb",
        &["ALTER TABLE \"public\".\"t\" RENAME COLUMN \"b\" TO \"bb\""],
    );
    check("ALTER TABLE t DROP COLUMN c", &["ALTER TABLE \"public\".\"t\" DROP COLUMN \"c\""]);
    check(
        "ALTER TABLE t ADD COLUMN d text NOT NULL",
        &["ALTER TABLE \"public\".\"t\" ADD COLUMN \"d\" pg_catalog.text COLLATE \"C\" NOT NULL"],
    );
    check(
        "ALTER TABLE t ALTER COLUMN b SET NOT NULL",
        &["ALTER TABLE \"public\".\"t\" ALTER COLUMN \"b\" SET NOT NULL"],
    );
    check(
        "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)",
        &["ALTER TABLE \"public\".\"t\" ADD CONSTRAINT \"k\" UNIQUE (\"a\")"],
    );
    check(
        "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a); ALTER TABLE t DROP CONSTRAINT k",
        &["ALTER TABLE \"public\".\"t\" DROP CONSTRAINT \"k\""],
    );
    check("TRUNCATE t", &["TRUNCATE TABLE \"public\".\"t\""]);
    check("COMMENT ON TABLE t IS 'x'", &[]);
    check("ALTER TABLE t ALTER COLUMN b SET DEFAULT 'x'", &[]);
}

fn alter(before: &TableDef, after: TableDef) -> Vec<String> {
    let change =
        CatalogChange::AlterTable { before: Box::new(before.clone()), after: Box::new(after) };
    statements(&change, &cluster(KES)).unwrap()
}

#[test]
fn columns_that_change_names_with_each_other() {
    let before = table("CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)");
    let mut after = before.clone();
    after.columns[0].name = "b".into();
    after.columns[1].name = "a".into();
    let renamed = |from: &str, to: &str| {
        format!("ALTER TABLE \"public\".\"t\" RENAME COLUMN \"{from}\" TO \"{to}\"")
    };
    let expected = [
        renamed("a", "kestrel renames column 1"),
        renamed("b", "kestrel renames column 2"),
        renamed("kestrel renames column 1", "b"),
        renamed("kestrel renames column 2", "a"),
    ];
    assert_eq!(alter(&before, after), expected);
}

#[test]
fn rows_that_are_there_get_a_new_columns_default() {
    use datafusion::common::ScalarValue;
    let before = table("CREATE TABLE t (a int) DISTRIBUTED BY (a)");
    let mut after = before.clone();
    after.columns.push(ColumnDef {
        id: 2,
        name: "n".into(),
        default: Some("'it''s'".into()),
        ..table("CREATE TABLE t (n text NOT NULL) DISTRIBUTED BY (n)").columns[0].clone()
    });
    let value = encode_value(&ScalarValue::Utf8View(Some("it's".into()))).unwrap();
    after.missing_values.insert(2, value);
    assert_eq!(
        alter(&before, after),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"n\" pg_catalog.text COLLATE \"C\" NOT NULL \
             DEFAULT 'it''s'::pg_catalog.text",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"n\" DROP DEFAULT",
        ]
    );
}

#[test]
fn what_a_database_does_not_hold() {
    let schema =
        |name: &str| CatalogChange::CreateSchema(SchemaDef { id: 20_000, name: name.into() });
    let table = |kind: &str, sql: &str| {
        let StatementKind::Ddl(ddl) = &parse(sql).unwrap()[0].kind else { panic!("{sql}") };
        let path = ["pg_temp_3".into(), "public".into()];
        ddl::plan(ddl, &cluster(kind), &path).unwrap().changes.pop().unwrap()
    };
    let permanent = "CREATE TABLE t (a int) DISTRIBUTED BY (a)";
    for (kind, change, expected) in [
        (KES, schema("s"), 1),
        (KES, schema("pg_temp_3"), 0),
        (COLUMNAR, schema("s"), 0),
        (KES, table(KES, permanent), 1),
        (COLUMNAR, table(COLUMNAR, permanent), 0),
        (KES, table(KES, "CREATE TEMP TABLE t (a int) DISTRIBUTED BY (a)"), 0),
    ] {
        let found = statements(&change, &cluster(kind)).unwrap();
        assert_eq!(found.len(), expected, "{kind}: {change:?}");
    }
    let error = statements(&CatalogChange::DropTable(7), &Catalog::empty()).unwrap_err();
    assert_eq!(error.sqlstate, SqlState::INTERNAL_ERROR);
}
