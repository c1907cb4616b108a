//! Reading a whole table.

use std::{pin::pin, sync::Arc, time::Instant};

use arrow::datatypes::Schema;
use futures::{StreamExt, future::try_join_all};
use kestrel::client::Client;
use kestrel_datanode::shard::kes::{
    copy::{ChunkLimits, CopyLayout, DecodePool, decode_stream},
    session::{Address, CopyOut, KesSettings, Password, Pool},
};
use kestrel_planner::catalog::SqlType;
use kestrel_proto::DatanodeId;

use crate::{
    Result,
    bench::{Bench, DATANODES, NAME, PORT},
    expect,
    figures::{Series, print_row},
};

const COLUMNS: [(&str, SqlType); 16] = [
    ("l_orderkey", SqlType::BigInt),
    ("l_partkey", SqlType::BigInt),
    ("l_suppkey", SqlType::BigInt),
    ("l_linenumber", SqlType::Integer),
    ("l_quantity", SqlType::Numeric(15, 2)),
    ("l_extendedprice", SqlType::Numeric(15, 2)),
    ("l_discount", SqlType::Numeric(15, 2)),
    ("l_tax", SqlType::Numeric(15, 2)),
    ("l_returnflag", SqlType::Char(1)),
    ("l_linestatus", SqlType::Char(1)),
    ("l_shipdate", SqlType::Date),
    ("l_commitdate", SqlType::Date),
    ("l_receiptdate", SqlType::Date),
    ("l_shipinstruct", SqlType::Char(25)),
    ("l_shipmode", SqlType::Char(10)),
    ("l_comment", SqlType::Varchar(Some(44))),
];
const AGGREGATE: &str = "SELECT count(*), sum(l_quantity), max(l_shipdate) FROM lineitem";

/// A datanode's table to Arrow, beside the same query to nowhere.
pub(crate) async fn scan(bench: &Bench) -> Result<()> {
    let datanode = DATANODES[0];
    let rows = bench.shard_rows(datanode).await?;
    let columns = COLUMNS.map(|(name, _)| name).join(", ");
    let select = format!("SELECT {columns} FROM public.lineitem");
    let address = Address::Unix(bench.socket(datanode), PORT);
    let settings = KesSettings {
        password: Some(Password::new(bench.password(datanode)?)),
        ..KesSettings::new(address, NAME, NAME)
    };
    let pool = Pool::new(settings, DatanodeId(0))?;
    // As many threads as such a datanode has.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let decode = DecodePool::try_new(cores / DATANODES.len())?;
    let shard = bench.shard(datanode).await?;
    let (mut kestrel, mut postgres) = (Series::default(), Series::default());
    // The first round is not counted.
    for round in 0..=bench.rounds {
        let began = Instant::now();
        expect("rows of a scan", scanned(&pool, &decode, &select).await?, rows)?;
        let here = rows as f64 / began.elapsed().as_secs_f64();
        let began = Instant::now();
        shard.execute(&format!("COPY ({select}) TO '/dev/null' (FORMAT BINARY)")).await?;
        let there = rows as f64 / began.elapsed().as_secs_f64();
        if round > 0 {
            kestrel.push(here);
            postgres.push(there);
        }
    }
    let ratio = kestrel.with(&postgres, |kestrel, postgres| kestrel / postgres);
    let (kestrel, postgres) = (kestrel.show(0), postgres.show(0));
    let ratio = ratio.show(2);
    print_row(["scan of a shard, rows/s", &kestrel, &postgres, &ratio, ">= 0.80"]);
    Ok(())
}

/// How many rows a scan as a datanode does it has: one session, COPY, batches.
async fn scanned(pool: &Pool, decode: &DecodePool, select: &str) -> Result<u64> {
    let mut session = pool.get().await?.rolling_back();
    let describe = format!("SELECT * FROM ({select}) AS scan LIMIT 0");
    let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let described = session.query(&format!("{begin}; {describe}")).await?;
    let oids: Vec<u32> = described.columns.iter().map(|column| column.type_oid).collect();
    let fields = COLUMNS.map(|(name, sql_type)| sql_type.field(name, false));
    let layout = CopyLayout::try_new("lineitem", Arc::new(Schema::new(fields.to_vec())), &oids)?;
    let copy = format!("COPY ({select}) TO STDOUT (FORMAT BINARY)");
    let copy = CopyOut::start(session, &copy).await?;
    let batches = decode_stream(copy, layout, ChunkLimits::default(), decode.clone());
    let (mut batches, mut rows) = (pin!(batches), 0);
    while let Some(batch) = batches.next().await {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

/// An aggregate over the cluster, beside the same over both shards at the same time.
pub(crate) async fn aggregate(bench: &Bench) -> Result<()> {
    let mut client = Client::connect(&bench.url()).await?;
    let (mut kestrel, mut postgres) = (Series::default(), Series::default());
    for round in 0..=bench.rounds {
        let began = Instant::now();
        client.query(AGGREGATE).await?;
        let here = began.elapsed().as_secs_f64();
        let shards = try_join_all(DATANODES.map(|datanode| bench.shard(datanode))).await?;
        let began = Instant::now();
        try_join_all(
            shards
                .into_iter()
                .map(|mut shard| async move { shard.query(AGGREGATE).await.map(drop) }),
        )
        .await?;
        if round > 0 {
            kestrel.push(here);
            postgres.push(began.elapsed().as_secs_f64());
        }
    }
    let ratio = kestrel.with(&postgres, |kestrel, postgres| kestrel / postgres).show(2);
    print_row(["aggregate, s", &kestrel.show(3), &postgres.show(3), &ratio, ""]);
    Ok(())
}
