//! What a datanode says that a fragment's scans send to its database, before they do and after.

use std::path::Path;

use bytes::Bytes;
use datafusion::{
    logical_expr::Operator,
    physical_expr::expressions::{BinaryExpr, Column, lit},
    physical_plan::{ExecutionPlan, union::UnionExec},
};
use futures::TryStreamExt;
use kestrel_planner::{memory::QueryMemory, motion::Motion, operators::MotionSendExec};
use kestrel_proto::{
    COORDINATOR, Datanode, ENGINE_VERSION, ExchangeRequest,
    message::{Fragment, ScanSql},
};
use prost::Message;

use super::{
    super::session::{Address, tests::postgres::shared},
    *,
};
use crate::{
    DatanodeSettings, FragmentDecoder, LocalDatanode, exchange::Peers, shard::ShardSettings,
};

/// A fragment of these scans, one after the other, that sends to the coordinator.
#[derive(Debug)]
struct Scans(Vec<ShardScan>);

impl FragmentDecoder for Scans {
    fn function_fingerprint(&self) -> u64 {
        5
    }

    fn decode(
        &self,
        _: &Fragment,
        store: &Arc<dyn ShardStore>,
        _: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scans = self.0.iter().map(|scan| store.scan(scan)).collect::<Result<Vec<_>>>()?;
        let rows = UnionExec::try_new(scans).map_err(report)?;
        let receivers = vec![COORDINATOR];
        Ok(Arc::new(MotionSendExec::new(MotionId(1), Motion::gather(), receivers, rows)))
    }
}

/// dn1 beside a database, whose fragments are these scans.
fn datanode(scans: Vec<ShardScan>, settings: KesSettings, data: &Path) -> Arc<LocalDatanode> {
    let memory = QueryMemory::new(100 << 20);
    let settings = DatanodeSettings {
        target_partitions: 3,
        shard: ShardSettings::Kes(Box::new(settings)),
        ..DatanodeSettings::new(DatanodeId(0), Uuid::new_v4(), data, memory)
    };
    let (peers, decoder) = (Arc::new(Peers::default()), Arc::new(Scans(scans)));
    LocalDatanode::open(settings, peers, decoder, Handle::current()).unwrap()
}

fn fragment(query: QueryId) -> Fragment {
    Fragment {
        query_id: query.to_bytes().to_vec().into(),
        slice: 1,
        datanode: 0,
        coordinator_epoch: EPOCH,
        engine_version: ENGINE_VERSION.into(),
        function_fingerprint: 5,
        ..Default::default()
    }
}

fn bytes(fragment: &Fragment) -> Bytes {
    fragment.encode_to_vec().into()
}

/// Many rows, in pieces; and ten of them, at once.
fn scans(schema: &str) -> Vec<ShardScan> {
    let all = scan(schema, &columns());
    let last = BinaryExpr::new(Arc::new(Column::new("a", 0)), Operator::Gt, lit(59_990));
    let few = ShardScan { filters: vec![Arc::new(last)], estimated_rows: 10, ..all.clone() };
    vec![all, few]
}

const ALL: &str = "SELECT \"a\", \"b\" FROM \"described\".\"t\"";
const FEW: &str =
    "SELECT \"a\", \"b\" FROM \"described\".\"t\" WHERE (\"a\" > '59990'::pg_catalog.int4)";

fn planned(query: &str, pieces_max: u32) -> ScanSql {
    ScanSql { queries: vec![query.into()], pieces_max }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fragment_is_described_before_and_after_it_runs() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    run(&mut session, "DROP SCHEMA IF EXISTS described CASCADE").await;
    let data = tempfile::tempdir().unwrap();
    let datanode = datanode(scans("described"), server.settings(), data.path());

    // The table is not there yet, and nobody asks for it.
    let query = QueryId::random();
    let described = datanode.describe(bytes(&fragment(query))).await.unwrap();
    assert_eq!(described.scans, [planned(ALL, 3), planned(FEW, 1)]);
    let own = Fragment { reads_own_writes: true, ..fragment(query) };
    let described = datanode.describe(bytes(&own)).await.unwrap();
    assert_eq!(described.scans, [planned(ALL, 1), planned(FEW, 1)], "a transaction's own writes");
    assert_eq!(datanode.health().await.unwrap(), Default::default());

    table(&mut session, "described", 0).await;
    let fill =
        "INSERT INTO described.t SELECT i, repeat('x', 100) FROM generate_series(1, 60000) i";
    run(&mut session, fill).await;
    for collect_metrics in [true, false] {
        let query = QueryId::random();
        let request = ExchangeRequest {
            query,
            motion: MotionId(1),
            sender: DatanodeId(0),
            receiver: COORDINATOR,
        };
        let rows = datanode.open_exchange(request, 1 << 20).unwrap();
        let measured = bytes(&Fragment { collect_metrics, ..fragment(query) });
        let (ran, rows) = tokio::join!(datanode.run(measured), rows.try_collect::<Vec<_>>());
        assert_eq!(rows.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 60_010);
        datanode.end_query(query).await;
        let sent = ran.unwrap().scans;
        if !collect_metrics {
            assert!(sent.is_empty(), "{sent:?}");
            continue;
        }
        let [all, few] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(*few, planned(FEW, 0));
        assert_eq!((all.queries.len(), all.pieces_max), (3, 0), "{all:?}");
        let is_piece = |query: &String| query.starts_with(&format!("{ALL} WHERE (ctid"));
        assert!(all.queries.iter().all(is_piece), "{all:?}");
        assert!(all.queries[0].contains("ctid <") && all.queries[2].contains("ctid >="), "{all:?}");
    }
}

#[tokio::test]
async fn what_may_not_run_is_not_described() {
    let Some(server) = shared() else { return };
    let data = tempfile::tempdir().unwrap();
    let datanode = datanode(scans("described"), server.settings(), data.path());
    let good = fragment(QueryId::random());
    assert!(datanode.describe(bytes(&good)).await.is_ok());
    for (bad, expected) in [
        (Fragment { coordinator_epoch: EPOCH - 1, ..good.clone() }, "55000"),
        (Fragment { function_fingerprint: 6, ..good.clone() }, "55000"),
        (Fragment { datanode: 1, ..good.clone() }, "XX000"),
    ] {
        let error = datanode.describe(bytes(&bad)).await.unwrap_err();
        assert_eq!((error.sqlstate.as_str(), error.datanode.as_deref()), (expected, Some("dn1")));
    }
    assert_eq!(sqlstate(datanode.describe(vec![7; 20].into()).await), "XX000");
}

#[tokio::test]
async fn a_database_that_was_never_reached_describes_nothing() {
    let Some(server) = shared() else { return };
    let data = tempfile::tempdir().unwrap();
    let nowhere = Address::Unix(data.path().to_path_buf(), 5);
    let settings = KesSettings {
        address: nowhere,
        connect_timeout: Duration::from_millis(200),
        restart_wait: Duration::from_millis(200),
        ..server.settings()
    };
    let datanode = datanode(scans("described"), settings, data.path());
    let described = datanode.describe(bytes(&fragment(QueryId::random()))).await;
    assert_eq!(sqlstate(described), "58K01");
}
