//! The pages of a real cluster, against `docs/metrics.md` and against what was run.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use kestrel_datanode::{DatanodeSettings, LocalDatanode, PlanDecoder, exchange::Peers};
use kestrel_planner::{functions::FunctionRegistry, memory::QueryMemory};
use kestrel_proto::DatanodeId;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
};
use uuid::Uuid;

use super::DatanodePage;
use crate::{
    client::Client,
    cluster::{Cluster, ClusterOptions},
    http::Page,
};

const DOCUMENTATION: &str = include_str!("../../docs/metrics.md");

/// A cluster of two datanodes in this process.
async fn cluster(directory: &TempDir) -> Cluster {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = ClusterOptions {
        metrics_listen: Some(any_port),
        ..ClusterOptions::local(directory.path(), Some(2), 512 << 20)
    };
    Cluster::start(options).await.unwrap()
}

async fn client(cluster: &Cluster) -> Client {
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    Client::connect(&url).await.unwrap()
}

/// What the cluster's process shows under this path.
async fn page(cluster: &Cluster, path: &str) -> String {
    let mut socket = TcpStream::connect(cluster.metrics_address().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: kestrel\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_string()
}

/// A page, read as Prometheus reads it.
#[derive(Debug, Default)]
struct Scrape {
    /// Name to type and names of the labels.
    families: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Name and labels to value.
    values: BTreeMap<String, f64>,
}

impl Scrape {
    #[track_caller]
    fn parse(page: &str) -> Self {
        let (mut scrape, mut helped) = (Self::default(), BTreeSet::new());
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(help.ends_with('.') && helped.insert(name), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name), "no help for {name}");
                let before = scrape.families.insert(name.into(), (kind.into(), BTreeSet::new()));
                assert!(before.is_none(), "{name} is there twice");
            } else {
                scrape.sample(line);
            }
        }
        scrape
    }

    #[track_caller]
    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        let of_histogram = ["_bucket", "_sum", "_count"];
        let family = of_histogram.iter().find_map(|suffix| name.strip_suffix(suffix));
        let family = family.filter(|name| self.families.contains_key(*name)).unwrap_or(name);
        let (_, known) = self.families.get_mut(family).unwrap_or_else(|| panic!("no type: {line}"));
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, quoted) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
            assert!(
                quoted.len() >= 2 && quoted.starts_with('"') && quoted.ends_with('"'),
                "{line}"
            );
            known.extend((label != "le").then(|| label.to_string()));
        }
        assert!(self.values.insert(series.into(), value).is_none(), "twice: {line}");
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.values))
    }
}

/// The rows of the table under a heading, as a scrape would give them.
fn documented(heading: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let section = DOCUMENTATION.split(&format!("### {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `kestrel_"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let name = format!("kestrel_{}", cells[0].trim_end_matches('`'));
        let labels = cells[2].split(", ").filter(|label| !label.is_empty());
        (name, (cells[1].to_string(), labels.map(str::to_string).collect()))
    };
    rows.map(row).collect()
}

const TABLES: [&str; 4] = [
    "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
    "CREATE TABLE u (a int, b int) DISTRIBUTED BY (a)",
    "INSERT INTO t VALUES (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)",
    "INSERT INTO u SELECT b, a FROM t",
];

#[tokio::test]
async fn the_documentation_lists_what_a_process_shows() {
    let directory = TempDir::new().unwrap();
    let cluster = cluster(&directory).await;
    assert!(client(&cluster).await.query("SELECT nothing").await.is_err());
    let shown = Scrape::parse(&page(&cluster, "/metrics").await).families;
    let headings = ["Coordinator", "Datanode", "Every process"];
    assert_eq!(shown, headings.into_iter().flat_map(documented).collect());
    cluster.stop().await;

    let directory = TempDir::new().unwrap();
    let (id, cluster_id) = (DatanodeId(0), Uuid::new_v4());
    let settings =
        DatanodeSettings::new(id, cluster_id, directory.path(), QueryMemory::new(1 << 20));
    let decoder = Arc::new(PlanDecoder::new(FunctionRegistry::new()));
    let peers = Arc::new(Peers::default());
    let page = DatanodePage::new(Duration::from_secs(60));
    page.joined(LocalDatanode::open(settings, peers, decoder, Handle::current()).unwrap());
    assert!(page.health().await.healthy);
    let shown = Scrape::parse(&page.metrics().await).families;
    assert_eq!(shown, ["Datanode", "Every process"].into_iter().flat_map(documented).collect());
}

#[tokio::test]
async fn what_runs_is_counted() {
    let directory = TempDir::new().unwrap();
    let cluster = cluster(&directory).await;
    let mut client = client(&cluster).await;
    for sql in TABLES {
        client.query(sql).await.unwrap();
    }
    let before = Scrape::parse(&page(&cluster, "/metrics").await);
    assert_eq!(before.value("kestrel_sessions"), 1.0);
    assert_eq!(before.value("kestrel_queries_total{state=\"finished\"}"), 2.0);
    assert_eq!(before.value("kestrel_rows_returned_total"), 0.0);
    assert_eq!(before.value("kestrel_datanode_up{datanode=\"dn2\"}"), 1.0);
    for (sql, rows) in [
        ("SELECT t.a, u.a FROM t JOIN u ON t.b = u.b", Some(4)),
        ("SELECT a FROM t WHERE b > (SELECT min(b) FROM u)", Some(5)),
        ("EXPLAIN ANALYZE SELECT count(*) FROM t", None),
    ] {
        let answer = client.query(sql).await.unwrap();
        assert!(rows.is_none_or(|rows| answer.rows.len() == rows), "{sql}: {:?}", answer.rows);
    }
    for (sql, sqlstate) in [
        // Another datanode could return rows before this one fails, if it had any.
        ("SELECT 1 / (a - 3) FROM t WHERE a = 3", "22012"),
        ("EXPLAIN ANALYZE SELECT 1 / (a - 3) FROM t", "22012"),
        ("INSERT INTO u SELECT 1 / (a - 3), b FROM t", "22012"),
        ("SELECT nothing", "42703"),
        ("SELEC 1", "42601"),
    ] {
        let error = client.query(sql).await.unwrap_err();
        assert_eq!(error.sqlstate.as_deref(), Some(sqlstate), "{sql}: {error}");
    }
    let after = Scrape::parse(&page(&cluster, "/metrics").await);
    let grown =
        |series: &str| after.value(series) - before.values.get(series).copied().unwrap_or_default();
    for (series, by) in [
        ("kestrel_queries_total{state=\"finished\"}", 3.0),
        ("kestrel_queries_total{state=\"failed\"}", 3.0),
        ("kestrel_query_duration_seconds_count", 6.0),
        ("kestrel_query_duration_seconds_bucket{le=\"+Inf\"}", 6.0),
        ("kestrel_queries_running", 0.0),
        ("kestrel_rows_returned_total", 9.0),
        ("kestrel_errors_total{sqlstate=\"22012\"}", 3.0),
        ("kestrel_errors_total{sqlstate=\"42703\"}", 1.0),
        ("kestrel_errors_total{sqlstate=\"42601\"}", 1.0),
        ("kestrel_fragments_running{datanode=\"dn1\"}", 0.0),
        ("kestrel_segment_files_written_total{datanode=\"dn1\"}", 0.0),
    ] {
        assert_eq!(grown(series), by, "{series}");
    }
    for series in [
        "kestrel_motion_rows_total{motion=\"gather\"}",
        "kestrel_motion_bytes_total{motion=\"gather\"}",
        "kestrel_fragments_total{datanode=\"dn1\",outcome=\"finished\"}",
        "kestrel_fragments_total{datanode=\"dn2\",outcome=\"finished\"}",
        "kestrel_metadata_cache_hits_total{datanode=\"dn1\"}",
    ] {
        assert!(grown(series) > 0.0, "{series}: {}", grown(series));
    }
    // The rows of the join moved, by one kind of motion or the other.
    let moved = ["redistribute", "broadcast"]
        .map(|motion| grown(&format!("kestrel_motion_rows_total{{motion=\"{motion}\"}}")));
    assert!(moved.iter().sum::<f64>() > 0.0, "{moved:?}");
    let written = ["dn1", "dn2"]
        .map(|name| after.value(&format!("kestrel_rows_written_total{{datanode=\"{name}\"}}")));
    assert_eq!(written.iter().sum::<f64>(), 10.0, "{written:?}");
    let health: Value = serde_json::from_str(&page(&cluster, "/health").await).unwrap();
    assert_eq!(health["status"], "ok", "{health}");
    cluster.stop().await;
}

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_query_is_one_line_of_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter("kestrel::query=info")
        .with_writer(move || writer.clone())
        .finish();
    let directory = TempDir::new().unwrap();
    let cluster = cluster(&directory).await;
    // Sessions are served on this thread.
    let _logged = tracing::subscriber::set_default(subscriber);
    let mut client = client(&cluster).await;
    for sql in TABLES {
        client.query(sql).await.unwrap();
    }
    client.query("SELECT a\n  FROM t").await.unwrap();
    client.query("SELECT 1 / (a - 3) FROM t").await.unwrap_err();
    client.query("SELECT nothing").await.unwrap_err();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |line: &Value| {
        let of = |field: &str| line[field].as_str().unwrap_or("none").to_string();
        (of("state"), line["rows"].as_u64().unwrap(), of("sqlstate"), of("statement"))
    };
    let expected = [
        ("finished", 5, "none", TABLES[2]),
        ("finished", 5, "none", TABLES[3]),
        ("finished", 5, "none", "SELECT a   FROM t"),
        ("failed", 0, "22012", "SELECT 1 / (a - 3) FROM t"),
    ];
    let expected = expected.map(|(state, rows, sqlstate, statement)| {
        (state.to_string(), rows, sqlstate.to_string(), statement.to_string())
    });
    let told: Vec<_> = lines.iter().map(told).collect();
    // Of the query that fails some rows may have come.
    assert_eq!(told[..3], expected[..3], "{text}");
    assert_eq!((told.len(), &told[3].2, &told[3].3), (4, &expected[3].2, &expected[3].3), "{text}");
    for line in &lines {
        assert_eq!(line["target"], "kestrel::query", "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
        assert_eq!(line["query_id"].as_str().unwrap().len(), 36, "{line}");
        assert!(line["session_pid"].as_i64().unwrap() > 0, "{line}");
        assert!(line["rows_moved"].is_u64() && line["bytes_moved"].is_u64(), "{line}");
    }
}
