//! `kestrel check`: what is damaged is found, and what is not is not complained of.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chrono::Utc;
use kestrel::{cluster::ShardOptions, shards::ShardKind};
use kestrel_coordinator::catalog::CatalogStore;
use kestrel_planner::catalog::{Catalog, CatalogChange, Distribution, TableDef};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ended, TestCluster, run_kestrel};

const PREPARE: &[&str] = &[
    "CREATE TABLE h (a int, b int, s text) DISTRIBUTED BY (a)",
    "INSERT INTO h SELECT i, i % 7, 'row ' || i FROM generate_series(1, 1000) AS i",
    "DELETE FROM h WHERE a % 10 = 0",
    "ALTER TABLE h ADD COLUMN later int DEFAULT 5",
    "CREATE TABLE r (a int, s text) DISTRIBUTED REPLICATED",
    "INSERT INTO r SELECT i, 'row ' || i FROM generate_series(1, 50) AS i",
    "INSERT INTO r SELECT i, NULL FROM generate_series(51, 60) AS i",
    "DELETE FROM r WHERE a % 10 = 0",
    "CREATE TABLE p (a int, b int) DISTRIBUTED BY (a) PARTITION BY RANGE (b)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
    "INSERT INTO p SELECT i, i % 20 FROM generate_series(1, 100) AS i",
    "CREATE TABLE moved (a int, b int) DISTRIBUTED BY (a)",
    "INSERT INTO moved SELECT i, i % 7 FROM generate_series(1, 100) AS i",
    "ALTER TABLE moved SET DISTRIBUTED BY (b)",
];

/// A cluster with tables, that has stopped.
async fn stopped() -> TempDir {
    let columnar = ShardOptions { kind: Some(ShardKind::Columnar), databases: Vec::new() };
    let cluster = TestCluster::start_on(3, columnar).await;
    let session = cluster.session().await;
    session.run_all(PREPARE).await;
    drop(session);
    // Somebody runs there.
    let busy = run(cluster.directory.path()).await;
    assert_eq!(busy.status, Some(1), "{busy:?}");
    assert!(busy.stdout.is_empty(), "{busy:?}");
    let TestCluster { cluster, directory } = cluster;
    cluster.stop().await;
    directory
}

async fn run(data: &Path) -> Ended {
    let data = data.to_str().unwrap();
    let ended = run_kestrel(&["check", "--data", data, "--json"]).await;
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    ended
}

/// Kind, table, datanode and number of rows of each problem.
type Found = BTreeSet<(String, String, Option<String>, Option<u64>)>;

async fn problems(data: &Path) -> Found {
    let ended = run(data).await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| {
        panic!("{e}: {ended:?}");
    });
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(ended.status, Some(i32::from(!problems.is_empty())), "{ended:?}");
    let text = |value: &Value| value.as_str().map(str::to_string);
    let problems = problems.iter().map(|problem| {
        let table = text(&problem["table"]).unwrap_or_default();
        let kind = text(&problem["kind"]).unwrap();
        (kind, table, text(&problem["datanode"]), problem["rows"].as_u64())
    });
    problems.collect()
}

/// All files of segments and delete vectors.
fn files(data: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![data.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.components().any(|part| part.as_os_str() == "segments") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Changes the catalog behind the cluster's back.
fn change(data: &Path, changes: impl FnOnce(&Catalog) -> Vec<CatalogChange>) {
    let store = CatalogStore::open(data).unwrap();
    let changes = changes(&store.snapshot());
    store.commit(None, changes, Utc::now()).unwrap();
}

fn alter(catalog: &Catalog, name: &str, edit: impl FnOnce(&mut TableDef)) -> CatalogChange {
    let before = catalog.table("public", name).unwrap().without_segments();
    let mut after = before.clone();
    edit(&mut after);
    CatalogChange::AlterTable { before: Box::new(before), after: Box::new(after) }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_found() {
    let directory = stopped().await;
    let data = directory.path();
    assert_eq!(problems(data).await, Found::new());
    let text = run_kestrel(&["check", "--data", data.to_str().unwrap()]).await;
    assert_eq!(text.status, Some(0), "{text:?}");
    assert!(text.stdout.contains(" rows: 0 problems"), "{text:?}");
    let files = files(data);
    assert!(files.len() > 12, "{files:?}");
    for file in &files {
        let whole = fs::read(file).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x10;
        for bytes in [Some(&damaged[..]), Some(&whole[1..]), None] {
            match bytes {
                Some(bytes) => fs::write(file, bytes).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            let found = problems(data).await;
            let kinds: Vec<_> = found.iter().map(|problem| problem.0.as_str()).collect();
            assert_eq!(kinds, ["file"], "{}: {found:?}", file.display());
        }
        fs::write(file, whole).unwrap();
    }
    // What no table has is no problem.
    fs::write(data.join("dn1").join("segments").join("left"), "x").unwrap();
    assert_eq!(problems(data).await, Found::new());
    let ended = run(data).await;
    assert!(ended.stdout.contains("\"unknown_files\":1"), "{ended:?}");
    fs::rename(data.join("dn2"), data.join("elsewhere")).unwrap();
    let found = problems(data).await;
    let lost = ("directory".to_string(), String::new(), Some("dn2".to_string()), None);
    assert_eq!(found, [lost].into());
    let place = format!("dn2={}", data.join("elsewhere").display());
    let arguments = ["check", "--data", data.to_str().unwrap(), "--datanode", &place];
    let ended = run_kestrel(&arguments).await;
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_wrong_places_are_found() {
    let directory = stopped().await;
    let data = directory.path();
    // The rows of a table are where another key has them.
    let set = |key: u32| {
        move |catalog: &Catalog| {
            let key = Distribution::Hash(vec![key]);
            vec![alter(catalog, "h", |table| table.distribution = key)]
        }
    };
    change(data, set(2));
    let found = problems(data).await;
    assert!(!found.is_empty());
    for (kind, table, datanode, rows) in &found {
        assert_eq!((kind.as_str(), table.as_str()), ("placement", "h"), "{found:?}");
        assert!(datanode.is_some() && rows.is_some_and(|rows| rows > 0), "{found:?}");
    }
    change(data, set(1));
    assert_eq!(problems(data).await, Found::new());

    // Two partitions change their bounds.
    let swap = |catalog: &Catalog| {
        let bound = |name: &str| catalog.table("public", name).unwrap().partition_of.clone();
        let (first, second) = (bound("p1"), bound("p2"));
        vec![
            alter(catalog, "p1", |table| table.partition_of = second),
            alter(catalog, "p2", |table| table.partition_of = first),
        ]
    };
    change(data, swap);
    let found = problems(data).await;
    let tables: BTreeSet<_> = found.iter().map(|problem| problem.1.as_str()).collect();
    assert_eq!(tables, ["p1", "p2"].into());
    assert!(found.iter().all(|problem| problem.0 == "partition"), "{found:?}");
    assert_eq!(found.iter().filter_map(|problem| problem.3).sum::<u64>(), 100);
    change(data, swap);
    assert_eq!(problems(data).await, Found::new());

    // A copy loses a segment.
    change(data, |catalog| {
        let table = catalog.table("public", "r").unwrap();
        let segment = table.segments.iter().find(|segment| segment.datanode == 1).unwrap();
        let rewritten = vec![segment.rewritten()];
        vec![CatalogChange::ReplaceSegments { table: table.id, rewritten, segments: vec![] }]
    });
    let found = problems(data).await;
    assert_eq!(found, [("copies".to_string(), "r".to_string(), None, None)].into());
}
