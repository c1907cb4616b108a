//! The store, tried on a PostgreSQL 15.

mod at_once;
mod describe;
mod loss;
mod probe;
mod scans;
mod transactions;
mod writes;

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{AsArray, Int32Array, Int64Array, RecordBatch, StringViewArray},
    compute::concat_batches,
    datatypes::{Int64Type, Schema, SchemaRef},
};
use async_trait::async_trait;
use datafusion::{
    execution::{TaskContext, runtime_env::RuntimeEnv},
    physical_plan::{collect, stream::RecordBatchStreamAdapter},
    prelude::SessionConfig,
};
use futures::stream;
use kestrel_planner::{
    catalog::SqlType,
    operators::{Exchange, Hands, SegmentTarget, ShardScan, ShardStore},
};
use kestrel_proto::{
    BatchStream, DatanodeId, ErrorReport, MotionId, QueryId, Result, ShardIsolation, ShardRelation,
    ShardResults, ShardStatements, SnapshotScope, TableId, TransactionId, message::SegmentRef,
};
use tokio::{runtime::Handle, time::Instant};
use uuid::Uuid;

use super::{
    KesStore, KesStoreOptions,
    session::{Connector, KesSettings, Session},
};
use crate::error::{report, to_datafusion};

/// The epoch of the tests' coordinator.
const EPOCH: u64 = 7;

/// A probed store, as dn1.
async fn store(settings: KesSettings) -> KesStore {
    let store = unprobed(settings, Uuid::new_v4());
    store.probe().await.unwrap();
    store
}

fn unprobed(settings: KesSettings, cluster: Uuid) -> KesStore {
    let options = KesStoreOptions {
        datanode: DatanodeId(0),
        cluster,
        settings,
        target_partitions: 3,
        batch_rows: 1000,
        resources: Arc::new(RuntimeEnv::default()),
        runtime: Handle::current(),
    };
    KesStore::new(options).unwrap()
}

/// A session beside the store's.
async fn connect(settings: KesSettings) -> Session {
    let connector = Connector::new(settings, DatanodeId(0)).unwrap();
    Session::connect(Arc::new(connector)).await.unwrap()
}

async fn run(session: &mut Session, sql: &str) {
    session.query_all(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The first value of an answer.
async fn value(session: &mut Session, sql: &str) -> String {
    let answer = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    answer.single_value().unwrap_or_else(|| panic!("{sql}: {answer:?}")).to_string()
}

/// Waits until `sql` gives `expected`.
async fn until(session: &mut Session, sql: &str, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = value(session, sql).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{sql}: {found}, not {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[track_caller]
fn sqlstate<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.expect_err("it should have failed").sqlstate.as_str()
}

/// (a integer NOT NULL, b text)
fn columns() -> SchemaRef {
    let (a, b) = (SqlType::Integer.field("a", false), SqlType::Text.field("b", true));
    Arc::new(Schema::new(vec![a, b]))
}

/// A table of [`columns`] in a schema of its own, with rows 1 … `rows`.
async fn table(session: &mut Session, schema: &str, rows: usize) {
    let sql = format!(
        "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; \
         CREATE TABLE {schema}.t (a integer CONSTRAINT t_pkey PRIMARY KEY, b text); \
         INSERT INTO {schema}.t SELECT i, 'row ' || i FROM generate_series(1, {rows}) i"
    );
    run(session, &sql).await;
}

fn relation(schema: &str, columns: &SchemaRef) -> ShardRelation {
    let columns = columns.fields().iter().map(|field| field.name().clone()).collect();
    ShardRelation { schema: schema.into(), table: "t".into(), columns }
}

/// All columns of all rows, which the planner takes for many.
fn scan(schema: &str, columns: &SchemaRef) -> ShardScan {
    ShardScan {
        table_id: TableId(42),
        table: "t".into(),
        schema: Arc::clone(columns),
        column_ids: (1..=columns.fields().len() as u32).collect(),
        projection: (0..columns.fields().len()).collect(),
        filters: vec![],
        segments: vec![],
        relation: Some(relation(schema, columns)),
        estimated_rows: 1_000_000,
        estimated_bytes: 16_000_000,
        fetch: None,
        partitions: Vec::new(),
        partitions_left_out: 0,
        sample: None,
    }
}

/// Whose rows a scan reads.
#[derive(Clone, Copy)]
enum Reads {
    /// A query's of its own.
    New,
    Snapshot(SnapshotScope),
    Own(TransactionId),
}

fn context(reads: Reads) -> Arc<TaskContext> {
    context_of(QueryId::random(), reads)
}

fn context_of(query: QueryId, reads: Reads) -> Arc<TaskContext> {
    let (snapshot, transaction) = match reads {
        Reads::New => (None, None),
        Reads::Snapshot(scope) => (Some(scope), None),
        Reads::Own(transaction) => (None, Some(transaction)),
    };
    let hands = Hands {
        exchange: Arc::new(NoExchange),
        store: None,
        files: None,
        datanode: DatanodeId(0),
        query,
        snapshot,
        reads_own_writes: transaction.is_some(),
        in_block: transaction.is_some(),
        transaction: transaction.unwrap_or(TransactionId(0)),
        coordinator_epoch: EPOCH,
    };
    let config = SessionConfig::new().with_extension(Arc::new(hands));
    Arc::new(TaskContext::default().with_session_config(config))
}

/// The rows of a scan, in one batch.
async fn read(store: &KesStore, scan: &ShardScan, reads: Reads) -> Result<RecordBatch> {
    let plan = store.scan(scan)?;
    let schema = plan.schema();
    let query = QueryId::random();
    let batches = collect(plan, context_of(query, reads)).await.map_err(report);
    store.end_query(query);
    Ok(concat_batches(&schema, &batches?).unwrap())
}

/// How many rows a scan of the whole table gives.
async fn count(store: &KesStore, schema: &str, reads: Reads) -> usize {
    read(store, &scan(schema, &columns()), reads).await.unwrap().num_rows()
}

/// Rows with these keys.
fn rows(keys: impl IntoIterator<Item = i32>) -> RecordBatch {
    let keys = Int32Array::from_iter_values(keys);
    let texts = StringViewArray::from_iter_values(keys.values().iter().map(|a| format!("new {a}")));
    RecordBatch::try_new(columns(), vec![Arc::new(keys), Arc::new(texts)]).unwrap()
}

fn target(schema: &str, transaction: TransactionId) -> SegmentTarget {
    SegmentTarget {
        transaction,
        coordinator_epoch: EPOCH,
        table_id: TableId(42),
        table: "t".into(),
        schema: columns(),
        column_ids: vec![1, 2],
        relation: Some(relation(schema, &columns())),
        cluster_by: Vec::new(),
        is_sorted: false,
        continues: false,
        in_block: false,
        reads_own_writes: false,
    }
}

async fn write(
    store: &KesStore,
    target: &SegmentTarget,
    batches: Vec<Result<RecordBatch>>,
) -> Result<Vec<SegmentRef>> {
    let batches = batches.into_iter().map(|batch| batch.map_err(to_datafusion));
    let batches = batches.collect::<Vec<_>>();
    let rows = RecordBatchStreamAdapter::new(Arc::clone(&target.schema), stream::iter(batches));
    store.write(target, Box::pin(rows)).await
}

fn statements(transaction: TransactionId, sql: &[&str]) -> ShardStatements {
    ShardStatements {
        transaction,
        coordinator_epoch: EPOCH,
        isolation: ShardIsolation::ReadCommitted,
        continues: false,
        statements: sql.iter().map(ToString::to_string).collect(),
    }
}

async fn execute(
    store: &KesStore,
    transaction: TransactionId,
    sql: &[&str],
) -> Result<ShardResults> {
    store.execute(statements(transaction, sql)).await
}

/// A sum over the first column.
fn sum(batch: &RecordBatch) -> i64 {
    let keys = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Int64).unwrap();
    let keys: &Int64Array = keys.as_primitive::<Int64Type>();
    keys.values().iter().sum()
}

/// For operators that exchange nothing.
#[derive(Debug)]
struct NoExchange;

#[async_trait]
impl Exchange for NoExchange {
    fn receive(&self, _: MotionId, _: DatanodeId) -> Result<BatchStream> {
        Err(ErrorReport::internal("nothing is received"))
    }

    async fn send(&self, _: MotionId, _: DatanodeId, _: RecordBatch) -> Result<bool> {
        Err(ErrorReport::internal("nothing is sent"))
    }

    fn finish(&self, _: MotionId) {}
}
