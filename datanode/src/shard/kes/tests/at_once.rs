//! Few rows that a query reads with one scan.

use std::{sync::Arc, time::Duration};

use datafusion::logical_expr::Operator;
use futures::StreamExt;
use kestrel_planner::operators::{ShardScan, ShardStore};
use kestrel_proto::QueryId;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
};

use super::{
    super::session::{
        Address, KesSettings,
        tests::postgres::{TestPostgres, shared},
    },
    scans::compare,
    *,
};

/// The texts of the queries that were sent.
type Heard = Arc<Mutex<Vec<String>>>;

/// A port that leads to a server, and what passes there.
async fn listen(server: &TestPostgres) -> (KesSettings, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let Address::Unix(directory, number) = server.settings().address else {
        panic!("no unix socket")
    };
    let path = directory.join(format!(".s.PGSQL.{number}"));
    let heard = Heard::default();
    let noted = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&path).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let heard = Arc::clone(&noted);
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
            });
            tokio::spawn(async move {
                // What begins a session has no tag.
                let mut tag = vec![];
                while let Ok(message) = pass(&mut from_client, &mut to_server, &tag).await {
                    if tag == b"Q" {
                        let text = String::from_utf8_lossy(&message).into_owned();
                        heard.lock().push(text.trim_end_matches('\0').to_string());
                    }
                    tag = vec![0];
                    if from_client.read_exact(&mut tag).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (KesSettings { address: Address::new("127.0.0.1", port), ..server.settings() }, heard)
}

/// Passes on a message whose tag was read; what it has after its length.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    tag: &[u8],
) -> std::io::Result<Vec<u8>> {
    let length = from.read_i32().await?;
    let mut message = vec![0; usize::try_from(length).unwrap() - 4];
    from.read_exact(&mut message).await?;
    to.write_all(&[tag, &length.to_be_bytes(), &message].concat()).await?;
    Ok(message)
}

fn few(schema: &str) -> ShardScan {
    ShardScan { estimated_rows: 1, ..scan(schema, &columns()) }
}

/// Waits until no session of a store is in use.
async fn until_unused(store: &KesStore) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.counters().sessions_in_use > 0 {
        assert!(Instant::now() < deadline, "{:?}", store.counters());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_lookup_is_one_message() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "at_once", 1000).await;
    let (settings, heard) = listen(server).await;
    let store = store(settings).await;
    assert!(heard.lock().len() > 5, "a probe asks more: {heard:?}");
    let expected = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; \
        SET LOCAL cursor_tuple_fraction = 1.0; \
        DECLARE \"kst_c\" BINARY NO SCROLL CURSOR FOR SELECT \"a\", \"b\" FROM \"at_once\".\"t\" \
        WHERE (\"a\" = '7'::pg_catalog.int4); FETCH FORWARD ALL FROM \"kst_c\"; COMMIT";
    let lookup = ShardScan { filters: vec![compare("a", 0, Operator::Eq, 7)], ..few("at_once") };
    until_unused(&store).await;
    heard.lock().clear();
    for _ in 0..3 {
        let found = read(&store, &lookup, Reads::New).await.unwrap();
        assert_eq!((found.num_rows(), sum(&found)), (1, 7));
        assert_eq!(store.counters().snapshots, 0);
        // What is sent afterwards counts, too.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(std::mem::take(&mut *heard.lock()), [expected]);
        assert_eq!(store.counters().sessions_in_use, 0);
    }
}

#[tokio::test]
async fn more_rows_come_than_were_expected() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "at_once_many", 30_000).await;
    let store = store(server.settings()).await;
    let found = read(&store, &few("at_once_many"), Reads::New).await.unwrap();
    assert_eq!(sum(&found), 30_000 * 30_001 / 2);
    let none = ShardScan { filters: vec![compare("a", 0, Operator::Lt, 0)], ..few("at_once_many") };
    assert_eq!(read(&store, &none, Reads::New).await.unwrap().num_rows(), 0);
}

#[tokio::test]
async fn what_fails_or_changes_is_told() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "at_once_change", 10).await;
    let store = store(server.settings()).await;
    let few = few("at_once_change");
    assert_eq!(read(&store, &few, Reads::New).await.unwrap().num_rows(), 10);
    for (change, sqlstate) in [
        // Other bytes of another length, and of the same.
        ("ALTER TABLE at_once_change.t ALTER a TYPE bigint", "0A000"),
        ("ALTER TABLE at_once_change.t ALTER a TYPE real", "0A000"),
        (
            "ALTER TABLE at_once_change.t RENAME TO u; \
             CREATE FUNCTION at_once_change.f() RETURNS integer LANGUAGE sql AS \
             'INSERT INTO at_once_change.u VALUES (99) RETURNING 1'; \
             CREATE VIEW at_once_change.t AS SELECT at_once_change.f() AS a, ''::text AS b",
            "25006",
        ),
        (
            "CREATE OR REPLACE VIEW at_once_change.t AS \
             SELECT 1 / (5000 - i) AS a, repeat('x', 100) AS b FROM generate_series(1, 9000) i",
            "22012",
        ),
        ("DROP VIEW at_once_change.t", "42P01"),
    ] {
        run(&mut session, change).await;
        assert_eq!(sqlstate_of(&store, &few).await, sqlstate, "{change}");
    }
    until_unused(&store).await;
    let query = QueryId::random();
    store.end_query(query);
    let plan = store.scan(&few).unwrap();
    let late = collect(plan, context_of(query, Reads::New)).await.map_err(report);
    assert_eq!(sqlstate(late), "57014");
}

async fn sqlstate_of(store: &KesStore, scan: &ShardScan) -> &'static str {
    sqlstate(read(store, scan, Reads::New).await)
}

#[tokio::test]
async fn who_goes_early_ends_it() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "at_once_early", 0).await;
    let endless = "DROP TABLE at_once_early.t; CREATE VIEW at_once_early.t AS \
                   SELECT generate_series(1, 1000000000) AS a, repeat('x', 100) AS b";
    run(&mut session, endless).await;
    table(&mut session, "at_once_slow", 0).await;
    let slow = "DROP TABLE at_once_slow.t; CREATE VIEW at_once_slow.t AS \
                SELECT 1 AS a, pg_sleep(600)::text AS b FROM generate_series(1, 10)";
    run(&mut session, slow).await;
    let store = store(server.settings()).await;
    let plan = store.scan(&few("at_once_early")).unwrap();
    let mut rows = plan.execute(0, context(Reads::New)).unwrap();
    assert!(rows.next().await.unwrap().unwrap().num_rows() > 0);
    drop(rows);
    let slow = few("at_once_slow");
    let waits = tokio::time::timeout(Duration::from_millis(300), read(&store, &slow, Reads::New));
    assert!(waits.await.is_err(), "it did not sleep");
    let active = "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' \
                  AND query LIKE '%at_once\\_%\".\"t\"%' AND pid <> pg_backend_pid()";
    until(&mut session, active, "0").await;
    until_unused(&store).await;
    // They were kept.
    assert!(store.counters().sessions_idle > 0, "{:?}", store.counters());
}
