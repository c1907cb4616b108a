//! Filling a table.

use std::time::Instant;

use futures::future::try_join_all;
use kestrel::client::Client;

use crate::{
    Result,
    bench::{Bench, DATANODES},
    figures::{Series, print_row},
    lines::{copy_file, create},
};

/// COPY into a table of the cluster, beside the same rows into both shards.
pub(crate) async fn load(bench: &Bench) -> Result<()> {
    let client = Client::connect(&bench.url()).await?;
    let (mut kestrel, mut postgres) = (Series::default(), Series::default());
    for _ in 0..bench.rounds {
        client.execute(&create("lineitem", "loaded")?).await?;
        bench.on_shards("CHECKPOINT").await?;
        let began = Instant::now();
        copy_file(&bench.url(), "loaded", &bench.file("lineitem")).await?;
        kestrel.push(began.elapsed().as_secs_f64());
        client.execute("DROP TABLE loaded").await?;

        bench.on_shards("CREATE TABLE raw (LIKE lineitem INCLUDING ALL)").await?;
        bench.on_shards("CHECKPOINT").await?;
        let shards =
            DATANODES.map(|name| -> Result<_> { Ok((bench.shard_url(name)?, bench.file(name))) });
        let shards = shards.into_iter().collect::<Result<Vec<_>>>()?;
        let began = Instant::now();
        try_join_all(shards.iter().map(|(url, file)| copy_file(url, "raw", file))).await?;
        postgres.push(began.elapsed().as_secs_f64());
        bench.on_shards("DROP TABLE raw").await?;
    }
    let ratio = kestrel.with(&postgres, |kestrel, postgres| kestrel / postgres).show(2);
    print_row(["load, s", &kestrel.show(2), &postgres.show(2), &ratio, "<= 1.25"]);
    Ok(())
}
