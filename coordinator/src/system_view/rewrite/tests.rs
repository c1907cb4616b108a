//! Statements that clients send, run over the views.

use std::sync::Arc;

use datafusion::{
    catalog::{MemorySchemaProvider, SchemaProvider},
    datasource::MemTable,
    prelude::SessionContext,
    sql::{
        parser::Statement,
        sqlparser::{ast, dialect::PostgreSqlDialect, parser::Parser},
    },
};
use kestrel_planner::bind::{SessionFunctions, name_outputs};

use super::{
    super::{
        functions::{SystemFunctions, function_names},
        system_views, test_context, tests,
    },
    *,
};

/// A session that has nothing but the views and functions.
fn session() -> SessionContext {
    let context = test_context::context();
    let session = SessionContext::new();
    let catalog = session.catalog("datafusion").unwrap();
    for schema in ["kestrel", "pg_catalog", "information_schema"] {
        let provider = MemorySchemaProvider::new();
        for view in system_views().filter(|v| v.schema_name() == schema) {
            let batch = view.batch(&context).unwrap();
            let table = MemTable::try_new(view.arrow_schema(), vec![vec![batch]]).unwrap();
            provider.register_table(view.name().into(), Arc::new(table)).unwrap();
        }
        catalog.register_schema(schema, Arc::new(provider)).unwrap();
    }
    let functions = SystemFunctions(context);
    for function in function_names().filter_map(|name| functions.function(name)) {
        session.register_udf(function.as_ref().clone());
    }
    session
}

/// The rows of a statement, one line each.
async fn run(session: &SessionContext, sql: &str) -> Result<Vec<String>, String> {
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|e| e.to_string())?;
    let [mut statement] = <[_; 1]>::try_from(parsed).map_err(|_| "not one statement")?;
    if let ast::Statement::Query(query) = &mut statement {
        name_outputs(query);
    }
    rewrite(&mut statement);
    if std::env::var("SHOW").is_ok() {
        println!("{statement}");
    }
    let plan = session.state().statement_to_plan(Statement::Statement(Box::new(statement))).await;
    let frame = session.execute_logical_plan(plan.map_err(|e| e.to_string())?).await;
    let batches = frame.map_err(|e| e.to_string())?.collect().await.map_err(|e| e.to_string())?;
    Ok(batches.iter().flat_map(tests::text).map(|row| row.join("|")).collect())
}

/// `testdata/statements.txt`: name, statement, rows.
fn statements() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    include_str!("testdata/statements.txt").split("\n== ").skip(1).map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        let (sql, rows) = rest.split_once("\n----\n").unwrap();
        let ours = |row: &&str| !row.is_empty() && !row.starts_with("- ");
        let rows = rows.lines().filter(ours).map(|r| r.strip_prefix("+ ").unwrap_or(r));
        (name, sql, rows.collect())
    })
}

#[tokio::test]
async fn clients_get_postgresqls_answers() {
    let session = session();
    for (name, sql, expected) in statements() {
        let mut rows = run(&session, sql).await.unwrap_or_else(|e| panic!("{name}: {sql}\n{e}"));
        if !sql.to_uppercase().contains("ORDER BY") {
            rows.sort();
        }
        assert_eq!(rows, expected, "{name}: {sql}");
    }
}

/// Which queries are the catalogs' business.
#[test]
fn only_queries_that_concern_the_catalogs_are_rewritten() {
    let cases = [
        ("SELECT relname FROM pg_class", true),
        ("SELECT * FROM t WHERE a IN (SELECT oid FROM pg_catalog.pg_type)", true),
        ("SELECT 1 FROM kestrel.datanodes", true),
        ("SELECT pg_catalog.version()", true),
        ("SELECT 't'::regclass", true),
        ("SELECT to_regclass('t')", true),
        ("SELECT 1::pg_catalog.int4", true),
        ("EXPLAIN SELECT * FROM information_schema.tables", true),
        ("SELECT version()", false),
        ("SELECT * FROM datanodes", false),
        ("WITH pg_class AS (SELECT 1) SELECT * FROM pg_class", false),
        ("SELECT count(*) FROM t JOIN public.pg_class USING (a)", false),
        ("CREATE TABLE x (a int DEFAULT nextval('s'::regclass))", false),
        ("INSERT INTO t SELECT oid FROM pg_class", true),
        ("CREATE TABLE x AS SELECT oid FROM pg_class", true),
        ("ALTER TABLE t ALTER a SET DEFAULT nextval('s'::regclass)", false),
    ];
    for (sql, expected) in cases {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        assert_eq!(concerns_catalogs(&statements[0]), expected, "{sql}");
    }
}

/// What is planned for what is written.
const REWRITTEN: &[(&str, &str)] = &[
    ("SELECT pg_catalog.lower(x) FROM t", "SELECT lower(x) FROM t"),
    ("SELECT a OPERATOR(pg_catalog.~) 'x' COLLATE pg_catalog.default", "SELECT a ~ 'x'"),
    ("SELECT c.tableoid FROM pg_class c", "SELECT 1259 AS tableoid FROM pg_catalog.pg_class c"),
    ("SELECT x::oid, x::pg_catalog.int4", "SELECT x::BIGINT, x::INTEGER"),
    ("SELECT a::int[]", "SELECT a::INT[]"),
    (
        "SELECT indkey[0], c.conkey[1] FROM pg_index i, pg_constraint c",
        "SELECT indkey[0], c.conkey[1] FROM pg_catalog.pg_index i, \
             pg_catalog.pg_constraint c",
    ),
    (
        "SELECT ix.indkey::varchar AS k, c.conkey::text AS t FROM pg_index ix, pg_constraint c",
        "SELECT ix.indkey::VARCHAR AS k, c.conkey::TEXT AS t FROM \
             pg_catalog.pg_index ix, pg_catalog.pg_constraint c",
    ),
    (
        "SELECT typname[0] = '_' FROM pg_type",
        "SELECT substr(typname, (0) + 1, 1) = '_' FROM pg_catalog.pg_type",
    ),
    (
        "SELECT classid AS c FROM pg_depend UNION ALL SELECT 'pg_am'::regclass AS c FROM pg_am",
        "SELECT classid AS c FROM pg_catalog.pg_depend UNION ALL \
             SELECT kestrel_reg_oid('regclass', 'pg_am') AS c FROM pg_catalog.pg_am",
    ),
    (
        "SELECT conrelid FROM pg_constraint UNION ALL VALUES ('pg_am'::regclass)",
        "SELECT conrelid FROM pg_catalog.pg_constraint UNION ALL \
             VALUES (kestrel_reg_oid('regclass', 'pg_am'))",
    ),
    (
        "SELECT CASE WHEN a THEN acldefault('r', b) ELSE '{}' END AS acl FROM pg_am",
        "SELECT CASE WHEN a THEN acldefault('r', b) ELSE ARRAY[] END AS acl \
             FROM pg_catalog.pg_am",
    ),
    (
        "SELECT 1 FROM pg_index i WHERE i.indkey[a.attnum - 1] = 2",
        "SELECT 1 FROM pg_catalog.pg_index i WHERE i.indkey[a.attnum - 1] = 2",
    ),
    ("SELECT x::regclass", "SELECT kestrel_reg_text('regclass', x)"),
    ("SELECT 1 WHERE x = 't'::regclass", "SELECT 1 WHERE x = kestrel_reg_oid('regclass', 't')"),
    ("SELECT nextval('s'::regclass)", "SELECT nextval('s')"),
    (
        "SELECT (SELECT d.adbin FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND a.b) FROM a",
        "SELECT CASE WHEN a.b THEN (SELECT first_value(d.adbin) FROM pg_catalog.pg_attrdef d \
             WHERE d.adrelid = a.attrelid) END FROM a",
    ),
    // More than one row is an error there: not ours to change.
    (
        "SELECT (SELECT u.x FROM u WHERE u.y = t.y) FROM t",
        "SELECT (SELECT u.x FROM u WHERE u.y = t.y) FROM t",
    ),
    (
        "SELECT (SELECT count(*) FROM pg_attrdef d WHERE d.adrelid = a.b) FROM a",
        "SELECT (SELECT count(*) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.b) FROM a",
    ),
    (
        "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM pg_am)",
        "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM \
             pg_catalog.pg_am)",
    ),
    // A policy's columns are never shown; a trigger beside a LEFT JOIN is not in the way.
    (
        "SELECT (SELECT 1) FROM pg_class, pg_policy",
        "SELECT NULL FROM pg_catalog.pg_class, pg_catalog.pg_policy",
    ),
    (
        "SELECT (SELECT 1) FROM pg_class LEFT JOIN pg_policy ON true",
        "SELECT (SELECT 1) FROM pg_catalog.pg_class LEFT JOIN \
             pg_catalog.pg_policy ON true",
    ),
];

#[test]
fn statements_are_rewritten() {
    for (sql, expected) in REWRITTEN {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        rewrite(&mut statements[0]);
        assert_eq!(statements[0].to_string(), *expected, "{sql}");
    }
}

/// As drivers and pg_dump find them: by name.
#[test]
fn result_columns_keep_the_names_that_they_were_written_with() {
    let cases = [
        (
            "SELECT 't'::regclass, 't'::regclass::oid, relname[0], c.tableoid FROM pg_class c",
            "SELECT kestrel_reg_text('regclass', 't') AS \"regclass\", \
             kestrel_reg_oid('regclass', 't') AS \"oid\", \
             substr(relname, (0) + 1, 1) AS \"relname\", 1259 AS tableoid \
             FROM pg_catalog.pg_class c",
        ),
        (
            "SELECT ARRAY(SELECT 'x' || o FROM unnest(reloptions) o) FROM pg_class",
            "SELECT kestrel_prefixed('x', reloptions) AS \"array\" FROM pg_catalog.pg_class",
        ),
    ];
    for (sql, expected) in cases {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        if let ast::Statement::Query(query) = &mut statements[0] {
            name_outputs(query);
        }
        rewrite(&mut statements[0]);
        assert_eq!(statements[0].to_string(), expected, "{sql}");
    }
}
