//! `kestrel backup` and `kestrel restore`, with clusters whose shards are in files.

mod damage;
mod datanode;
mod take;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kestrel::{
    cluster::{Cluster, ClusterOptions, DatanodePlacement, ShardOptions},
    shards::ShardKind,
};
use tempfile::TempDir;

use crate::support::{
    Ended, Session, TestCluster, in_processes, options, own_processes, run_kestrel,
};

/// What the suite's shards are does not matter here.
fn columnar() -> ShardOptions {
    ShardOptions { kind: Some(ShardKind::Columnar), databases: Vec::new() }
}

async fn start(datanodes: u32) -> TestCluster {
    TestCluster::start_on(datanodes, columnar()).await
}

/// A cluster on a directory that was restored.
async fn start_restored(directory: TempDir) -> TestCluster {
    let placement = match in_processes() {
        true => own_processes(),
        false => DatanodePlacement::OneProcess,
    };
    let options = ClusterOptions { shards: columnar(), ..options(&directory, None, placement) };
    let cluster = Cluster::start(options).await;
    let cluster = cluster.unwrap_or_else(|e| panic!("a restored cluster does not start: {e}"));
    TestCluster { cluster, directory }
}

/// Rows that do not compress well.
fn rows(ids: std::ops::Range<u64>) -> String {
    let text = |id: u64| {
        let mixed = (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{id}\t{mixed:016x}{:016x}\n", mixed.rotate_left(29).wrapping_mul(0xbf58_476d))
    };
    ids.map(text).collect()
}

/// A table with rows on all datanodes.
async fn fill(session: &Session, count: u64) {
    session.run_all(["CREATE TABLE t (id int, x text) DISTRIBUTED BY (id)"]).await;
    assert_eq!(session.copy_in("COPY t FROM STDIN", rows(0..count)).await, Ok(count));
}

const SUMS: &str = "SELECT count(*), sum(id), min(x), max(x) FROM t";
/// What ANALYZE has found out.
const STATISTICS: &str = "SELECT attname::text, null_frac, n_distinct, histogram_bounds::text \
     FROM pg_stats WHERE tablename = 't' ORDER BY 1";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn succeed(arguments: &[&str]) -> Ended {
    let ended = run_kestrel(arguments).await;
    assert_eq!(ended.status, Some(0), "{arguments:?}: {ended:?}");
    ended
}

/// It fails in one line that says so.
async fn fail(arguments: &[&str], says: &str) {
    let ended = run_kestrel(arguments).await;
    assert_eq!(ended.status, Some(1), "{arguments:?}: {ended:?}");
    assert!(ended.stderr.trim_end().contains(says), "{arguments:?}: {ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{arguments:?}: {ended:?}");
}

async fn backup(url: &str, to: &Path) -> String {
    let ended = succeed(&["backup", text(to), "--url", url]).await;
    // backup 20261127T203301Z in …
    let name = ended.stdout.split(' ').nth(1).map(str::to_string);
    name.unwrap_or_else(|| panic!("no name in {ended:?}"))
}

/// Every file below a directory.
fn files_below(directory: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        // They come and go meanwhile.
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => directories.push(path),
                Ok(_) => {
                    files.insert(path);
                }
                Err(_) => {}
            }
        }
    }
    files
}
