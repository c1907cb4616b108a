//! Fragments on datanodes in this process, with operators whose behaviour a closure gives.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result as EngineResult,
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
        SendableRecordBatchStream,
        coalesce_partitions::CoalescePartitionsExec,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use kestrel_planner::{
    memory::QueryMemory,
    operators::{Hands, ShardScan, ShardStore},
};
use kestrel_proto::{
    COORDINATOR, Datanode, DatanodeHealth, DatanodeId, DropSegments, ENGINE_VERSION, ErrorReport,
    ExchangeRequest, Ingest, MotionId, QueryId, Result, SqlState, TableId, TransactionId,
    message::{Fragment, SegmentRef},
};
use prost::Message;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::FragmentDecoder;
use crate::{DatanodeSettings, LocalDatanode, error::to_datafusion, exchange::Peers};

type Input = Option<SendableRecordBatchStream>;
type Behaviour = Arc<dyn Fn(Arc<TaskContext>, Input) -> SendableRecordBatchStream + Send + Sync>;
type Plan = Arc<dyn Fn(&Arc<dyn ShardStore>) -> Result<Arc<dyn ExecutionPlan>> + Send + Sync>;

/// An operator that does what its closure does.
struct Operator {
    name: &'static str,
    behaviour: Behaviour,
    input: Option<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl Operator {
    fn plan(
        name: &'static str,
        input: Option<Arc<dyn ExecutionPlan>>,
        behaviour: Behaviour,
    ) -> Arc<dyn ExecutionPlan> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Arc::new(Self { name, behaviour, input, properties: Arc::new(properties) })
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl DisplayAs for Operator {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ExecutionPlan for Operator {
    fn name(&self) -> &str {
        self.name
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.input.iter().collect()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![
            Distribution::SinglePartition;
            self.children().len()
        ])
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(Self::plan(self.name, children.pop(), Arc::clone(&self.behaviour)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let input = self.input.as_ref().map(|i| i.execute(partition, Arc::clone(&context)));
        Ok((self.behaviour)(context, input.transpose()?))
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn batch(from: i64, rows: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
    RecordBatch::try_new(schema(), vec![column]).unwrap()
}

fn adapt(
    rows: impl futures::Stream<Item = EngineResult<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema(), rows))
}

/// Sends every batch to every receiver.
fn send(
    motion: u32,
    receivers: &'static [DatanodeId],
    input: Arc<dyn ExecutionPlan>,
) -> Arc<dyn ExecutionPlan> {
    let behaviour: Behaviour = Arc::new(move |context, input| {
        adapt(
            stream::once(send_all(motion, receivers, context, input))
                .filter_map(async |done| done.err().map(Err)),
        )
    });
    Operator::plan("Send", Some(input), behaviour)
}

async fn send_all(
    motion: u32,
    receivers: &'static [DatanodeId],
    context: Arc<TaskContext>,
    input: Input,
) -> EngineResult<()> {
    let hands = Hands::of(&context).map_err(to_datafusion)?;
    let mut input = input.unwrap();
    while let Some(batch) = input.try_next().await? {
        for receiver in receivers {
            let sent = hands.exchange.send(MotionId(motion), *receiver, batch.clone());
            sent.await.map_err(to_datafusion)?;
        }
    }
    hands.exchange.finish(MotionId(motion));
    Ok(())
}

fn receive(motion: u32, sender: DatanodeId) -> Arc<dyn ExecutionPlan> {
    let behaviour: Behaviour = Arc::new(move |context, _| {
        let hands = Hands::of(&context).unwrap();
        let rows = hands.exchange.receive(MotionId(motion), sender).unwrap();
        adapt(rows.map_err(to_datafusion))
    });
    Operator::plan("Receive", None, behaviour)
}

fn leaf(
    rows: impl Fn(Arc<TaskContext>) -> SendableRecordBatchStream + Send + Sync + 'static,
) -> Arc<dyn ExecutionPlan> {
    Operator::plan("Leaf", None, Arc::new(move |context, _| rows(context)))
}

fn values(batches: i64) -> Arc<dyn ExecutionPlan> {
    leaf(move |_| adapt(stream::iter((0..batches).map(|i| Ok(batch(i * 100, 100))))))
}

/// Plans by name: a fragment's bytes are the name.
#[derive(Clone, Default)]
struct Plans(HashMap<&'static str, Plan>);

impl Plans {
    fn with(
        mut self,
        name: &'static str,
        plan: impl Fn(&Arc<dyn ShardStore>) -> Result<Arc<dyn ExecutionPlan>> + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(name, Arc::new(plan));
        self
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FragmentDecoder for Plans {
    fn function_fingerprint(&self) -> u64 {
        5
    }

    fn decode(
        &self,
        fragment: &Fragment,
        store: &Arc<dyn ShardStore>,
        _: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let name = std::str::from_utf8(&fragment.plan).unwrap();
        self.0.get(name).ok_or_else(|| ErrorReport::internal(format!("no plan {name}")))?(store)
    }
}

struct Cluster {
    _dir: tempfile::TempDir,
    peers: Arc<Peers>,
    datanodes: Vec<Arc<LocalDatanode>>,
}

impl Cluster {
    fn new(plans: Plans) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (peers, memory) = (Arc::new(Peers::default()), QueryMemory::new(100 << 20));
        let cluster_id = Uuid::new_v4();
        let datanodes = (0..2)
            .map(|i| {
                let path = dir.path().join(format!("dn{i}"));
                let settings =
                    DatanodeSettings::new(DatanodeId(i), cluster_id, path, memory.clone());
                let decoder = Arc::new(plans.clone());
                LocalDatanode::open(settings, Arc::clone(&peers), decoder, Handle::current())
                    .unwrap()
            })
            .collect();
        Self { _dir: dir, peers, datanodes }
    }

    async fn idle(&self) {
        for datanode in &self.datanodes {
            for left in (0..200).rev() {
                let health = datanode.health().await.unwrap();
                if health == DatanodeHealth::default() {
                    break;
                }
                assert!(left > 0, "{} is left with {health:?}", datanode.id());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn fragment(query: QueryId, slice: u32, datanode: u32, plan: &'static str) -> Fragment {
    Fragment {
        query_id: query.to_bytes().to_vec().into(),
        slice,
        datanode,
        coordinator_epoch: 1,
        engine_version: ENGINE_VERSION.into(),
        function_fingerprint: 5,
        plan: plan.as_bytes().into(),
        ..Default::default()
    }
}

fn gather(datanode: &LocalDatanode, query: QueryId, motion: u32) -> kestrel_proto::BatchStream {
    let request = ExchangeRequest {
        query,
        motion: MotionId(motion),
        sender: datanode.id(),
        receiver: COORDINATOR,
    };
    datanode.open_exchange(request, 1 << 20).unwrap()
}

async fn numbers(rows: kestrel_proto::BatchStream) -> Result<Vec<i64>> {
    let batches: Vec<_> = rows.try_collect().await?;
    let mut numbers: Vec<_> = batches
        .iter()
        .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// dn2 sends to dn1, dn1 to the coordinator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_go_from_datanode_to_datanode_to_the_coordinator() {
    let plans = Plans::default()
        .with("values", |_| Ok(send(2, &[DatanodeId(0)], values(30))))
        .with("pass", |_| Ok(send(1, &[COORDINATOR], receive(2, DatanodeId(1)))));
    let cluster = Cluster::new(plans);
    let query = QueryId::random();
    let rows = gather(&cluster.datanodes[0], query, 1);
    let pass = fragment(query, 1, 0, "pass");
    let pass = Fragment { collect_metrics: true, count_rows: true, ..pass };
    let (pass, values, rows) = tokio::join!(
        cluster.datanodes[0].run(pass.encode_to_vec().into()),
        cluster.datanodes[1].run(fragment(query, 2, 1, "values").encode_to_vec().into()),
        numbers(rows),
    );
    assert_eq!(rows.unwrap(), (0..3000).collect::<Vec<_>>());
    let traffic = |report: &kestrel_proto::message::FragmentReport| {
        report
            .traffic
            .iter()
            .map(|t| (t.motion, t.sender, t.receiver, t.rows, t.bytes))
            .collect::<Vec<_>>()
    };
    let (pass, values) = (pass.unwrap(), values.unwrap());
    assert_eq!(traffic(&pass), [(1, 0, COORDINATOR.0, 3000, 24_000)]);
    assert_eq!(traffic(&values), [(2, 1, 0, 3000, 24_000)]);
    let operators: Vec<_> =
        pass.operators.iter().map(|o| (o.depth, o.name.as_str(), o.detail.as_str())).collect();
    assert_eq!(operators[0], (0, "Send", "Send"));
    assert_eq!(operators.last().unwrap().1, "Receive");
    assert!(values.operators.is_empty());
    // These operators count nothing; both are there.
    assert_eq!((pass.operator_rows, values.operator_rows), (vec![0, 0], vec![]));
    for datanode in &cluster.datanodes {
        datanode.end_query(query).await;
    }
    cluster.idle().await;
}

async fn ingest(datanode: &LocalDatanode, transaction: u64) -> Result<Vec<SegmentRef>> {
    let ingest = Ingest {
        transaction: TransactionId(transaction),
        coordinator_epoch: 1,
        table: TableId(9),
        table_name: "t".into(),
        schema: schema(),
        column_ids: vec![1],
        relation: None,
        cluster_by: Vec::new(),
        continues: false,
        in_block: false,
        reads_own_writes: false,
    };
    let rows = stream::iter((0..30).map(|i| Ok(batch(i * 100, 100))));
    datanode.ingest(ingest, Box::pin(rows)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingested_rows_are_scanned_until_they_are_dropped() {
    let segments = Arc::new(parking_lot::Mutex::new(Vec::<SegmentRef>::new()));
    let scanned = Arc::clone(&segments);
    let plans = Plans::default().with("scan", move |store| {
        let scan = ShardScan {
            table_id: TableId(9),
            table: "t".into(),
            schema: schema(),
            column_ids: vec![1],
            projection: vec![0],
            filters: vec![],
            segments: scanned.lock().clone(),
            estimated_rows: 3000,
            estimated_bytes: 24_000,
            fetch: None,
            partitions: Vec::new(),
            partitions_left_out: 0,
            sample: None,
            relation: None,
        };
        let scan = Arc::new(CoalescePartitionsExec::new(store.scan(&scan)?));
        Ok(send(1, &[COORDINATOR], scan))
    });
    let cluster = Cluster::new(plans);
    let datanode = &cluster.datanodes[1];
    *segments.lock() = ingest(datanode, 4).await.unwrap();
    assert_eq!(segments.lock().iter().map(|s| s.rows).sum::<u64>(), 3000);
    for (found, after) in [
        (Ok(3000), DropSegments::Transaction(TransactionId(5))),
        (Ok(3000), DropSegments::Transaction(TransactionId(4))),
        (Err(SqlState::DATA_CORRUPTED), DropSegments::AllBut(vec![])),
    ] {
        let query = QueryId::random();
        let rows = tokio::spawn(numbers(gather(datanode, query, 1)));
        let run = datanode.run(fragment(query, 1, 1, "scan").encode_to_vec().into()).await;
        assert_eq!(rows.await.unwrap().map(|n| n.len()).map_err(|e| e.sqlstate), found);
        assert_eq!(run.is_ok(), found.is_ok());
        datanode.end_query(query).await;
        datanode.drop_segments(after).await.unwrap();
    }
    cluster.idle().await;
}

/// However a fragment fails, its caller and its receivers are told the same, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_reach_everybody() {
    let division = || ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero");
    let plans = Plans::default()
        .with("error", move |_| {
            let rows = move |_| {
                let failed = Err(to_datafusion(division()));
                adapt(stream::iter([Ok(batch(0, 1)), failed]))
            };
            Ok(send(1, &[COORDINATOR], leaf(rows)))
        })
        .with("panic", |_| {
            let rows = |_| adapt(stream::iter([1]).map(|_| panic!("with a message")));
            Ok(send(1, &[COORDINATOR], leaf(rows)))
        })
        .with("task panic", |_| {
            // Below a CoalescePartitionsExec of two: the panic is in a task of DataFusion's.
            let rows = |_| adapt(stream::iter([1]).map(|_| panic!("in a task")));
            let union =
                datafusion::physical_plan::union::UnionExec::try_new(vec![leaf(rows), values(1)])
                    .unwrap();
            Ok(send(1, &[COORDINATOR], Arc::new(CoalescePartitionsExec::new(union))))
        })
        .with("unfinished", |_| Ok(values(1)))
        .with("no plan", |_| Err(ErrorReport::unsupported("no such operator")))
        .with("memory", |_| {
            let rows = |context: Arc<TaskContext>| {
                let memory = MemoryConsumer::new("hoarder").register(context.memory_pool());
                let refused: EngineResult<()> = memory.try_grow(2000);
                adapt(stream::iter([refused.map(|()| batch(0, 1))]))
            };
            Ok(send(1, &[COORDINATOR], leaf(rows)))
        });
    let cluster = Cluster::new(plans);
    let datanode = &cluster.datanodes[0];
    let cases = [
        ("error", SqlState::DIVISION_BY_ZERO),
        ("panic", SqlState::INTERNAL_ERROR),
        ("task panic", SqlState::INTERNAL_ERROR),
        ("unfinished", SqlState::INTERNAL_ERROR),
        ("no plan", SqlState::FEATURE_NOT_SUPPORTED),
        ("memory", SqlState::OUT_OF_MEMORY),
    ];
    for (plan, sqlstate) in cases {
        let query = QueryId::random();
        let fragment = Fragment { memory_quota_bytes: 1000, ..fragment(query, 1, 0, plan) };
        let rows = tokio::spawn(numbers(gather(datanode, query, 1)));
        let error = datanode.run(fragment.encode_to_vec().into()).await.unwrap_err();
        assert_eq!(error.sqlstate, sqlstate, "{plan}: {error:?}");
        assert_eq!(error.datanode.as_deref(), Some("dn1"));
        // A receiver that is slow may have found the streams gone with their query.
        assert_eq!(rows.await.unwrap(), Err(error), "{plan}");
        datanode.end_query(query).await;
    }
    cluster.idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fragment_stops_when_told_to() {
    let plans = Plans::default()
        .with("hangs", |_| Ok(send(1, &[COORDINATOR], leaf(|_| adapt(stream::pending())))))
        .with("blocked", |_| Ok(send(1, &[COORDINATOR], values(i64::MAX))));
    let cluster = Cluster::new(plans);
    let datanode = &cluster.datanodes[0];
    for plan in ["hangs", "blocked"] {
        // The end of the query.
        let query = QueryId::random();
        let other = Arc::clone(datanode);
        let run = tokio::spawn(async move {
            other.run(fragment(query, 1, 0, plan).encode_to_vec().into()).await
        });
        while datanode.health().await.unwrap().fragments == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        datanode.end_query(query).await;
        let health = datanode.health().await.unwrap();
        assert_eq!((health.fragments, health.streams), (0, 0), "{plan}");
        assert_eq!(run.await.unwrap().unwrap_err().sqlstate, SqlState::QUERY_CANCELED);
        let late = datanode.run(fragment(query, 2, 0, plan).encode_to_vec().into()).await;
        assert_eq!(late.unwrap_err().sqlstate, SqlState::QUERY_CANCELED);

        // Its deadline.
        let query = QueryId::random();
        let timed = Fragment { milliseconds_left: 300, ..fragment(query, 1, 0, plan) };
        let error = datanode.run(timed.encode_to_vec().into()).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::QUERY_CANCELED);
        assert_eq!(error.message, "canceling statement due to statement timeout");
        assert_eq!(numbers(gather(datanode, query, 1)).await, Err(error));
        datanode.end_query(query).await;

        // The caller's loss of interest.
        let query = QueryId::random();
        let run = datanode.run(fragment(query, 1, 0, plan).encode_to_vec().into());
        tokio::time::timeout(Duration::from_millis(50), run).await.unwrap_err();
        let error = numbers(gather(datanode, query, 1)).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::QUERY_CANCELED);
        datanode.end_query(query).await;
        cluster.idle().await;
    }
}

#[tokio::test]
async fn stale_coordinators_and_second_copies_are_refused() {
    let plans = Plans::default()
        .with("hangs", |_| Ok(send(1, &[COORDINATOR], leaf(|_| adapt(stream::pending())))))
        .with("values", |_| Ok(send(1, &[COORDINATOR], values(0))));
    let cluster = Cluster::new(plans);
    let datanode = &cluster.datanodes[0];
    let run = async |epoch: u64, query: QueryId, plan: &'static str| {
        let fragment = Fragment { coordinator_epoch: epoch, ..fragment(query, 1, 0, plan) };
        datanode.run(fragment.encode_to_vec().into()).await.map_err(|e| e.sqlstate).map(|_| ())
    };
    assert_eq!(run(3, QueryId::random(), "values").await, Ok(()));
    let stale = Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert_eq!(run(2, QueryId::random(), "values").await, stale);
    assert_eq!(ingest(datanode, 1).await.map(|_| ()).map_err(|e| e.sqlstate), stale);
    let query = QueryId::random();
    let (first, second) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(200), run(3, query, "hangs")),
        run(3, query, "values")
    );
    assert!(first.is_err());
    assert_eq!(second, Err(SqlState::INTERNAL_ERROR));
    let garbage = datanode.run(vec![7; 20].into()).await.unwrap_err();
    assert_eq!(garbage.sqlstate, SqlState::INTERNAL_ERROR);
}

#[tokio::test]
async fn a_datanode_that_is_gone_is_lost() {
    let mut cluster = Cluster::new(Plans::default());
    assert!(cluster.peers.get(DatanodeId(1)).is_ok());
    cluster.datanodes.pop();
    let error = cluster.peers.get(DatanodeId(1)).err().unwrap();
    assert_eq!((error.sqlstate, error.datanode), (SqlState::DATANODE_LOST, Some("dn2".into())));
}
