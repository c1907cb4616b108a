//! Looking up single rows.

use std::time::Instant;

use tokio_postgres::{NoTls, SimpleQueryMessage, types::Type};

use crate::{
    Result,
    bench::{Bench, DATANODES},
    expect,
    figures::{Series, print_row},
};

/// In each round, of each kind.
const LOOKUPS: usize = 1000;
const LOOKUP: &str = "SELECT * FROM orders WHERE o_orderkey = ";

/// Single rows by their key, beside the same on the shard that has them.
pub(crate) async fn lookup(bench: &Bench) -> Result<()> {
    let client = Lookup::open(&bench.url()).await?;
    let mut shards = vec![];
    let mut keys = vec![];
    for datanode in DATANODES {
        let each = LOOKUPS / DATANODES.len();
        let some =
            format!("SELECT o_orderkey FROM orders ORDER BY md5(o_orderkey::text) LIMIT {each}");
        let found = bench.shard(datanode).await?.query(&some).await?;
        let values = found.rows.into_iter().flatten().flatten();
        for value in values {
            keys.push((shards.len(), value.parse::<i64>()?));
        }
        shards.push(Lookup::open(&bench.shard_url(datanode)?).await?);
    }
    // A datanode after the other would show its caches only.
    keys.sort_by_key(|(_, key)| key.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64));
    for (name, is_prepared) in [("prepared", true), ("simple", false)] {
        let mut figures: [[Series; 2]; 2] = Default::default();
        for round in 0..=bench.rounds {
            let (mut here, mut there) = (vec![], vec![]);
            for (shard, key) in &keys {
                here.push(client.ms(*key, is_prepared).await?);
                there.push(shards[*shard].ms(*key, is_prepared).await?);
            }
            for (times, [p50, p95]) in [here, there].iter_mut().zip(&mut figures) {
                times.sort_by(f64::total_cmp);
                if round > 0 {
                    p50.push(percentile(times, 50)?);
                    p95.push(percentile(times, 95)?);
                }
            }
        }
        let [kestrel, postgres] = &figures;
        for (part, (kestrel, postgres)) in ["p50", "p95"].iter().zip(kestrel.iter().zip(postgres)) {
            let more = kestrel.with(postgres, |kestrel, postgres| kestrel - postgres).show(2);
            let what = format!("one row, {name}, {part}, ms");
            print_row([&what, &kestrel.show(2), &postgres.show(2), &more, "<= +2.00"]);
        }
    }
    Ok(())
}

/// A connection that looks up orders.
struct Lookup {
    client: tokio_postgres::Client,
    statement: tokio_postgres::Statement,
}

impl Lookup {
    async fn open(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let statement = client.prepare_typed(&format!("{LOOKUP}$1"), &[Type::INT8]).await?;
        Ok(Self { client, statement })
    }

    /// How many milliseconds a row takes.
    async fn ms(&self, key: i64, is_prepared: bool) -> Result<f64> {
        let began = Instant::now();
        let rows = match is_prepared {
            true => self.client.query(&self.statement, &[&key]).await?.len(),
            false => {
                let messages = self.client.simple_query(&format!("{LOOKUP}{key}")).await?;
                let is_row = |message: &&_| matches!(message, SimpleQueryMessage::Row(_));
                messages.iter().filter(is_row).count()
            }
        };
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        expect("orders of a key", rows as u64, 1)?;
        Ok(ms)
    }
}

fn percentile(sorted: &[f64], percent: usize) -> Result<f64> {
    let at = sorted.len() * percent / 100;
    Ok(*sorted.get(at).ok_or("there are no orders at this scale")?)
}
