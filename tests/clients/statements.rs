//! Every statement that psql's backslash commands and pg_dump send, and some of other tools, on
//! Kestrel and on PostgreSQL 15: it must run, and see what PostgreSQL sees.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use crate::support::{Answer, Session, TestCluster, postgres};

/// Statements as data: what each file is, it says at its top; and whether it is one transaction.
const FILES: &[(&str, bool)] = &[("psql", false), ("pg_dump", true), ("tools", false)];

/// One statement of a file.
struct Case {
    /// Which command sends it.
    name: String,
    sql: String,
    /// Rows that only one of the two may have, with `- ` (PostgreSQL) or `+ ` (Kestrel) before
    /// them; a row of Kestrel that begins with `! ` is an error; `None`: it must only run.
    differences: Option<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn run_and_see_what_postgresql_shows() {
    let Some(postgres) = postgres() else { return };
    let server = postgres.connection_string();
    Session::connect(&server)
        .await
        .run_all([
            "CREATE ROLE kestrel LOGIN SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS",
            "CREATE DATABASE kestrel OWNER kestrel",
        ])
        .await;
    let server = server.replace("user=postgres dbname=postgres", "user=kestrel dbname=kestrel");
    let cluster = TestCluster::start(2).await;
    let (theirs, ours) = (Session::connect(&server).await, cluster.session().await);
    let schema = read("schema");
    for session in [&theirs, &ours] {
        session.run_all(statements(&schema)).await;
    }

    let mut wrong = String::new();
    for (file, is_block) in FILES {
        // Each file sets what suits its client.
        let (theirs, ours) = (Session::connect(&server).await, cluster.session().await);
        let text = read(file);
        let mut cases = cases(&text);
        for case in &mut cases {
            compare(&theirs, &ours, case, *is_block, &mut wrong).await;
        }
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(path(file), print(&text, &cases)).unwrap();
        }
    }
    let rewritten = std::env::var_os("REWRITE").is_some();
    assert!(wrong.is_empty() || rewritten, "{wrong}");
    cluster.stop().await;
}

/// Runs one case on both; says in `wrong` what is not as the case has it, and puts what is so
/// into the case.
async fn compare(
    theirs: &Session,
    ours: &Session,
    case: &mut Case,
    is_block: bool,
    wrong: &mut String,
) {
    let expected = run(theirs, &case.sql).await;
    let expected =
        expected.unwrap_or_else(|e| panic!("PostgreSQL: {}: {}\n{e}", case.name, case.sql));
    let rows = match run(ours, &case.sql).await {
        Ok(rows) => rows,
        Err(error) => {
            if is_block {
                ours.run_all(["ROLLBACK", "BEGIN"]).await;
            }
            if case.differences.is_some() {
                vec![format!("! {}", error.lines().next().unwrap_or_default())]
            } else {
                let _ = write!(wrong, "\n== {}\n{}\n{error}\n", case.name, case.sql);
                return;
            }
        }
    };
    let Some(differences) = &mut case.differences else { return };
    let missing = expected.iter().filter(|row| !rows.contains(row)).map(|row| format!("- {row}"));
    let more = rows.iter().filter(|row| !expected.contains(row)).map(|row| format!("+ {row}"));
    let found: Vec<String> = missing.chain(more).collect();
    if found != *differences {
        let (found, known) = (found.join("\n"), differences.join("\n"));
        let _ = write!(wrong, "\n== {}\n{}\n{found}\nexpected:\n{known}\n", case.name, case.sql);
    }
    *differences = found;
}

/// The statement's rows, sorted: values joined by `|`, NULL as `~`, what differs from server to
/// server as `OID` and `SIZE`.
async fn run(session: &Session, sql: &str) -> Result<Vec<String>, String> {
    let sql = with_oids(session, sql).await;
    if sql.starts_with("COPY ") {
        let data = session.copy_out(&sql).await.map_err(|e| e.to_string())?;
        return Ok(String::from_utf8_lossy(&data).lines().map(str::to_string).collect());
    }
    match session.run(&sql).await {
        Answer::Rows { rows, .. } => {
            let line = |row: Vec<Option<String>>| {
                row.iter().map(|v| neutral(v.as_deref())).collect::<Vec<_>>().join("|")
            };
            let mut lines: Vec<String> = rows.into_iter().map(line).collect();
            lines.sort();
            Ok(lines)
        }
        Answer::Done(_) => Ok(vec![]),
        Answer::Error(failure) => Err(failure.to_string()),
    }
}

/// `{name}` is the OID of the relation.
async fn with_oids(session: &Session, sql: &str) -> String {
    let mut sql = sql.to_string();
    for name in ["lineitem", "v"] {
        let placeholder = format!("{{{name}}}");
        if sql.contains(&placeholder) {
            let oid = session.value(&format!("SELECT 'public.{name}'::regclass::oid")).await;
            sql = sql.replace(&placeholder, &oid);
        }
    }
    sql
}

fn neutral(value: Option<&str>) -> String {
    let Some(value) = value else { return "~".into() };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if value.len() >= 5 && digits(value) {
        return "OID".into();
    }
    match value.split_once(' ') {
        Some((number, "bytes" | "kB" | "MB")) if digits(number) => "SIZE".into(),
        _ => value.replace('\n', "\\n"),
    }
}

/// `== name`, the statement, `----`, differences.
fn cases(text: &str) -> Vec<Case> {
    let blocks = text.split("\n== ").skip(1);
    let blocks = blocks.map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        let (sql, differences) = match rest.split_once("\n----\n") {
            Some((sql, differences)) => (sql, Some(differences)),
            None => (rest, None),
        };
        let lines =
            |text: &str| text.lines().filter(|l| !l.is_empty()).map(str::to_string).collect();
        Case { name: name.into(), sql: sql.trim_end().into(), differences: differences.map(lines) }
    });
    let cases: Vec<Case> = blocks.collect();
    assert!(cases.len() > 40, "only {} statements", cases.len());
    cases
}

/// The file again, with the differences that were found.
fn print(text: &str, cases: &[Case]) -> String {
    let mut printed = text.split("\n== ").next().unwrap_or_default().to_string();
    for case in cases {
        let _ = write!(printed, "\n== {}\n{}\n", case.name, case.sql);
        let Some(differences) = &case.differences else { continue };
        printed.push_str("----\n");
        differences.iter().for_each(|line| printed.push_str(&format!("{line}\n")));
    }
    printed
}

/// The statements of a script without its comments.
fn statements(script: &str) -> Vec<String> {
    let code: Vec<&str> = script.lines().filter(|line| !line.starts_with("--")).collect();
    code.join("\n")
        .split(';')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(str::to_string)
        .collect()
}

fn path(file: &str) -> String {
    format!("tests/clients/statements/{file}.sql")
}

fn read(file: &str) -> String {
    let path = path(file);
    std::fs::read_to_string(Path::new(&path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// No two of a client's statements are the same.
#[test]
fn are_written_once() {
    for (file, _) in FILES {
        let mut seen = BTreeMap::new();
        for case in cases(&read(file)) {
            let before = seen.insert(case.sql.clone(), case.name.clone());
            assert!(before.is_none(), "{file}: {} and {before:?}: {}", case.name, case.sql);
        }
    }
}
