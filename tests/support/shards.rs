//! Databases for the shards of test clusters: PostgreSQL servers that a test has for itself, and,
//! with `KESTREL_TEST_SHARDS`, shared ones in which every cluster of the suite gets its own.
//!
//! `KESTREL_TEST_SHARDS=kes`: PostgreSQL 15 as it is; `=kes12`: as far as it can look like a
//! KingbaseES (`kes`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use kestrel::{
    cluster::ShardOptions,
    postgres::{Programs, SOCKET_PORT, TempPostgres},
    shards::{PasswordSource, ShardDatabase, ShardKind},
};
use kestrel_datanode::shard::kes::session::Address;

use super::{
    FaultProxy,
    kes::{KES12, KesShim, SETTINGS, SYS_CATALOG},
};

/// For a server that was killed to be there again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Two at least, so that a statement for one that gets to another is found.
const SHARED_SERVERS: usize = 2;
/// What shards need besides what every test server has.
const SHARD_SETTINGS: &[(&str, &str)] =
    &[("max_prepared_transactions", "500"), ("max_connections", "500")];
/// Databases of the suite's clusters are copies of it.
const TEMPLATE: &str = "shard_template";

/// PostgreSQL servers, one for each datanode of one cluster.
pub(crate) struct ShardServers(Vec<TempPostgres>);

impl ShardServers {
    /// `None`: the test is to be skipped, because `KESTREL_TEST_SKIP` says so.
    pub(crate) fn start(count: usize) -> Option<Self> {
        let programs = Programs::for_tests().unwrap_or_else(|e| panic!("{e}"))?;
        let start = |_| TempPostgres::start_with(&programs, SHARD_SETTINGS);
        let servers: Result<_, _> = (0..count).map(start).collect();
        Some(Self(servers.unwrap_or_else(|e| panic!("{e}"))))
    }

    /// For a cluster of as many datanodes.
    pub(crate) fn options(&self) -> ShardOptions {
        let databases = self.0.iter().map(|server| database(server, "postgres")).collect();
        ShardOptions { kind: Some(ShardKind::Kes), databases }
    }

    /// The server of this datanode, counted from 0.
    pub(crate) fn server(&self, index: usize) -> &TempPostgres {
        &self.0[index]
    }

    /// The same, behind proxies that do to connections what networks do, in the same order.
    pub(crate) async fn proxied(&self) -> (Vec<FaultProxy>, ShardOptions) {
        let (mut proxies, mut databases) = (Vec::new(), Vec::new());
        for server in &self.0 {
            let proxy = FaultProxy::start().await;
            proxy
                .lead_to_socket(&server.socket_directory().join(format!(".s.PGSQL.{SOCKET_PORT}")));
            let (host, port) = (proxy.address().ip().to_string(), proxy.address().port());
            databases.push(ShardDatabase::new(
                Address::Tcp(host, port),
                "postgres",
                "postgres",
                PasswordSource::None,
            ));
            proxies.push(proxy);
        }
        (proxies, ShardOptions { kind: Some(ShardKind::Kes), databases })
    }

    /// kill -9 of the server and of all its processes at once, so that no session ends what it does.
    pub(crate) async fn kill(&self, index: usize) {
        let file = self.server(index).socket_directory().join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file).unwrap();
        let postmaster: u32 = text.lines().next().unwrap().trim().parse().unwrap();
        let mut processes = vec![postmaster.to_string()];
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            // 4711 (postgres) S 4700 …: the fourth is its parent's.
            let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let fields = stat.rsplit(')').next().unwrap_or_default();
            if fields.split_whitespace().nth(1) == Some(postmaster.to_string().as_str()) {
                processes.push(process.file_name().to_string_lossy().into_owned());
            }
        }
        // A session may have ended by itself meanwhile: then kill complains, and has killed the rest.
        let mut kill = tokio::process::Command::new("kill");
        kill.args(["-s", "KILL"]).args(&processes).stderr(std::process::Stdio::null());
        kill.status().await.unwrap();
    }

    /// Starts a server again that was stopped or killed.
    pub(crate) async fn start_again(&self, index: usize) {
        let started = Instant::now();
        while let Err(error) = self.server(index).start_again() {
            assert!(started.elapsed() < PATIENCE, "it does not start again: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn database(server: &TempPostgres, name: &str) -> ShardDatabase {
    let address = Address::Unix(server.socket_directory().to_path_buf(), SOCKET_PORT);
    ShardDatabase::new(address, name, "postgres", PasswordSource::None)
}

/// What the suite's clusters are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuiteShards {
    Columnar,
    Kes,
    Kes12,
}

impl SuiteShards {
    /// As `KESTREL_TEST_SHARDS` says.
    pub(crate) fn from_env() -> Self {
        match std::env::var("KESTREL_TEST_SHARDS").as_deref() {
            Err(_) | Ok("" | "columnar") => Self::Columnar,
            Ok("kes") => Self::Kes,
            Ok("kes12") => Self::Kes12,
            Ok(other) => panic!("KESTREL_TEST_SHARDS is '{other}', not columnar, kes or kes12"),
        }
    }
}

/// The shards of the cluster in `directory`, which is new and gets so many datanodes, or was there
/// before and keeps its databases.
pub(crate) fn suite_shards(directory: &Path, datanodes: Option<u32>) -> ShardOptions {
    if SuiteShards::from_env() == SuiteShards::Columnar {
        return ShardOptions::default();
    }
    let mut shared = SHARED.lock().unwrap();
    ShardOptions { kind: Some(ShardKind::Kes), databases: shared.of(directory, datanodes) }
}

static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(|| Mutex::new(Shared::start()));

/// The servers of the suite. They end with its process.
struct Shared {
    servers: Vec<SharedServer>,
    /// The databases of each cluster, by its directory.
    databases: BTreeMap<PathBuf, Vec<String>>,
    next: u64,
}

struct SharedServer {
    server: TempPostgres,
    /// Before it, where it is to look like a KingbaseES.
    shim: Option<KesShim>,
}

impl Shared {
    fn start() -> Self {
        let programs = Programs::for_tests().unwrap_or_else(|e| panic!("{e}"));
        let programs = programs.expect("KESTREL_TEST_SHARDS needs PostgreSQL: not to be skipped");
        let server = |_| SharedServer::start(&programs, SuiteShards::from_env());
        let servers = (0..SHARED_SERVERS).map(server).collect();
        Self { servers, databases: BTreeMap::new(), next: 1 }
    }

    fn of(&mut self, directory: &Path, datanodes: Option<u32>) -> Vec<ShardDatabase> {
        self.drop_unused();
        if !self.databases.contains_key(directory) {
            // As many as `kestrel up` makes.
            let count = datanodes.unwrap_or(3) as usize;
            let mut names = Vec::new();
            for index in 0..count {
                let name = format!("shard_{}", self.next);
                self.next += 1;
                let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
                self.server(index).server.run_sql("postgres", &create).unwrap();
                names.push(name);
            }
            self.databases.insert(directory.to_path_buf(), names);
        }
        let names = self.databases[directory].iter().enumerate();
        names.map(|(index, name)| self.server(index).database(name)).collect()
    }

    /// The server of a datanode's database.
    fn server(&self, index: usize) -> &SharedServer {
        &self.servers[index % self.servers.len()]
    }

    /// Removes the databases of clusters whose directories have gone.
    fn drop_unused(&mut self) {
        let unused = self.databases.extract_if(.., |directory, _| !directory.exists());
        let unused: Vec<_> = unused.collect();
        for (_, names) in unused {
            for (index, name) in names.iter().enumerate() {
                // One with a prepared transaction stays; that fails no other test.
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                let _ = self.server(index).server.run_sql("postgres", &drop);
            }
        }
    }
}

impl SharedServer {
    fn start(programs: &Programs, shards: SuiteShards) -> Self {
        let is_kes12 = shards == SuiteShards::Kes12;
        let more = if is_kes12 { SETTINGS } else { &[] };
        let settings = [SHARD_SETTINGS, more].concat();
        let server =
            TempPostgres::start_with(programs, &settings).unwrap_or_else(|e| panic!("{e}"));
        server.run_sql("postgres", &format!("CREATE DATABASE {TEMPLATE}")).unwrap();
        if is_kes12 {
            for sql in [KES12, SYS_CATALOG] {
                server.run_sql(TEMPLATE, sql).unwrap_or_else(|e| panic!("{e}"));
            }
        }
        let shim = is_kes12.then(|| KesShim::start(server.socket_directory(), SOCKET_PORT));
        Self { server, shim }
    }

    fn database(&self, name: &str) -> ShardDatabase {
        let Some(shim) = &self.shim else { return database(&self.server, name) };
        let address = Address::Tcp(shim.address().ip().to_string(), shim.address().port());
        ShardDatabase::new(address, name, "postgres", PasswordSource::None)
    }
}
