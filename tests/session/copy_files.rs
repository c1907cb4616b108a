//! `COPY … FROM` files of the server.

use std::{fmt::Write, fs, path::PathBuf};

use crate::support::{Session, TestCluster};

/// Enough rows that each of three datanodes reads a part of one file.
const ROWS: usize = 600_000;

/// A directory whose files may be loaded.
struct Files {
    _directory: tempfile::TempDir,
    base: PathBuf,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(directory.path()).unwrap();
        Self { _directory: directory, base }
    }

    fn write(&self, name: &str, data: &str) {
        fs::write(self.base.join(name), data).unwrap();
    }

    /// As it stands in a statement.
    fn path(&self, name: &str) -> String {
        self.base.join(name).to_string_lossy().into_owned()
    }

    async fn allow(&self, session: &Session) {
        let path = self.path("");
        session.run_all([format!("SET kestrel.copy_directories = '{path}'")]).await;
    }
}

fn lines(rows: usize) -> String {
    let mut text = String::from("id,name,n\n");
    for id in 1..=rows {
        let _ = match id % 1000 {
            0 => writeln!(text, "{id},\"two\nlines, \"\"{id}\"\"\",{id}.25"),
            _ => writeln!(text, "{id},name of row {id} and a bit more,{id}.25"),
        };
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_read_by_all_and_each_row_once() {
    let (cluster, files) = (TestCluster::start(3).await, Files::new());
    let session = cluster.session().await;
    files.allow(&session).await;
    files.write("a.csv", &lines(ROWS));
    let copy = format!("COPY t FROM '{}' (FORMAT csv, HEADER match)", files.path("a.csv"));
    for layout in ["BY (id)", "RANDOMLY", "REPLICATED"] {
        let create =
            format!("CREATE TABLE t (id int, name text, n numeric(9,2)) DISTRIBUTED {layout}");
        session.run_all(["DROP TABLE IF EXISTS t", &create, &copy]).await;
        let facts = "SELECT count(*), count(DISTINCT id), sum(id), sum(n - id)::int, \
                     count(*) FILTER (WHERE name LIKE E'two\\nlines, \"%\"') FROM t";
        let facts = session.rows(facts).await.remove(0).into_iter().flatten().collect::<Vec<_>>();
        let expected = [
            ROWS.to_string(),
            ROWS.to_string(),
            (ROWS * (ROWS + 1) / 2).to_string(),
            (ROWS / 4).to_string(),
            (ROWS / 1000).to_string(),
        ];
        assert_eq!(facts, expected, "{layout}");
    }
    // A wrong value far behind is told with its line, and nothing stays.
    let mut bad = lines(ROWS);
    let _ = writeln!(bad, "x,y,1");
    files.write("a.csv", &bad);
    let failure = session.failure(&copy).await;
    assert_eq!(failure.sqlstate, "22P02");
    assert_eq!(failure.message, "invalid input syntax for type integer: \"x\"");
    let line = 1 + ROWS + ROWS / 1000 + 1;
    let context = format!("COPY t, line {line}, column id: \"x\"");
    assert!(failure.context.is_some_and(|found| found.starts_with(&context)), "{context}");
    assert_eq!(session.value("SELECT count(*) FROM t").await, ROWS.to_string());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_directory_and_of_a_pattern() {
    let (cluster, files) = (TestCluster::start(2).await, Files::new());
    let session = cluster.session().await;
    files.allow(&session).await;
    files.write("a.txt", "1\ta\n2\t\\N\n\\.\n9\tz\n");
    files.write("b.txt", "3\tc");
    files.write("_x.txt", "x");
    session.run_all(["CREATE TABLE t (id int, name text DEFAULT 'd') DISTRIBUTED BY (id)"]).await;
    let all = "SELECT string_agg(id::text || coalesce(name, '-'), ' ' ORDER BY id) FROM t";
    for (path, options, expected) in [
        ("a.txt", "", "1a 2-"),
        ("", "", "1a 2- 3c"),
        ("[bc].txt", "", "3c"),
        ("?.txt", "WHERE id <> 2", "1a 3c"),
    ] {
        session.run_all(["TRUNCATE t"]).await;
        session.run_all([format!("COPY t FROM '{}' {options}", files.path(path))]).await;
        assert_eq!(session.value(all).await, expected, "{path} {options}");
    }
    session.run_all(["TRUNCATE t"]).await;
    files.write("c.csv", "5\n6\n");
    session.run_all([format!("COPY t (id) FROM '{}' CSV", files.path("c.csv"))]).await;
    assert_eq!(session.value(all).await, "5d 6d");
    files.write("d.csv", "7\nx\n");
    let copy = format!("COPY t (id) FROM '{}' CSV", files.path("*.csv"));
    let rejects = format!("{copy} LOG ERRORS SEGMENT REJECT LIMIT 50 PERCENT");
    session.run_all(["TRUNCATE t", &rejects]).await;
    assert_eq!(session.value(all).await, "5d 6d 7d");
    let kept = "SELECT filename || ' ' || linenum::text FROM kestrel.copy_errors";
    assert_eq!(session.value(kept).await, format!("{} 2", files.path("d.csv")));
    let failure = session.failure(&copy).await;
    let context = failure.context.unwrap_or_default();
    assert!(context.starts_with("COPY t, line 2, column id: \"x\""), "{context}");
    let detail = format!("It is in file \"{}\".", files.path("d.csv"));
    assert_eq!(failure.detail.as_deref(), Some(detail.as_str()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_table_hold_for_files() {
    let (cluster, files) = (TestCluster::start(2).await, Files::new());
    let session = cluster.session().await;
    files.allow(&session).await;
    let create = "CREATE TABLE t (id int NOT NULL CHECK (id < 100), k bigserial, name varchar(3)) \
                  DISTRIBUTED BY (id) PARTITION BY RANGE (id) (START (0) END (50) EVERY (25))";
    session.run_all([create]).await;
    let copy = format!("COPY t (id, name) FROM '{}'", files.path("a.txt"));
    for (data, sqlstate) in [
        ("1\ta\n\\N\tb\n", "23502"),
        ("1\tabcd\n", "22001"),
        ("60\ta\n", "23514"),
        ("160\ta\n", "23514"),
        ("1\n", "22P04"),
    ] {
        files.write("a.txt", data);
        assert_eq!(session.failure(&copy).await.sqlstate, sqlstate, "{data}");
    }
    files.write("a.txt", "1\ta\n30\tb\n");
    session.run_all([&copy]).await;
    let facts = "SELECT count(*) || ' ' || count(DISTINCT k) || ' ' || sum(id) FROM t";
    assert_eq!(session.value(facts).await, "2 2 31");
    // As in a block with other statements.
    session.run_all(["BEGIN", &copy, "ROLLBACK"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "2");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_directories_that_a_superuser_has_named() {
    let (cluster, files) = (TestCluster::start(1).await, Files::new());
    let session = cluster.session().await;
    files.write("a.txt", "1\n");
    let path = files.path("a.txt");
    let copy = format!("COPY t FROM '{path}'");
    session.run_all(["CREATE TABLE t (id int) DISTRIBUTED BY (id)", "CREATE ROLE loader"]).await;
    session.run_all(["GRANT INSERT, SELECT ON t TO loader"]).await;
    let failure = session.failure(&copy).await;
    assert_eq!(failure.sqlstate, "42501");
    assert_eq!(failure.message, format!("permission denied to COPY from file \"{path}\""));
    assert!(failure.hint.is_some_and(|hint| hint.contains("\\copy")));
    files.allow(&session).await;
    assert_eq!(session.failure("COPY t FROM '/etc/passwd'").await.sqlstate, "42501");
    let up = files.path("../../etc/passwd");
    assert_eq!(session.failure(&format!("COPY t FROM '{up}'")).await.sqlstate, "42501");
    let missing = session.failure(&format!("COPY t FROM '{}'", files.path("b.txt"))).await;
    assert_eq!(missing.sqlstate, "58P01");
    session.run_all(["SET ROLE loader", &copy]).await;
    let set = "SET kestrel.copy_directories = '/'";
    assert_eq!(session.failure(set).await.sqlstate, "42501");
    assert_eq!(session.value("SELECT count(*) FROM t").await, "1");
    cluster.stop().await;
}
