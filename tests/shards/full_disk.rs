//! A database whose disk is full: clients are told so, nothing is half there, reads go on, and writes
//! too, once there is space.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{Answer, Failure, Session, ShardServers, TestCluster};

const PATIENCE: Duration = Duration::from_secs(60);
/// Besides what the server has already.
const SPACE_KB: u64 = 12 << 10;
/// Of one INSERT, about 1 kB each: a few of them are more than the space.
const ROWS: u64 = 4000;
const BOUND: u64 = 50;

/// A small file system in memory; it goes when this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// On this directory; `None`: we may not mount.
    fn mount(directory: &Path, size_kb: u64) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size_kb}k,mode=0700"), "none"]);
        let output = mount.arg(directory).output();
        match output {
            Ok(output) if output.status.success() => Some(Self(directory.to_path_buf())),
            output => {
                eprintln!("skipped: no file system can be mounted here: {output:?}");
                None
            }
        }
    }

    fn grow_to(&self, size_kb: u64) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={size_kb}k")]);
        assert!(mount.arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once, though the server has files open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn shell(script: &str, arguments: [&Path; 2]) {
    let status = Command::new("sh").args(["-ec", script, "sh"]).args(arguments).status().unwrap();
    assert!(status.success(), "{script}");
}

/// Moves the tables of a server to a small disk of their own. Its log stays where it is: without space
/// for that a server ends, which is another test's.
async fn move_to_small_disk(servers: &ShardServers, index: usize) -> Option<(SmallDisk, u64)> {
    let server = servers.server(index);
    let base = server.socket_directory().join("data/base");
    let elsewhere = server.socket_directory().join("data/elsewhere");
    let used = Command::new("du").args(["-sk"]).arg(&base).output().unwrap();
    let used = String::from_utf8(used.stdout).unwrap();
    let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
    server.stop().unwrap();
    shell("mv \"$1\" \"$2\"; mkdir \"$1\"", [&base, &elsewhere]);
    let size_kb = used + SPACE_KB;
    let disk = SmallDisk::mount(&base, size_kb)?;
    shell("cp -a \"$2\"/. \"$1\"; chown --reference=\"$2\" \"$1\"", [&base, &elsewhere]);
    servers.start_again(index).await;
    Some((disk, size_kb))
}

fn insert(round: u64) -> String {
    format!(
        "INSERT INTO t SELECT g, {round}, repeat(md5(g::text), 30) \
         FROM generate_series(1, {ROWS}) g"
    )
}

fn copy_data(round: u64) -> String {
    let text = "x".repeat(900);
    (1..=ROWS).map(|id| format!("{id}\t{round}\t{text}\n")).collect()
}

/// Writes, by statements and by COPY in turns, until one fails; how many did not.
async fn fill(session: &Session) -> (u64, Failure) {
    for round in 0..BOUND {
        let written = if round.is_multiple_of(2) {
            match session.run(&insert(round)).await {
                Answer::Error(failure) => Err(failure),
                _ => Ok(()),
            }
        } else {
            session.copy_in("COPY t FROM STDIN", copy_data(round)).await.map(|_| ())
        };
        if let Err(failure) = written {
            return (round, failure);
        }
    }
    panic!("the disk is not full after {BOUND} times {ROWS} kB");
}

/// All that was written is there, on both databases together and through the cluster, nothing else.
async fn check_rows(session: &Session, servers: &ShardServers, rounds: u64, case: &str) {
    let rows = (rounds * ROWS).to_string();
    let seen = session.value("SELECT count(*) FROM t").await;
    assert_eq!(seen, rows, "{case}");
    assert_eq!(session.value("SELECT count(DISTINCT round) FROM t").await, rounds.to_string());
    let mut total = 0;
    for index in 0..2 {
        let database = Session::connect(&servers.server(index).connection_string()).await;
        total += database.value("SELECT count(*) FROM public.t").await.parse::<u64>().unwrap();
        let prepared = "SELECT count(*) FROM pg_prepared_xacts";
        let started = Instant::now();
        while database.value(prepared).await != "0" {
            assert!(started.elapsed() < PATIENCE, "{case}: a transaction stays prepared");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(total.to_string(), rows, "{case}: on the databases");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_writes_and_nothing_else() {
    let Some(servers) = ShardServers::start(2) else { return };
    let Some((disk, size_kb)) = move_to_small_disk(&servers, 1).await else { return };
    let cluster = TestCluster::start_on(2, servers.options()).await;
    let session = cluster.session().await;
    let create = "CREATE TABLE t (id int, round int, x text) DISTRIBUTED BY (id)";
    session.run_all([create]).await;
    let (rounds, failure) = fill(&session).await;
    assert_eq!(failure.sqlstate, "53100", "{failure}");
    assert!(format!("{failure}").contains("dn2"), "it does not say where: {failure}");
    assert!(rounds > 0, "the disk was full from the start");
    check_rows(&session, &servers, rounds, "full").await;

    // What is written by a block goes with it, also where there is space. What a failed statement took
    // is there for others until a vacuum has taken it away: the disk is full for the next one, too.
    session.run_all(["BEGIN"]).await;
    let mut failed = None;
    for round in 0..BOUND {
        if let Answer::Error(failure) = session.run(&insert(1000 + round)).await {
            failed = Some(failure);
            break;
        }
    }
    let failure = failed.expect("a block can write without end");
    assert_eq!(failure.sqlstate, "53100", "{failure}");
    assert_eq!(session.failure("SELECT 1").await.sqlstate, "25P02");
    session.run_all(["ROLLBACK"]).await;
    check_rows(&session, &servers, rounds, "after a block").await;
    let reads = "SELECT count(*), sum(length(x)) > 0 FROM t WHERE id <= 100";
    let right = [[Some((rounds * 100).to_string()), Some("t".to_string())]];
    assert_eq!(session.rows(reads).await, right);

    disk.grow_to(size_kb + (1 << 20));
    session.run_all([insert(rounds)]).await;
    let copied = session.copy_in("COPY t FROM STDIN", copy_data(rounds + 1)).await;
    assert_eq!(copied, Ok(ROWS));
    check_rows(&session, &servers, rounds + 2, "with space again").await;
    cluster.stop().await;
}
