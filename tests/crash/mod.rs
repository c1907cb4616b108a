//! A cluster's process ends at each step of a write, and its machine forgets what was not fsynced:
//! after the next start the statement is there whole or not at all, as the step says, and all that
//! was acknowledged before is there.
//!
//! `KESTREL_TEST_CRASH_ROUNDS` sets how often each step is tried with each statement: three rounds
//! lose nothing, bytes and all of what was not fsynced.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kestrel_proto::fail_point::FailPoint;
use tempfile::TempDir;

use crate::support::{Answer, Kestrel, Session, SuiteShards, in_processes, number_from_env};

/// What is lost of what was not fsynced.
const LOSSES: [&str; 3] = ["nothing", "bytes", "all"];

/// Before each crash: rows in segments on both datanodes, all of which have delete vectors, and
/// statistics of some of them.
const PREPARE: &[&str] = &[
    "DROP TABLE IF EXISTS made",
    "TRUNCATE t",
    "ALTER TABLE t SET DISTRIBUTED BY (id)",
    "INSERT INTO t SELECT i, 0, 'first' FROM generate_series(1, 600) AS i",
    "ANALYZE t",
    "INSERT INTO t SELECT i, 1, 'second' FROM generate_series(1001, 1600) AS i",
    "DELETE FROM t WHERE id % 10 = 9",
];

/// What a statement must leave as it was, or change as it does. All columns of all rows are read.
const QUESTIONS: &[&str] = &[
    "SELECT count(*), sum(id), sum(v), min(s), max(s), sum(length(s)) FROM t",
    "SELECT v, count(*) FROM t GROUP BY v ORDER BY v",
    "SELECT attname::text, n_distinct, most_common_vals::text, histogram_bounds::text FROM pg_stats \
     WHERE tablename = 't' ORDER BY 1",
    "SELECT distribution, key_columns FROM kestrel.table_distributions WHERE table_name = 't'",
    "SELECT count(*) FROM pg_class WHERE relname = 'made'",
];

/// What is under way when the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Insert,
    Copy,
    Update,
    Delete,
    CreateTableAs,
    Analyze,
    SetDistributed,
}

impl Write {
    const ALL: [Self; 7] = [
        Self::Insert,
        Self::Copy,
        Self::Update,
        Self::Delete,
        Self::CreateTableAs,
        Self::Analyze,
        Self::SetDistributed,
    ];

    fn sql(self) -> &'static str {
        match self {
            Self::Insert => {
                "INSERT INTO t SELECT i, 2, 'inserted' FROM generate_series(2001, 2900) AS i"
            }
            Self::Copy => "COPY t FROM STDIN",
            // Half of the rows move to other datanodes.
            Self::Update => {
                "UPDATE t SET v = 3, s = 'updated', id = CASE WHEN id % 2 = 0 THEN -id ELSE id END \
                 WHERE id % 3 = 1"
            }
            Self::Delete => "DELETE FROM t WHERE id % 7 = 1",
            Self::CreateTableAs => "CREATE TABLE made AS SELECT * FROM t DISTRIBUTED BY (id)",
            // Of all rows, which the statistics that are there are not.
            Self::Analyze => "ANALYZE t",
            Self::SetDistributed => "ALTER TABLE t SET DISTRIBUTED BY (s, id)",
        }
    }

    /// Whether it comes to this step.
    fn reaches(self, point: FailPoint) -> bool {
        match point {
            FailPoint::SegmentCreated
            | FailPoint::SegmentWritten
            | FailPoint::SegmentSynced
            | FailPoint::SegmentRenamed
            | FailPoint::SegmentListed => !matches!(self, Self::Delete | Self::Analyze),
            // They take the places of vectors that are there.
            FailPoint::VectorCreated
            | FailPoint::VectorWritten
            | FailPoint::VectorSynced
            | FailPoint::VectorRenamed
            | FailPoint::VectorListed => matches!(self, Self::Update | Self::Delete),
            FailPoint::GarbageBegun | FailPoint::FileRemoved => {
                matches!(self, Self::Update | Self::Delete | Self::SetDistributed)
            }
            FailPoint::CommitBegun
            | FailPoint::CatalogWritten
            | FailPoint::CatalogCommitted
            | FailPoint::CatalogCheckpointed => true,
        }
    }

    async fn run(self, session: &Session) -> Answer {
        if self != Self::Copy {
            return session.run(self.sql()).await;
        }
        let rows: String = (3001..3900).map(|id| format!("{id}\t4\tcopied\n")).collect();
        match session.copy_in(self.sql(), rows).await {
            Ok(rows) => Answer::Done(rows),
            Err(failure) => Answer::Error(failure),
        }
    }
}

/// Whether the statement is there when the process has ended here.
fn is_committed_at(point: FailPoint) -> bool {
    match point {
        FailPoint::SegmentCreated
        | FailPoint::SegmentWritten
        | FailPoint::SegmentSynced
        | FailPoint::SegmentRenamed
        | FailPoint::SegmentListed
        | FailPoint::VectorCreated
        | FailPoint::VectorWritten
        | FailPoint::VectorSynced
        | FailPoint::VectorRenamed
        | FailPoint::VectorListed
        | FailPoint::CommitBegun
        | FailPoint::CatalogWritten => false,
        FailPoint::CatalogCommitted
        | FailPoint::CatalogCheckpointed
        | FailPoint::GarbageBegun
        | FailPoint::FileRemoved => true,
    }
}

/// Whether datanodes come to it, each by itself.
fn is_of_datanodes(point: FailPoint) -> bool {
    point.name().starts_with("segment-") || point.name().starts_with("vector-")
}

/// One crash.
#[derive(Clone, Copy, Debug)]
struct Case {
    number: u64,
    point: FailPoint,
    write: Write,
    loss: &'static str,
    /// The process ends when it comes to the point for this time.
    times: u32,
}

/// Each step with each statement that comes there, so often as there are rounds.
fn cases(rounds: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for round in 0..rounds {
        let pairs = FailPoint::ALL.into_iter().flat_map(|point| Write::ALL.map(|w| (point, w)));
        let pairs = pairs.filter(|(point, write)| write.reaches(*point));
        for (place, (point, write)) in pairs.enumerate() {
            let number = cases.len() as u64 + 1;
            // Two datanodes write; when it is the second, the first may have done its part.
            let times =
                if is_of_datanodes(point) { 1 + (place as u32 + round as u32) % 2 } else { 1 };
            let loss = LOSSES[(place + round as usize) % LOSSES.len()];
            cases.push(Case { number, point, write, loss, times });
        }
    }
    cases
}

/// A cluster that ends where it is told.
struct Cluster {
    kestrel: Kestrel,
    data: TempDir,
    orders: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let (data, orders) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let kestrel = up(data.path(), orders.path(), &["--datanodes", "2"]).await;
        Self { kestrel, data, orders }
    }

    fn order(&self, point: FailPoint) -> PathBuf {
        self.orders.path().join(point.name())
    }

    async fn crash(mut self, case: &Case) -> (Self, Result<(), String>) {
        let session = self.kestrel.session().await;
        session.run_all(PREPARE).await;
        let before = state(&session).await;
        session.run_all(["BEGIN"]).await;
        let answer = case.write.run(&session).await;
        assert!(answer.sqlstate().is_none(), "{case:?}: {answer}");
        let after = state(&session).await;
        session.run_all(["ROLLBACK"]).await;
        assert_ne!(before, after, "{case:?} changes nothing");
        session.run_all([format!("INSERT INTO log VALUES ({})", case.number)]).await;
        let files = files(self.data.path());
        fs::write(self.order(case.point), format!("{} {}", case.times, case.loss)).unwrap();
        let answer = case.write.run(&session).await;
        if answer.sqlstate().is_none() {
            // Files go when nobody reads them any more: then it is a later commit that removes them.
            session.run("INSERT INTO log VALUES (0)").await;
        }
        // By a signal: then there is no status.
        let has_come_there = self.kestrel.ended().await.is_some_and(|ended| ended.status.is_none());
        fs::remove_file(self.order(case.point)).unwrap();
        self.kestrel = up(self.data.path(), self.orders.path(), &[]).await;
        let result = match has_come_there {
            true => self.check(case, [&before, &after], &files).await,
            false => Err(format!("it never came to that: {answer}")),
        };
        (self, result)
    }

    /// After the next start.
    async fn check(
        &self,
        case: &Case,
        [before, after]: [&State; 2],
        files_before: &BTreeSet<PathBuf>,
    ) -> Result<(), String> {
        let session = self.kestrel.session().await;
        let found = state(&session).await;
        let expected = if is_committed_at(case.point) { after } else { before };
        if found != *expected {
            return Err(format!("there is {found:?}, not {expected:?}"));
        }
        let log = session.value("SELECT count(*) FROM log WHERE n > 0").await;
        if log != case.number.to_string() {
            return Err(format!("{log} of {} acknowledged rows are there", case.number));
        }
        let files = files(self.data.path());
        if !is_committed_at(case.point) && !files.is_subset(files_before) {
            let left: Vec<_> = files.difference(files_before).collect();
            return Err(format!("files are left: {left:?}"));
        }
        // And the table can be written again.
        let again = case.write.run(&session).await;
        match again.sqlstate() {
            Some("42P07") if is_committed_at(case.point) => Ok(()),
            Some(_) => Err(format!("{}: {again}", case.write.sql())),
            None => Ok(()),
        }
    }
}

async fn up(data: &Path, orders: &Path, arguments: &[&str]) -> Kestrel {
    let variable = ("KESTREL_FAIL_POINTS", orders.to_str().unwrap());
    // What is ordered is for the statement, not for what writes segments anew meanwhile.
    let arguments = [arguments, &["--auto-vacuum", "false"]].concat();
    Kestrel::up_in_environment(data, &arguments, &[variable]).await
}

/// The answers to all questions.
type State = Vec<Answer>;

async fn state(session: &Session) -> State {
    let mut state = Vec::new();
    for question in QUESTIONS {
        state.push(session.run(question).await);
    }
    if state.last() == Some(&Answer::Rows { columns: 1, rows: vec![vec![Some("1".into())]] }) {
        state.push(session.run("SELECT count(*), sum(id), sum(v), max(s) FROM made").await);
    }
    state
}

/// All files in directories of segments.
fn files(data: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut directories = vec![data.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.components().any(|part| part.as_os_str() == "segments") {
                files.insert(path);
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_there_whole_or_not_at_all_wherever_its_process_ends() {
    // Coordinator and datanodes end together.
    if SuiteShards::from_env() != SuiteShards::Columnar || in_processes() {
        return;
    }
    let mut cluster = Cluster::start().await;
    let session = cluster.kestrel.session().await;
    session
        .run_all([
            "CREATE TABLE t (id int, v int, s text) DISTRIBUTED BY (id)",
            "CREATE TABLE log (n int) DISTRIBUTED BY (n)",
            "ALTER DATABASE kestrel SET kestrel.auto_analyze = off",
        ])
        .await;
    drop(session);
    let cases = cases(number_from_env("KESTREL_TEST_CRASH_ROUNDS", 1));
    let mut wrong = Vec::new();
    for case in &cases {
        let result;
        (cluster, result) = cluster.crash(case).await;
        if let Err(what) = result {
            println!("{case:?}: {what}");
            wrong.push(format!("{case:?}: {what}"));
        }
    }
    println!("{} crashes", cases.len());
    assert!(wrong.is_empty(), "{} crashes go wrong:\n{}", wrong.len(), wrong.join("\n"));
    cluster.kestrel.kill().await;
}
