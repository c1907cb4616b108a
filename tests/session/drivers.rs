//! Other drivers: psycopg 3, with parameters.

use std::process::Command;

use crate::support::TestCluster;

/// Prints `ok` at its end; every step before it asserts.
const PSYCOPG: &str = r#"
import datetime, decimal, sys
import psycopg

with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute(
        "CREATE TABLE p (i int, n numeric(10,2), d date, x text, b boolean, f float8, "
        "ts timestamptz, y bytea) DISTRIBUTED BY (i)")
    rows = [(i, decimal.Decimal(i) / 4, datetime.date(2020, 1, 1) + datetime.timedelta(i),
             f"it's {i}", i % 2 == 0, i / 8,
             datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.timezone.utc), bytes([i]))
            for i in range(50)]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO p VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", rows)
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            cursor.execute("SELECT * FROM p WHERE i = %s", (7,))
            assert cursor.fetchall() == [rows[7]], cursor
            cursor.execute("SELECT i FROM p WHERE d > %s AND n < %s ORDER BY i",
                           (datetime.date(2020, 1, 10), decimal.Decimal("3.5")))
            assert [r[0] for r in cursor] == [10, 11, 12, 13]
            cursor.execute("SELECT i FROM p WHERE x = %(name)s", {"name": "it's 3"})
            assert cursor.fetchone() == (3,)
            cursor.execute("SELECT %s::text, %s::int", (None, 5))
            assert cursor.fetchone() == (None, 5)
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT 1 / (i - %s) FROM p", (7,))
            cursor.fetchall()
            raise AssertionError("no error")
        except psycopg.errors.DivisionByZero:
            pass
        with cursor.copy("COPY p (i, x) FROM STDIN") as copy:
            for i in range(100, 200):
                copy.write_row((i, f"copied {i}"))
        cursor.execute("SELECT count(*), sum(i) FROM p")
        assert cursor.fetchone() == (150, sum(range(50)) + sum(range(100, 200)))
        # More often than psycopg's prepare_threshold: from then on the plan is a named one.
        for i in range(10):
            cursor.execute("SELECT x FROM p WHERE i = %s", (i,))
            assert cursor.fetchone() == (f"it's {i}",)
with psycopg.connect(sys.argv[1]) as connection:
    with connection.transaction():
        connection.execute("INSERT INTO p (i) VALUES (%s)", (1000,))
    try:
        with connection.transaction():
            connection.execute("INSERT INTO p (i) VALUES (%s)", (1001,))
            raise KeyError
    except KeyError:
        pass
    assert connection.execute("SELECT max(i) FROM p").fetchone() == (1000,)
print("ok")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_sends_parameters_and_gets_values() {
    if !has_psycopg().await {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let (ok, text) = run_python(PSYCOPG, &cluster.url()).await;
    assert!(ok && text.trim_end().ends_with("ok"), "{text}");
    cluster.stop().await;
}

/// Whether there is one; the test is to be skipped otherwise.
async fn has_psycopg() -> bool {
    let (has, _) = run_python("import psycopg", "").await;
    if !has {
        let required = std::env::var("KESTREL_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.contains("psycopg"), "missing: pip install 'psycopg[binary]'");
        println!("skipped: python3 has no psycopg; pip install 'psycopg[binary]'");
    }
    has
}

const LOGIN: &str = r#"
import sys
import psycopg

url = sys.argv[1]
with psycopg.connect(url.replace("kestrel@", "ann:pencil@")) as connection:
    assert connection.execute("SELECT current_user").fetchone() == ("ann",)
    assert connection.info.parameter_status("is_superuser") == "off"
try:
    psycopg.connect(url.replace("kestrel@", "ann:Pencil@"))
    raise AssertionError("it came in")
except psycopg.OperationalError as error:
    assert 'password authentication failed for user "ann"' in str(error), error
print("ok")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_knows_its_password() {
    if !has_psycopg().await {
        return;
    }
    let cluster = TestCluster::start(1).await;
    cluster.session().await.run_all(["CREATE USER ann PASSWORD 'pencil'"]).await;
    let rules = cluster.directory.path().join("hba.conf");
    std::fs::write(rules, "host all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    cluster.cluster.reload().unwrap();
    let (ok, text) = run_python(LOGIN, &cluster.url()).await;
    assert!(ok && text.trim_end().ends_with("ok"), "{text}");
    cluster.stop().await;
}

/// Whether the script succeeds, and what it prints.
async fn run_python(script: &str, argument: &str) -> (bool, String) {
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).arg(argument);
    match tokio::task::spawn_blocking(move || python.output()).await.unwrap() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            (output.status.success(), text.into_owned())
        }
        Err(error) => (false, error.to_string()),
    }
}
