//! The real psql: its backslash commands send queries to pg_catalog and must get the truth.

use std::process::Command;

use kestrel::postgres::Programs;

use crate::support::TestCluster;

/// psql's arguments, and what its output must contain: beginnings of lines, blanks squeezed.
type Case = (&'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    (
        &["-c", "\\dt"],
        &[
            "List of relations",
            "public | distributed_sales | table | kestrel",
            "public | t | table | kestrel",
            "(2 rows)",
        ],
    ),
    (&["-c", "\\dt s.*"], &["s | u | table | kestrel", "(1 row)"]),
    (&["-c", "\\d"], &["public | t | table | kestrel"]),
    (
        &["-c", "\\d t"],
        &[
            "Table \"public.t\"",
            "Column | Type | Collation | Nullable | Default",
            "id | integer | | not null |",
            "name | character varying(10) | | | 'none'::character varying",
            "price | numeric(10,2) | | |",
            "at | timestamp with time zone | | |",
            "Indexes:",
            "\"t_pkey\" PRIMARY KEY, btree (id)",
        ],
    ),
    (
        &["-c", "\\d distributed_sales"],
        &[
            "sale_id | bigint | | not null | nextval('distributed_sales_sale_id_seq'::regclass)",
            "customer_id | integer | | not null |",
            "sale_date | date | | not null |",
            "amount | numeric(10,2) | | not null |",
        ],
    ),
    (&["-c", "\\d missing"], &["Did not find any relation named \"missing\"."]),
    (
        &["-c", "\\d+ v"],
        &[
            "View \"public.v\"",
            "id | integer | | | | plain | its number",
            "name | character varying(10) | | | | extended |",
            "View definition:",
            "SELECT id, name FROM t WHERE id > 1;",
        ],
    ),
    (&["-c", "\\dv"], &["public | v | view | kestrel", "(1 row)"]),
    (
        &["-c", "\\dt+ s.*"],
        &["s | u | table | kestrel | permanent | columnar | 0 bytes | nobody's"],
    ),
    (
        &["-c", "\\d s.u"],
        &[
            "Table \"s.u\"",
            "Indexes:",
            "\"u_a_idx\" btree (a)",
            "Check constraints:",
            "\"u_a_check\" CHECK (a > 0)",
        ],
    ),
    (
        &["-c", "\\d+ parts.sales"],
        &[
            "Partitioned table \"parts.sales\"",
            "day | date | | | | plain |",
            "Partition key: RANGE (day)",
            "Partitions: parts.january FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
        ],
    ),
    (
        &["-c", "\\d parts.january"],
        &["Partition of: parts.sales FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')"],
    ),
    (&["-c", "\\di s.*"], &["s | u_a_idx | index | kestrel | u", "(1 row)"]),
    (&["-c", "SELECT * FROM v"], &["2 | none", "(1 row)"]),
    (&["-c", "\\l"], &["List of databases", "kestrel | kestrel | UTF8"]),
    (&["-c", "\\dn"], &["List of schemas", "public", "s"]),
    (&["-c", "\\timing", "-c", "SELECT 1 AS one"], &["Timing is on.", "one", "1", "Time: "]),
    (&["-c", "\\conninfo"], &["You are connected to database \"kestrel\" as user \"kestrel\""]),
    (&["-c", "\\echo :SERVER_VERSION_NUM"], &["150000"]),
    (&["-c", "SHOW server_version"], &["15.0 (Kestrel"]),
    (&["-c", "SELECT id, name FROM t ORDER BY id"], &["1 | a", "2 | none", "(2 rows)"]),
    (&["-c", "SELECT 1 AS a; SELECT 2 AS b"], &["a", "1", "b", "2"]),
    (
        &["--set=VERBOSITY=verbose", "-c", "SELECT missing FROM t"],
        &["ERROR: 42703: column \"missing\" does not exist", "LINE 1: SELECT missing FROM t", "^"],
    ),
    (&["--csv", "-c", "SELECT id, name FROM t ORDER BY id"], &["id,name", "1,a", "2,none"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn its_commands_work_and_tell_the_truth() {
    let Some(programs) = Programs::for_tests().unwrap_or_else(|e| panic!("{e}")) else { return };
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (id int PRIMARY KEY, name varchar(10) DEFAULT 'none', \
             price numeric(10,2), at timestamptz)",
            "CREATE TABLE distributed_sales (sale_id BIGSERIAL, customer_id INT NOT NULL, \
             sale_date DATE NOT NULL, amount DECIMAL(10,2) NOT NULL) DISTRIBUTED BY (customer_id);",
            "CREATE SCHEMA s",
            "CREATE TABLE s.u (a int CHECK (a > 0)) DISTRIBUTED RANDOMLY",
            "CREATE INDEX ON s.u (a)",
            "COMMENT ON TABLE s.u IS 'nobody''s'",
            "CREATE SCHEMA parts",
            "CREATE TABLE parts.sales (id int, day date) PARTITION BY RANGE (day)",
            "CREATE TABLE parts.january PARTITION OF parts.sales \
             FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
            "CREATE VIEW v AS SELECT id, name FROM t WHERE id > 1",
            "COMMENT ON COLUMN v.id IS 'its number'",
            "INSERT INTO t VALUES (1, 'a', 1.5, '2020-01-01 00:00:00+00')",
            "INSERT INTO t (id) VALUES (2)",
        ])
        .await;
    let mut wrong = Vec::new();
    for (arguments, expected) in CASES {
        let mut psql = Command::new(programs.psql());
        psql.arg(cluster.url()).arg("--no-psqlrc").args(*arguments);
        let output = tokio::task::spawn_blocking(move || psql.output()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let lines: Vec<String> = text.lines().map(one_space).collect();
        for wanted in *expected {
            if !lines.iter().any(|line| line.starts_with(&one_space(wanted))) {
                wrong.push(format!("{arguments:?}: no line is '{wanted}':\n{text}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_copy_loads_and_writes_files() {
    let Some(programs) = Programs::for_tests().unwrap_or_else(|e| panic!("{e}")) else { return };
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int, name text) DISTRIBUTED BY (id)"]).await;
    let file = cluster.directory.path().join("rows.csv");
    let rows: String = (1..=5000).map(|id| format!("{id},\"name, {id}\"\n")).collect();
    std::fs::write(&file, rows).unwrap();
    let mut psql = Command::new(programs.psql());
    psql.arg(cluster.url()).arg("--no-psqlrc");
    psql.arg("-c").arg(format!("\\copy t FROM '{}' CSV", file.display()));
    let output = tokio::task::spawn_blocking(move || psql.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "COPY 5000");
    assert_eq!(session.value("SELECT count(*) + sum(id) FROM t").await, "12507500");
    // And writes it again, the same.
    let written = cluster.directory.path().join("written.csv");
    let query = "(SELECT * FROM t ORDER BY id)";
    let mut psql = Command::new(programs.psql());
    psql.arg(cluster.url()).arg("--no-psqlrc");
    psql.arg("-c").arg(format!("\\copy {query} TO '{}' CSV", written.display()));
    let output = tokio::task::spawn_blocking(move || psql.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "COPY 5000");
    assert_eq!(std::fs::read(&written).unwrap(), std::fs::read(&file).unwrap());
    cluster.stop().await;
}

fn one_space(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
