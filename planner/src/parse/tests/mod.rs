//! Statements and errors, as data.

mod clients;

use std::{fs, path::Path};

use super::*;

/// The statements' kinds, or `sqlstate @position: message`.
fn outcome(sql: &str) -> String {
    match parse(sql) {
        Ok(statements) => {
            let kinds = statements.iter().map(|s| kind(&s.kind));
            kinds.collect::<Vec<_>>().join("; ")
        }
        Err(e) => {
            let position = e.position.map_or("".into(), |p| format!(" @{p}"));
            format!("{}{position}: {}", e.sqlstate.as_str(), e.message)
        }
    }
}

/// The kind, with what a case wants to see of it.
fn kind(kind: &StatementKind) -> String {
    match kind {
        StatementKind::Query(query) => format!("Query {query}"),
        StatementKind::Insert(insert) => format!("Insert {insert}"),
        StatementKind::Update(_) => "Update".into(),
        StatementKind::Delete(_) => "Delete".into(),
        StatementKind::Merge(_) => "Merge".into(),
        StatementKind::CreateTableAs(create) => {
            format!(
                "CreateTableAs {} {:?} AS {} data={}",
                create.table.name,
                names(&create.column_names),
                match &create.rows {
                    TableRows::Query(query) => query.to_string(),
                    TableRows::Execute(execute) => {
                        format!(
                            "EXECUTE {} with {} arguments",
                            execute.name,
                            execute.arguments.len()
                        )
                    }
                },
                create.with_data
            ) + &distributed(create.table.distributed.as_ref())
        }
        StatementKind::Explain(explain) => format!(
            "Explain analyze={} verbose={} costs={} {:?} [{}]",
            explain.analyze,
            explain.verbose,
            explain.costs,
            explain.format,
            self::kind(&explain.statement.kind)
        ),
        StatementKind::Prepare(prepare) => {
            format!("Prepare {} {:?}", prepare.name, prepare.types)
        }
        StatementKind::Execute(execute) => format!("Execute {execute:?}"),
        StatementKind::Ddl(DdlStatement::CreateTable(table)) => {
            let count = table.elements.len();
            format!("CreateTable {} elements={count}", table.name)
                + &distributed(table.distributed.as_ref())
        }
        StatementKind::Ddl(ddl) => format!("{ddl:?}"),
        other => format!("{other:?}"),
    }
}

fn distributed(clause: Option<&DistributedBy>) -> String {
    match clause {
        None => String::new(),
        Some(DistributedBy::Columns(columns)) => format!(" BY {:?}", names(columns)),
        Some(other) => format!(" {other:?}"),
    }
}

fn names(identifiers: &[Identifier]) -> Vec<&str> {
    identifiers.iter().map(|i| i.name.as_str()).collect()
}

fn check(cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        assert_eq!(outcome(sql), *expected, "{sql}");
    }
}

#[test]
fn statements_end_at_semicolons() {
    check(&[
        ("", "Empty"),
        (" ; ;-- nothing\n", "Empty"),
        ("SELECT 1; ;SELECT 2;", "Query SELECT 1; Query SELECT 2"),
        (
            "SELECT ';', $$;$$, $x$ $$;$x$, E'\\';' -- ;\n/* ; /* ; */ */;COMMIT",
            "Query SELECT ';', $$;$$, $x$ $$;$x$, E'\\';'; Commit { chain: false }",
        ),
        ("SELECT \"a;b\" FROM t", "Query SELECT \"a;b\" FROM t"),
        ("SELECT 'é', U&'\\00e9'", "Query SELECT 'é', U&'\\00E9'"),
    ]);
    let two = parse("  SELECT 'é' ;\n SELECT x\n  FROM t ; ").unwrap();
    assert_eq!((two[0].sql.as_str(), two[0].offset), ("SELECT 'é'", 2));
    assert_eq!((two[1].sql.as_str(), two[1].offset), ("SELECT x\n  FROM t", 16));
}

/// Each line was run on PostgreSQL 15.
#[test]
fn syntax_errors_are_postgresqls() {
    let file = Path::new("testdata/parse/errors.tsv");
    let text = fs::read_to_string(file).unwrap();
    let cases = text.lines().filter(|line| !line.starts_with('#'));
    let wrong: Vec<_> = cases
        .map(|line| line.split_once('\t').unwrap())
        .map(|(sql, expected)| (sql, expected, outcome(sql)))
        .filter(|(_, expected, outcome)| expected != outcome)
        .map(|(sql, expected, outcome)| {
            format!("{sql}\n  expected {expected}\n  got      {outcome}")
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn merge_has_clauses() {
    let merge = |clauses: &str| outcome(&format!("MERGE INTO t USING u ON t.a = u.a{clauses}"));
    for clauses in [
        " WHEN MATCHED THEN DELETE",
        " WHEN MATCHED AND t.a > 1 THEN UPDATE SET a = 1, (b, c) = (2, DEFAULT)",
        " WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        " WHEN NOT MATCHED AND u.a IS NULL THEN INSERT (a, \"B\") VALUES (u.a, DEFAULT)",
        " WHEN NOT MATCHED THEN INSERT VALUES (u.a)",
    ] {
        assert_eq!(merge(clauses), "Merge", "{clauses}");
    }
    for (clauses, expected) in [
        ("", "42601 @34: syntax error at end of input"),
        (" WHEN MATCHED THEN INSERT VALUES (1)", "42601 @53: syntax error at or near \"INSERT\""),
        (" WHEN NOT MATCHED THEN DELETE", "42601 @57: syntax error at or near \"DELETE\""),
        (
            " WHEN MATCHED THEN DELETE RETURNING a",
            "42601 @60: syntax error at or near \"RETURNING\"",
        ),
    ] {
        assert_eq!(merge(clauses), expected, "{clauses}");
    }
}

#[test]
fn errors_in_our_own_words() {
    check(&[
        ("CREATE TABLE t (a int) DISTRIBUTED FOO", "42601 @36: syntax error at or near \"FOO\""),
        ("CREATE TABLE t (a int) DISTRIBUTED BY ()", "42601 @40: syntax error at or near \")\""),
        (
            "CREATE TABLE t (a int) DISTRIBUTED RANDOMLY DISTRIBUTED RANDOMLY",
            "42601 @45: syntax error at or near \"DISTRIBUTED\"",
        ),
        (
            "CREATE TABLE t AS SELECT 1 DISTRIBUTED BY (a) DISTRIBUTED RANDOMLY",
            "42601 @40: syntax error at or near \"BY\"",
        ),
        (
            "CREATE TABLE t DISTRIBUTED RANDOMLY AS SELECT 1 DISTRIBUTED RANDOMLY",
            "42601 @49: syntax error at or near \"DISTRIBUTED\"",
        ),
        (
            "CREATE TABLE t (a int DEFAULT 1 DEFAULT 2)",
            "42601 @33: multiple default values specified for column \"a\" of table \"t\"",
        ),
        (
            "CREATE TABLE t (a int NULL NOT NULL)",
            "42601 @28: conflicting NULL/NOT NULL declarations for column \"a\" of table \"t\"",
        ),
    ]);
}

#[test]
fn queries_and_changes() {
    check(&[
        ("(SELECT 1)", "Query (SELECT 1)"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "Query WITH x AS (SELECT 1) SELECT * FROM x"),
        (
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
            "Insert INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x",
        ),
        ("WITH x AS (SELECT 1) DELETE FROM t", "Delete"),
        ("WITH x AS (SELECT 1) UPDATE t SET a = 1", "Update"),
        ("SELECT 1 AS a INTO t", "CreateTableAs t [] AS SELECT 1 AS a data=true"),
        (
            "SELECT 1 AS a INTO TEMP t UNION SELECT 2 ORDER BY 1",
            "CreateTableAs t [] AS SELECT 1 AS a UNION SELECT 2 ORDER BY 1 data=true",
        ),
        (
            "CREATE TABLE t (x) AS EXECUTE p (1, 'a') WITH NO DATA",
            "CreateTableAs t [\"x\"] AS EXECUTE p with 2 arguments data=false",
        ),
        ("UPDATE t SET a = 1", "Update"),
        ("DELETE FROM t", "Delete"),
        (
            "CREATE TABLE t AS SELECT a FROM x DISTRIBUTED BY (a, \"B\");",
            "CreateTableAs t [] AS SELECT a FROM x data=true BY [\"a\", \"B\"]",
        ),
        (
            "CREATE TABLE t (x, y) DISTRIBUTED RANDOMLY AS SELECT 1, 2 WITH NO DATA",
            "CreateTableAs t [\"x\", \"y\"] AS SELECT 1, 2 data=false Randomly",
        ),
        (
            "CREATE TABLE t AS (SELECT distributed FROM x distributed) WITH DATA \
          DISTRIBUTED REPLICATED",
            "CreateTableAs t [] AS (SELECT distributed FROM x distributed) data=true Replicated",
        ),
        (
            "CREATE TABLE t (a int) WITH (fillfactor=70) TABLESPACE pg_default \
          DISTRIBUTED BY (a)",
            "CreateTable t elements=1 BY [\"a\"]",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a DISTRIBUTED BY (a)",
            "Unsupported(\"CREATE MATERIALIZED VIEW\")",
        ),
        (
            "SELECT a OPERATOR ( pg_catalog . = ) ANY (b) FROM ONLY t",
            "Query SELECT a = ANY(b) FROM ONLY t",
        ),
    ]);
}

#[test]
fn commands() {
    check(&[
        (
            "SET search_path TO a, \"B\", 'c d'",
            "Set(SetVariable { local: false, name: \"search_path\", \
          value: Values([\"a\", \"B\", \"c d\"]), position: 5 })",
        ),
        (
            "SET LOCAL kestrel.Advice_Skew = off",
            "Set(SetVariable { local: true, name: \"kestrel.advice_skew\", \
          value: Values([\"off\"]), position: 11 })",
        ),
        (
            "SET SESSION x = -1.5",
            "Set(SetVariable { local: false, name: \"x\", value: Values([\"-1.5\"]), position: 13 })",
        ),
        (
            "SET TIME ZONE LOCAL",
            "Set(SetVariable { local: false, name: \"timezone\", value: Default, position: 5 })",
        ),
        (
            "SET NAMES 'utf8'",
            "Set(SetVariable { local: false, name: \"client_encoding\", \
          value: Values([\"utf8\"]), position: 5 })",
        ),
        (
            "SET SESSION AUTHORIZATION DEFAULT",
            "Set(SetVariable { local: false, name: \"session_authorization\", \
          value: Default, position: 5 })",
        ),
        ("SHOW TIME ZONE", "Show(Named(\"timezone\"))"),
        ("SHOW ALL", "Show(All)"),
        ("RESET Work_Mem", "Reset(Named(\"work_mem\"))"),
        (
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            "SetTransaction(SetTransaction { session: false, modes: TransactionModes { \
          isolation: Some(RepeatableRead), read_only: Some(true), deferrable: None } })",
        ),
        (
            "START TRANSACTION READ WRITE",
            "Begin(TransactionModes { isolation: None, read_only: Some(false), deferrable: None })",
        ),
        ("ABORT AND CHAIN", "Rollback { chain: true }"),
        ("ROLLBACK TO SAVEPOINT a", "Savepoint(RollbackTo(\"a\"))"),
        ("PREPARE p (int, text) AS SELECT $1, $2", "Prepare p [Int(None), Text]"),
        ("DEALLOCATE PREPARE ALL", "Deallocate(None)"),
        ("DISCARD TEMP", "Discard(Temp)"),
        ("UNLISTEN *; CLOSE ALL", "Nothing(\"UNLISTEN\"); Close(None)"),
        (
            "EXPLAIN ANALYZE VERBOSE SELECT 1",
            "Explain analyze=true verbose=true costs=true Text [Query SELECT 1]",
        ),
        (
            "EXPLAIN (COSTS off, FORMAT JSON, ANALYZE) (SELECT 1)",
            "Explain analyze=true verbose=false costs=false Json [Query (SELECT 1)]",
        ),
        (
            "EXPLAIN (SELECT 1)",
            "Explain analyze=false verbose=false costs=true Text [Query (SELECT 1)]",
        ),
        (
            "DROP SCHEMA IF EXISTS \"A\", b CASCADE",
            "DropSchema(DropSchema { if_exists: true, names: [Identifier { name: \"A\", \
          position: 23 }, Identifier { name: \"b\", position: 28 }], cascade: true })",
        ),
    ]);
    let maintenance = outcome("VACUUM (FULL, VERBOSE off, ANALYZE) s.t (a)");
    assert!(maintenance.starts_with(
        "Vacuum(Maintenance { verbose: false, full: true, analyze: true, tables: [Main"
    ));
}

#[test]
fn locks_and_time_zones() {
    check(&[
        (
            "LOCK TABLE ONLY t, s.u IN SHARE ROW EXCLUSIVE MODE NOWAIT",
            "Lock(LockStatement { tables: [QualifiedName { schema: None, name: \"t\", \
             position: Some(17) }, QualifiedName { schema: Some(\"s\"), name: \"u\", \
             position: Some(20) }], mode: \"SHARE ROW EXCLUSIVE\", no_wait: true })",
        ),
        (
            "LOCK t",
            "Lock(LockStatement { tables: [QualifiedName { schema: None, name: \"t\", \
             position: Some(6) }], mode: \"ACCESS EXCLUSIVE\", no_wait: false })",
        ),
        (
            "SET TIME ZONE INTERVAL '+05:30' HOUR TO MINUTE",
            "Set(SetVariable { local: false, name: \"timezone\", \
             value: Values([\"INTERVAL '05:30:00'\"]), position: 5 })",
        ),
        (
            "SET TIME ZONE -7.5",
            "Set(SetVariable { local: false, name: \"timezone\", value: Values([\"-7.5\"]), \
             position: 5 })",
        ),
    ]);
}

#[test]
fn copy_options_in_both_forms() {
    let options = |sql: &str| match parse(sql).unwrap().remove(0).kind {
        StatementKind::Copy(copy) => (copy.direction, copy.options),
        other => panic!("{other:?}"),
    };
    let (direction, old) = options("COPY s.t (a, b) FROM STDIN WITH CSV HEADER DELIMITER ';'");
    let (_, new) = options("COPY t FROM STDIN (FORMAT csv, HEADER, DELIMITER ';')");
    assert_eq!(direction, CopyDirection::FromClient);
    assert_eq!(old, new);
    assert_eq!((new.delimiter, new.header), (b';', CopyHeader::Skip));
    assert_eq!((new.null.as_str(), new.quote, new.escape), ("", b'"', b'"'));
    let (direction, text) = options("COPY (SELECT 1) TO STDOUT");
    assert_eq!(direction, CopyDirection::ToClient);
    assert_eq!((text.delimiter, text.null.as_str()), (b'\t', "\\N"));
}

#[test]
fn copy_options_are_refused_in_postgresqls_words() {
    check(&[
        ("COPY t FROM STDIN (FORMAT foo)", "22023 @27: COPY format \"foo\" not recognized"),
        ("COPY t FROM STDIN (FOO 1)", "42601 @20: option \"foo\" not recognized"),
        ("COPY t FROM STDIN (NULL 'x', NULL 'y')", "42601 @30: conflicting or redundant options"),
        (
            "COPY t FROM STDIN (DELIMITER 'ab')",
            "0A000: COPY delimiter must be a single one-byte character",
        ),
        ("COPY t FROM STDIN (DELIMITER 'a')", "22023: COPY delimiter cannot be \"a\""),
        (
            "COPY t FROM STDIN (DELIMITER E'\\n')",
            "22023: COPY delimiter cannot be newline or carriage return",
        ),
        ("COPY t FROM STDIN (QUOTE '''')", "0A000: COPY quote available only in CSV mode"),
        (
            "COPY t FROM STDIN (FORMAT csv, DELIMITER '\"')",
            "22023: COPY delimiter and quote must be different",
        ),
        (
            "COPY t FROM STDIN (FORMAT csv, FORCE_QUOTE *)",
            "0A000: COPY force quote only available using COPY TO",
        ),
        ("COPY t FROM STDIN (FORMAT binary, NULL '')", "42601: cannot specify NULL in BINARY mode"),
        ("COPY t FROM STDIN (HEADER 2)", "42601 @27: header requires a Boolean value or \"match\""),
        ("COPY t TO STDOUT (HEADER match)", "0A000: cannot use \"match\" with HEADER in COPY TO"),
        ("COPY t TO STDOUT (FORMAT binary, HEADER)", "0A000: cannot specify HEADER in BINARY mode"),
        (
            "COPY t FROM STDIN (FORMAT csv, FORCE_NULL *)",
            "22023 @32: argument to option \"force_null\" must be a list of column names",
        ),
        (
            "COPY t FROM STDIN (FORMAT csv, FORCE_NOT_NULL a)",
            "22023 @32: argument to option \"force_not_null\" must be a list of column names",
        ),
        (
            "COPY t TO STDOUT (FORMAT csv, FORCE_NULL (a))",
            "0A000: COPY force null only available using COPY FROM",
        ),
        (
            "COPY t TO STDOUT (NULL E'a\\tb')",
            "0A000: COPY delimiter must not appear in the NULL specification",
        ),
        (
            "COPY t TO STDOUT (FORMAT csv, NULL 'a\"b')",
            "0A000: CSV quote character must not appear in the NULL specification",
        ),
        (
            "COPY t TO STDOUT (ENCODING 'foo')",
            "22023 @19: argument to option \"encoding\" must be a valid encoding name",
        ),
        ("COPY t TO STDOUT ENCODING 'latin1'", "0A000 @18: encoding \"latin1\" is not supported"),
        ("COPY t TO STDOUT (FORMAT)", "42601: format requires a parameter"),
        ("COPY t TO STDOUT (DEFAULT 'x')", "42601 @19: option \"default\" not recognized"),
        ("COPY (SELECT 1) FROM STDIN", "42601 @17: syntax error at or near \"FROM\""),
        ("COPY t TO PROGRAM 'x'", "0A000 @11: COPY TO a program is not supported"),
        ("COPY t TO STDOUT WHERE a > 1", "42601 @18: syntax error at or near \"WHERE\""),
    ]);
}

#[test]
fn positions_count_characters_of_the_whole_text() {
    let text = "SELECT 'é';\n\nSELECT é,\n  xyz FROM t";
    let statement = parse(text).unwrap().remove(1);
    let StatementKind::Query(query) = &statement.kind else { panic!("no query") };
    let datafusion::sql::sqlparser::ast::SetExpr::Select(select) = query.body.as_ref() else {
        panic!("no select")
    };
    let span = datafusion::sql::sqlparser::ast::Spanned::span(&select.projection[1]);
    let expected = text.chars().collect::<String>().split("xyz").next().unwrap().chars().count();
    assert_eq!(statement.position(span.start), Some(expected as u32 + 1));
}

#[test]
fn long_identifiers_are_cut_between_characters() {
    let long = format!("{}é", "a".repeat(62));
    let statement = parse(&format!("SELECT 1; DROP TABLE {long}")).unwrap().remove(1);
    let StatementKind::Ddl(DdlStatement::DropTable(drop)) = &statement.kind else {
        panic!("{statement:?}")
    };
    assert_eq!(drop.tables[0].name, "a".repeat(62));
    let notice = &statement.notices[0];
    assert_eq!(notice.sqlstate, kestrel_proto::SqlState::NAME_TOO_LONG);
    let expected = format!("identifier \"{long}\" will be truncated to \"{}\"", "a".repeat(62));
    assert_eq!(notice.message, expected);
}

/// Depth and length are bounded by errors, not by the stack or by time.
#[test]
fn deep_and_long_statements_fail_cleanly() {
    let nested = |open: &str, middle: &str, close: &str, n: usize| {
        format!("SELECT {}{middle}{}", open.repeat(n), close.repeat(n))
    };
    let too_deep = "54001";
    let check = move || {
        for sql in [
            nested("(", "1", ")", 10_000),
            nested("- ", "1", "", 10_000),
            nested("NOT ", "true", "", 10_000),
            nested("(SELECT ", "1", ")", 10_000),
            nested("CASE WHEN true THEN ", "1", " END", 10_000),
            nested("f(", "1", ")", 10_000),
            format!("SELECT * FROM {}t{}", "(".repeat(10_000), ")".repeat(10_000)),
        ] {
            let outcome = outcome(&sql);
            assert!(outcome.starts_with(too_deep), "{outcome}: {}", &sql[..60]);
        }
        // These would take 2^60 steps.
        for sql in [
            nested("f(", "1", ")", 60),
            nested("ceil(", "1 1", ")", 60),
            nested("CASE WHEN true THEN ", "1 1", " END", 60),
            nested("extract(", "1 1", ")", 60),
            nested("CAST(", "1 1", " AS int)", 60),
            nested("(", "1 1", ")", 60),
            nested("ARRAY[", "1 1", "]", 60),
            nested("1 IN (", "1 1", ")", 60),
            format!("SELECT * FROM {}t t t{}", "(".repeat(60), ")".repeat(60)),
        ] {
            let outcome = outcome(&sql);
            assert!(
                outcome.starts_with("Query")
                    || outcome.starts_with("42601")
                    || outcome.starts_with(too_deep),
                "{outcome}"
            );
        }
        for (operator, ok) in [(" + 1", 3_900), (" OR true", 3_900), (" UNION ALL SELECT 1", 3_900)]
        {
            assert!(outcome(&format!("SELECT 1{}", operator.repeat(ok))).starts_with("Query"));
            let long = outcome(&format!("SELECT 1{}", operator.repeat(5_000)));
            assert!(long.contains(": more than 4000 operators"), "{long}");
        }
        let rows = vec!["(1, 'a' || 'b')"; 20_000].join(", ");
        assert!(outcome(&format!("INSERT INTO t VALUES {rows}")).starts_with("Insert"));
    };
    // The stack of a server's thread.
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(check).unwrap();
    thread.join().unwrap();
}

#[test]
fn cursors() {
    let fetch = |name: &str, direction: &str, count: i64, only_moves: bool| {
        format!(
            "Fetch(Fetch {{ name: \"{name}\", direction: {direction}, count: {count}, \
             only_moves: {only_moves} }})"
        )
    };
    let cases = [
        ("FETCH c", fetch("c", "Forward", 1, false)),
        ("FETCH FROM \"C\"", fetch("C", "Forward", 1, false)),
        ("FETCH next", fetch("next", "Forward", 1, false)),
        ("FETCH NEXT c", fetch("c", "Forward", 1, false)),
        ("FETCH PRIOR IN c", fetch("c", "Backward", 1, false)),
        ("FETCH FIRST c", fetch("c", "Absolute", 1, false)),
        ("FETCH LAST FROM c", fetch("c", "Absolute", -1, false)),
        ("FETCH ABSOLUTE -3 c", fetch("c", "Absolute", -3, false)),
        ("FETCH RELATIVE +3 FROM c", fetch("c", "Relative", 3, false)),
        ("FETCH 5 c", fetch("c", "Forward", 5, false)),
        ("FETCH -5 FROM c", fetch("c", "Forward", -5, false)),
        ("FETCH ALL c", fetch("c", "Forward", FETCH_ALL, false)),
        ("FETCH FORWARD c", fetch("c", "Forward", 1, false)),
        ("FETCH FORWARD 7 IN c", fetch("c", "Forward", 7, false)),
        ("FETCH FORWARD ALL IN c", fetch("c", "Forward", FETCH_ALL, false)),
        ("FETCH BACKWARD FROM c", fetch("c", "Backward", 1, false)),
        ("MOVE BACKWARD ALL c", fetch("c", "Backward", FETCH_ALL, true)),
        ("MOVE 3 c", fetch("c", "Forward", 3, true)),
        ("CLOSE c", "Close(Some(\"c\"))".to_string()),
    ];
    for (sql, expected) in &cases {
        assert_eq!(outcome(sql), *expected, "{sql}");
    }
    check(&[
        ("FETCH 3000000000 c", "42601 @7: syntax error at or near \"3000000000\""),
        ("FETCH ABSOLUTE c", "42601 @16: syntax error at or near \"c\""),
        ("FETCH", "42601 @6: syntax error at end of input"),
        (
            "DECLARE c CURSOR FOR INSERT INTO t VALUES (1)",
            "42601 @22: syntax error at or near \"INSERT\"",
        ),
        ("DECLARE c NO CURSOR FOR SELECT 1", "42601 @14: syntax error at or near \"CURSOR\""),
        (
            "DECLARE c SCROLL NO SCROLL CURSOR FOR SELECT 1",
            "42P11: cannot specify both SCROLL and NO SCROLL",
        ),
    ]);
    let parsed = parse("DECLARE c NO SCROLL BINARY INSENSITIVE CURSOR WITH HOLD FOR SELECT 'é', x");
    let StatementKind::DeclareCursor(declare) = parsed.unwrap().remove(0).kind else {
        panic!("no DECLARE");
    };
    assert_eq!((declare.binary, declare.scroll, declare.hold), (true, false, true));
    assert_eq!((declare.query.sql.as_str(), declare.query.offset), ("SELECT 'é', x", 60));
}
