//! A cluster whose shards are in local servers, the tables in it, and the ways to both.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use kestrel::{
    client::Client,
    cluster::{Cluster, ClusterOptions, ShardOptions},
    shards::ShardKind,
};
use tokio::task::spawn_blocking;

use crate::{
    Flags, Result, expect,
    lines::{copy_file, create, generate, split},
};

pub(crate) const DATANODES: [&str; 2] = ["dn1", "dn2"];
/// The database of a server, and its owner.
pub(crate) const NAME: &str = "kestrel";
pub(crate) const PORT: u16 = 5432;

pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    data: PathBuf,
    /// Of the tables' lines.
    files: PathBuf,
    scale: f64,
    pub(crate) rounds: usize,
}

impl Bench {
    pub(crate) async fn start(flags: &Flags, data: &Path, files: &Path) -> Result<Self> {
        let shards = ShardOptions { kind: Some(ShardKind::Kes), databases: vec![] };
        let options = ClusterOptions::local(data, Some(DATANODES.len() as u32), 4 << 30);
        let options = ClusterOptions { shards, ..options };
        let cluster = Cluster::start(options).await?;
        let (data, files) = (data.to_path_buf(), files.to_path_buf());
        Ok(Self { cluster, data, files, scale: flags.scale, rounds: flags.rounds })
    }

    /// Where clients of the cluster connect.
    pub(crate) fn url(&self) -> String {
        format!("postgres://kestrel@{}/kestrel", self.cluster.address())
    }

    /// Where its server listens.
    pub(crate) fn socket(&self, datanode: &str) -> PathBuf {
        self.data.join(datanode).join("socket")
    }

    pub(crate) fn password(&self, datanode: &str) -> Result<String> {
        let file = self.data.join(datanode).join("postgres-password");
        Ok(std::fs::read_to_string(file)?.trim().to_string())
    }

    /// Where clients of a datanode's server connect.
    pub(crate) fn shard_url(&self, datanode: &str) -> Result<String> {
        let (socket, password) = (self.socket(datanode), self.password(datanode)?);
        let host = socket.display();
        Ok(format!("host='{host}' port={PORT} user={NAME} dbname={NAME} password={password}"))
    }

    pub(crate) async fn shard(&self, datanode: &str) -> Result<Client> {
        Ok(Client::connect(&self.shard_url(datanode)?).await?)
    }

    /// On one after the other.
    pub(crate) async fn on_shards(&self, sql: &str) -> Result<()> {
        for datanode in DATANODES {
            self.shard(datanode).await?.execute(sql).await?;
        }
        Ok(())
    }

    /// Of a table, or of a datanode's part of lineitem.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.join(format!("{name}.tbl"))
    }

    /// Files of the tables' lines; the tables, filled, and with nothing left to be tidied up.
    pub(crate) async fn fill(&self) -> Result<()> {
        let client = Client::connect(&self.url()).await?;
        for name in ["lineitem", "orders"] {
            client.execute(&create(name, name)?).await?;
            let (file, scale) = (self.file(name), self.scale);
            spawn_blocking(move || generate(name, scale, &file)).await??;
            copy_file(&self.url(), name, &self.file(name)).await?;
        }
        self.on_shards("VACUUM (FREEZE, ANALYZE)").await?;
        client.execute("ANALYZE lineitem").await?;
        client.execute("ANALYZE orders").await?;
        self.split().await
    }

    /// A file for each datanode, of the lines of lineitem that it has.
    async fn split(&self) -> Result<()> {
        let keys = "SELECT DISTINCT l_orderkey FROM lineitem";
        let keys = self.shard(DATANODES[0]).await?.query(keys).await?;
        let keys = keys.rows.into_iter().flatten().flatten();
        let keys: HashSet<Vec<u8>> = keys.map(String::into_bytes).collect();
        let (whole, parts) = (self.file("lineitem"), DATANODES.map(|name| self.file(name)));
        let rows = spawn_blocking(move || split(&whole, &parts, &keys)).await??;
        for (datanode, rows) in DATANODES.iter().zip(rows) {
            expect("the lines of a shard", rows, self.shard_rows(datanode).await?)?;
        }
        Ok(())
    }

    /// Rows of lineitem.
    pub(crate) async fn shard_rows(&self, datanode: &str) -> Result<u64> {
        let mut shard = self.shard(datanode).await?;
        let counted = shard.query("SELECT count(*) FROM lineitem").await?;
        let count = counted.rows.into_iter().flatten().flatten().next();
        Ok(count.ok_or("a count has no rows")?.parse()?)
    }
}
