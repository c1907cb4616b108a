//! SQL in, what datanodes beside databases are asked out. The datanodes are recorders; they hold no
//! rows.

mod explain;
mod switches;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::{execution::SessionStateBuilder, prelude::SessionConfig};
use futures::StreamExt;
use kestrel_planner::{
    catalog::{CatalogChange, DatanodeDef, KES},
    functions::FunctionRegistry,
    memory::QueryMemory,
    operators::physical_rules,
    shard_sql::Capabilities,
};
use kestrel_proto::{
    BatchStream, Datanode, DatanodeHealth, DatanodeId, DropSegments, ErrorReport, ExchangeRequest,
    Ingest, IngestStream, QueryId, Result, ShardFacts, ShardIsolation, ShardResults, ShardRows,
    ShardStatements, SnapshotScope, SqlState, TransactionEnd, TransactionId,
    message::{Fragment, FragmentDescription, FragmentReport, ScanSql, SegmentKind, SegmentRef},
};
use parking_lot::Mutex;
use prost::Message;
use tempfile::TempDir;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{ClientSession, EngineBackend, NoticeSender, Outcome};
use crate::{
    catalog::CatalogHandle,
    cluster::ClusterSettings,
    compaction::AutoVacuum,
    engine::Engine,
    query::{Cluster, QueryLimits},
    server::{Backend, Clients, Session, StartupInfo},
};

/// A datanode takes so long to end a transaction.
const ENDING: Duration = Duration::from_millis(20);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was asked of all datanodes, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// What becomes of the next snapshot that a datanode is to open, or of the next fragment that it is
/// to describe.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Fails,
    /// Until nobody waits any more.
    Hangs,
}

/// By datanode.
type Troubles = Arc<Mutex<BTreeMap<u32, Trouble>>>;

#[derive(Debug)]
struct Recorder {
    id: u32,
    log: Log,
    troubles: Troubles,
}

impl Recorder {
    fn note(&self, what: String) {
        self.log.lock().push(format!("{} {what}", DatanodeId(self.id)));
    }

    async fn trouble(&self) -> Result<()> {
        let trouble = self.troubles.lock().remove(&self.id);
        match trouble {
            None => Ok(()),
            Some(Trouble::Hangs) => std::future::pending().await,
            Some(Trouble::Fails) => Err(ErrorReport::new(SqlState::TOO_MANY_CONNECTIONS, "none")),
        }
    }
}

#[async_trait]
impl Datanode for Recorder {
    fn id(&self) -> DatanodeId {
        DatanodeId(self.id)
    }

    async fn ingest(&self, ingest: Ingest, mut rows: IngestStream) -> Result<Vec<SegmentRef>> {
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            count += batch?.num_rows() as u64;
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let relation = ingest.relation.ok_or_else(|| ErrorReport::internal("no relation"))?;
        let goes_on = if ingest.continues { " goes on" } else { "" };
        self.note(format!("COPY {}{goes_on}", relation.table));
        let kind = SegmentKind::ShardRows.into();
        Ok(vec![SegmentRef { kind, rows: count, bytes: 8 * count, ..Default::default() }])
    }

    async fn execute(&self, order: ShardStatements) -> Result<ShardResults> {
        let isolation = match order.isolation {
            ShardIsolation::ReadCommitted => "",
            ShardIsolation::RepeatableRead => " in a block",
        };
        let goes_on = if order.continues { " goes on" } else { "" };
        let changes = |sql: &String| sql.starts_with("UPDATE") || sql.starts_with("DELETE");
        let affected_rows = order.statements.iter().map(|sql| changes(sql).into()).collect();
        for sql in order.statements {
            self.note(format!("{sql}{isolation}{goes_on}"));
        }
        Ok(ShardResults { affected_rows, notices: Vec::new() })
    }

    async fn open_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        let whose = match scope {
            SnapshotScope::Query(_) => "query",
            SnapshotScope::Transaction(_) => "transaction",
        };
        self.note(format!("opens a snapshot for a {whose}"));
        self.trouble().await
    }

    async fn describe(&self, fragment: Bytes) -> Result<FragmentDescription> {
        let fragment = Fragment::decode(fragment).unwrap();
        assert_eq!((fragment.datanode, fragment.coordinator_epoch), (self.id, 1));
        self.note(format!("describes slice {}", fragment.slice));
        self.trouble().await?;
        let queries = vec![format!("slice {} of dn{}", fragment.slice, self.id / 2 * 2 + 1)];
        Ok(FragmentDescription { scans: vec![ScanSql { queries, pieces_max: 1 + self.id }] })
    }

    async fn close_snapshot(&self, _: SnapshotScope) -> Result<()> {
        self.note("closes a snapshot".into());
        Ok(())
    }

    async fn end_transaction(
        &self,
        _: TransactionId,
        epoch: u64,
        end: TransactionEnd,
    ) -> Result<bool> {
        assert_eq!(epoch, 1);
        self.note(format!("{end:?}"));
        tokio::time::sleep(ENDING).await;
        Ok(true)
    }

    async fn query_shard(&self, sql: String) -> Result<ShardRows> {
        self.note(sql);
        let number = |text: &str| Some(text.to_string());
        Ok(ShardRows { columns: Vec::new(), rows: vec![vec![number("7"), number("560")]] })
    }

    async fn shard_facts(&self) -> Result<ShardFacts> {
        Ok(Capabilities::POSTGRESQL_15.to_facts())
    }

    async fn run(&self, _: Bytes) -> Result<FragmentReport> {
        Err(ErrorReport::internal("no fragment is run here"))
    }

    fn open_exchange(&self, _: ExchangeRequest, _: u64) -> Result<BatchStream> {
        Err(ErrorReport::internal("no fragment is run here"))
    }

    async fn end_query(&self, _: QueryId) {}

    async fn drop_segments(&self, _: DropSegments) -> Result<()> {
        Ok(())
    }

    async fn health(&self) -> Result<DatanodeHealth> {
        Ok(DatanodeHealth::default())
    }
}

struct Fixture {
    session: ClientSession,
    log: Log,
    troubles: Troubles,
    engine: Arc<Engine>,
    _directory: TempDir,
}

impl Fixture {
    async fn new(datanodes: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::default();
        let catalog = CatalogHandle::open(directory.path().to_path_buf()).await.unwrap();
        let definition = |id: u32| DatanodeDef {
            id,
            name: DatanodeId(id).name(),
            uuid: format!("{id}"),
            address: "local".into(),
            shard_kind: KES.into(),
        };
        let change = CatalogChange::SetDatanodes {
            datanodes: (0..datanodes).map(definition).collect(),
            bucket_map_version: 1,
        };
        catalog.commit(None, vec![change], Default::default()).await.unwrap();
        let functions = FunctionRegistry::new();
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_physical_optimizer_rules(physical_rules())
            .build();
        let troubles = Troubles::default();
        let recorder = |id| {
            let (log, troubles) = (Arc::clone(&log), Arc::clone(&troubles));
            Arc::new(Recorder { id, log, troubles }) as Arc<dyn Datanode>
        };
        let cluster = Cluster {
            datanodes: (0..datanodes).map(recorder).collect(),
            functions,
            state: Arc::new(state),
            memory: QueryMemory::new(64 << 20),
            runtime: Handle::current(),
            epoch: catalog.epoch(),
            members: Vec::new(),
            settings: ClusterSettings::default(),
            shards: Arc::default(),
        };
        let engine = Engine::new(
            catalog,
            cluster,
            Clients::new(),
            QueryLimits::default(),
            AutoVacuum::default(),
        );
        let startup = StartupInfo {
            process_id: 7,
            peer: ([127, 0, 0, 1], 1).into(),
            user: "kestrel".into(),
            database: "kestrel".into(),
            application_name: String::new(),
            parameters: Vec::new(),
        };
        let session = EngineBackend::new(Arc::clone(&engine)).connect(startup).await.unwrap();
        Self { session, log, troubles, engine, _directory: directory }
    }

    /// Runs a query string as a client's would be; what datanodes were asked meanwhile, in the order
    /// of the text, and the SQLSTATE of an error.
    async fn run(&mut self, sql: &str) -> Vec<String> {
        let failed = self.batch(sql).await.err().map(|error| error.sqlstate.as_str().to_string());
        // What nobody waits for comes, too.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut asked = std::mem::take(&mut *self.log.lock());
        asked.sort();
        asked.extend(failed);
        asked
    }

    async fn batch(&mut self, sql: &str) -> Result<()> {
        let session = &mut self.session;
        session.begin_batch();
        let mut outcome = Ok(());
        for statement in session.parse(sql)? {
            let (notices, _received) = mpsc::unbounded_channel();
            let notices = NoticeSender::new(notices);
            let cancel = CancellationToken::new();
            let done = session.execute(&statement, &[], notices, cancel).await;
            outcome = match done {
                Ok(Outcome::Rows { mut rows, .. }) => {
                    let mut read = Ok(());
                    while let Some(batch) = rows.next().await {
                        read = read.and(batch.map(|_| ()));
                    }
                    read
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = &outcome {
                session.statement_failed(error);
                break;
            }
        }
        session.end_batch().await.and(outcome)
    }
}

/// The lines of all datanodes: `*` stands for each of them.
fn on_all(datanodes: u32, expected: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut errors = Vec::new();
    for line in expected {
        match line.strip_prefix("* ") {
            Some(what) => {
                lines.extend((0..datanodes).map(|id| format!("{} {what}", DatanodeId(id))));
            }
            None => errors.push((*line).to_string()),
        }
    }
    lines.sort();
    lines.extend(errors);
    lines
}

async fn check(datanodes: u32, script: &[(&str, &[&str])]) {
    let mut fixture = Fixture::new(datanodes).await;
    for (sql, expected) in script {
        assert_eq!(fixture.run(sql).await, on_all(datanodes, expected), "{sql}");
    }
}

const CREATE: &str = "CREATE TABLE t (a int PRIMARY KEY, b int) DISTRIBUTED BY (a)";
const CREATED: &str = "* CREATE TABLE \"public\".\"t\" (\"a\" pg_catalog.int4 NOT NULL, \
                       \"b\" pg_catalog.int4, CONSTRAINT \"t_pkey\" PRIMARY KEY (\"a\"))";
const FILL: &str = "INSERT INTO t SELECT g, g FROM generate_series(1, 200) g";
const UPDATE: &str = "UPDATE t SET b = b + 1 WHERE b > 5";
const UPDATED: &str = "UPDATE \"public\".\"t\" SET \"b\" = (\"b\" + '1'::pg_catalog.int4) \
                       WHERE (\"b\" > '5'::pg_catalog.int4)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_databases_commit_in_two_phases() {
    check(
        2,
        &[
            (CREATE, &[CREATED, "* Prepare", "* CommitPrepared"]),
            (FILL, &["* COPY t", "* Prepare", "* CommitPrepared"]),
            (UPDATE, &[&format!("* {UPDATED}"), "* Prepare", "* CommitPrepared"]),
            ("CREATE TEMP TABLE u (a int) DISTRIBUTED BY (a)", &[]),
            ("TRUNCATE t", &["* TRUNCATE TABLE \"public\".\"t\"", "* Prepare", "* CommitPrepared"]),
            ("DROP TABLE t", &["* DROP TABLE \"public\".\"t\"", "* Prepare", "* CommitPrepared"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_database_commits_at_once_unless_the_catalog_changes() {
    check(
        1,
        &[
            (CREATE, &[CREATED, "* Prepare", "* CommitPrepared"]),
            (FILL, &["* COPY t", "* Commit"]),
            (
                "DELETE FROM t WHERE a = 7",
                &[
                    "* DELETE FROM \"public\".\"t\" WHERE (\"a\" = '7'::pg_catalog.int4)",
                    "* Commit",
                ],
            ),
            ("DELETE FROM t WHERE false", &[]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_read_one_snapshot_and_go_back_to_savepoints() {
    let updated = format!("* {UPDATED} in a block goes on");
    check(
        2,
        &[
            (CREATE, &[CREATED, "* Prepare", "* CommitPrepared"]),
            ("BEGIN", &[]),
            (FILL, &["* opens a snapshot for a transaction", "* COPY t"]),
            ("SAVEPOINT s", &["* SAVEPOINT \"kst_0\" in a block goes on"]),
            (UPDATE, &[&updated]),
            ("ROLLBACK TO s", &["* ROLLBACK TO SAVEPOINT \"kst_0\" in a block goes on"]),
            ("RELEASE s", &["* RELEASE SAVEPOINT \"kst_0\" in a block goes on"]),
            ("COMMIT", &["* Prepare", "* CommitPrepared", "* closes a snapshot"]),
            ("BEGIN", &[]),
            ("SAVEPOINT s", &[]),
            (
                "DELETE FROM t",
                &[
                    "* opens a snapshot for a transaction",
                    "* SAVEPOINT \"kst_0\" in a block",
                    "* DELETE FROM \"public\".\"t\" in a block",
                ],
            ),
            ("ROLLBACK", &["* Rollback", "* closes a snapshot"]),
            ("BEGIN", &[]),
            (
                "DELETE FROM t",
                &[
                    "* opens a snapshot for a transaction",
                    "* DELETE FROM \"public\".\"t\" in a block",
                ],
            ),
            // Nothing is left to wait for.
            ("SELECT nothing", &["* Rollback", "42703"]),
            ("COMMIT", &["* closes a snapshot"]),
        ],
    )
    .await;
}

/// Where a snapshot of dn1 is open and one of dn2 is not, what is committed before the latter opens
/// would be half seen.
fn check_opened_anew(fixture: &Fixture) {
    let log = std::mem::take(&mut *fixture.log.lock());
    for datanode in ["dn1", "dn2"] {
        let snapshots = log.iter().filter_map(|line| line.strip_prefix(datanode));
        let snapshots: Vec<_> = snapshots.filter(|line| line.contains("a snapshot")).collect();
        let opens = " opens a snapshot for a transaction";
        assert_eq!(snapshots, [opens, " closes a snapshot", opens], "{datanode}: {log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_does_not_go_on_with_half_a_snapshot() {
    let mut fixture = Fixture::new(2).await;
    for sql in [CREATE, "BEGIN", "SAVEPOINT s"] {
        fixture.run(sql).await;
    }
    fixture.troubles.lock().insert(1, Trouble::Fails);
    let error = fixture.batch("DELETE FROM t").await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::TOO_MANY_CONNECTIONS);
    fixture.batch("ROLLBACK TO s").await.unwrap();
    fixture.batch("DELETE FROM t").await.unwrap();
    check_opened_anew(&fixture);
}

/// The session that a database has for it is perhaps that of one who waits to commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_does_not_open_lets_commits_go_first() {
    let mut fixture = Fixture::new(2).await;
    for sql in [CREATE, "BEGIN"] {
        fixture.run(sql).await;
    }
    fixture.troubles.lock().insert(1, Trouble::Hangs);
    let shards = Arc::clone(&fixture.engine.cluster.shards);
    let commits = tokio::spawn(async move {
        // It comes after the snapshot that hangs.
        tokio::time::sleep(shards.settings.latch_hold / 4).await;
        let on = [0, 1].map(DatanodeId).into();
        shards.latch.commit(&on, shards.settings.latch_hold_max).await.map(drop)
    });
    let deleted = tokio::time::timeout(PATIENCE, fixture.batch("DELETE FROM t")).await;
    deleted.expect("it waits for ever").unwrap();
    commits.await.unwrap().unwrap();
    check_opened_anew(&fixture);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_nobody_waits_for_comes() {
    for (end, expected) in [
        ("ROLLBACK", &["* Rollback", "* closes a snapshot"][..]),
        ("COMMIT", &["* Prepare", "* CommitPrepared", "* closes a snapshot"][..]),
    ] {
        let mut fixture = Fixture::new(2).await;
        for sql in [CREATE, "BEGIN", "DELETE FROM t"] {
            fixture.run(sql).await;
        }
        let waits = tokio::time::timeout(ENDING / 2, fixture.batch(end)).await;
        assert!(waits.is_err(), "{end} has waited for nothing");
        let (expected, started) = (on_all(2, expected), Instant::now());
        while fixture.log.lock().len() < expected.len() {
            assert!(started.elapsed() < PATIENCE, "{end}: {:?}", fixture.log.lock());
            tokio::time::sleep(ENDING).await;
        }
        let mut asked = std::mem::take(&mut *fixture.log.lock());
        asked.sort();
        assert_eq!(asked, expected, "{end}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_databases_cannot_do_is_refused() {
    check(
        2,
        &[
            (CREATE, &[CREATED, "* Prepare", "* CommitPrepared"]),
            ("UPDATE t SET a = 2", &["0A000"]),
            ("UPDATE t SET b = length(b::text)", &["0A000"]),
            ("DELETE FROM t WHERE a IN (SELECT b FROM t)", &["0A000"]),
            ("UPDATE t SET c = 1", &["42703"]),
            ("UPDATE t SET b = 1, b = 2", &["42601"]),
            ("DELETE FROM nothing", &["42P01"]),
            ("BEGIN", &[]),
            ("VACUUM t", &["25001"]),
            ("ROLLBACK", &[]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_tell_how_large_tables_are() {
    let mut fixture = Fixture::new(2).await;
    fixture.run(CREATE).await;
    let asked = fixture.run("VACUUM t").await;
    let count = |asked: &[String], sql: &str| {
        asked.iter().filter(|line| line.ends_with(&format!("{sql} \"public\".\"t\""))).count()
    };
    assert_eq!((count(&asked, "VACUUM"), asked.len()), (2, 4), "{asked:?}");
    let table = fixture.engine.catalog.snapshot().table("public", "t").cloned().unwrap();
    assert_eq!(table.size(), (14, 1120));
    // They analyze it before it is read, which these cannot.
    for (sql, vacuumed) in [("ANALYZE t", 0), ("VACUUM (ANALYZE) t", 2)] {
        let asked = fixture.run(sql).await;
        assert_eq!(count(&asked, "VACUUM"), vacuumed, "{asked:?}");
        assert_eq!(count(&asked, "ANALYZE"), 2, "{asked:?}");
        assert_eq!(asked.last().map(String::as_str), Some("XX000"), "{asked:?}");
    }
    assert_eq!(fixture.run("SELECT kestrel.check_distribution('t')").await.len(), 2);
}
