//! `testdata/expressions.txt`: lines of `expression => outcome`, the outcomes written by
//! PostgreSQL 15 (`SELECT pg_typeof(x), x::text`, or the SQLSTATE and message).

use super::{agrees, outcome, session};

const CASES: &str = include_str!("../testdata/expressions.txt");

#[tokio::test]
async fn expressions_give_what_postgresql_gives() {
    let session = session();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in CASES.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
        let (expression, expected) = line.split_once(" => ").expect(line);
        let found = outcome(&session, &format!("SELECT {expression}")).await;
        count += 1;
        if !agrees(&found, expected) {
            wrong.push(format!("{expression}\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(count > 100, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
