//! Databases that go away, and come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use kestrel_proto::{DatanodeId, ErrorReport};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    time::{Instant, sleep},
};

use super::{
    super::{Address, KesSettings, Pool},
    connect,
    postgres::{TestPostgres, own},
    value,
};

const SOON: Duration = Duration::from_millis(300);
const LONG: &str = "SELECT pg_sleep(600)";

#[track_caller]
fn check(error: &ErrorReport, message: &str, detail: &str) {
    assert_eq!(error.sqlstate.as_str(), "58K01", "{error:?}");
    assert_eq!(error.message, message, "{error:?}");
    assert!(error.detail.as_ref().unwrap().contains(detail), "{detail}: {error:?}");
    assert!(error.hint.as_ref().unwrap().contains("kestrel.datanodes"), "{error:?}");
    assert_eq!(error.datanode.as_deref(), Some("dn1"));
}

async fn stop(server: &Arc<TestPostgres>, mode: &'static str) {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || server.stop(mode)).await.unwrap();
}

const ENDED: &str = "the shard database of dn1 has been stopped or restarted";
const UNREACHABLE: &str = "the shard database of dn1 is not reachable";

#[tokio::test]
async fn a_killed_process_ends_all_sessions() {
    let Some(server) = own().map(Arc::new) else { return };
    let mut killed = connect(server.settings()).await.unwrap();
    let mut other = connect(server.settings()).await.unwrap();
    let mut writer = connect(server.settings()).await.unwrap();
    let process = value(&mut killed, "SELECT pg_backend_pid()").await;
    writer.query("CREATE TABLE public.t (i int)").await.unwrap();
    let source = stream::repeat_with(|| Ok(Bytes::from("1\n".repeat(10_000))));
    let kill = async {
        sleep(SOON).await;
        TestPostgres::signal("KILL", &process);
    };
    let writing = writer.copy_in("COPY public.t FROM STDIN", source.boxed());
    let (killed, other, written, ()) =
        tokio::join!(killed.query(LONG), other.query(LONG), writing, kill);
    check(&killed.unwrap_err(), ENDED, "The server closed the connection.");
    // The postmaster restarts everything.
    check(&other.unwrap_err(), ENDED, "(SQLSTATE 57P02)");
    let error = written.unwrap_err();
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("58K01", ENDED));
}

#[tokio::test]
async fn a_stopped_database_says_so() {
    let Some(server) = own().map(Arc::new) else { return };
    for mode in ["fast", "immediate"] {
        let mut sleeping = connect(server.settings()).await.unwrap();
        let mut reading = connect(server.tcp_settings_of("postgres", "127.0.0.1")).await.unwrap();
        let sql = "COPY (SELECT generate_series(1, 1000000000000)) TO STDOUT";
        let copy = reading.copy_out(sql).await.unwrap();
        let stopped = async {
            sleep(SOON).await;
            stop(&server, mode).await;
        };
        let (sleeping, copied, ()) =
            tokio::join!(sleeping.query(LONG), copy.try_for_each(|_| async { Ok(()) }), stopped);
        check(&sleeping.unwrap_err(), ENDED, "(SQLSTATE 57P01)");
        let error = copied.unwrap_err();
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("58K01", ENDED));
        check(&connect(server.settings()).await.unwrap_err(), UNREACHABLE, ".s.PGSQL.");
        let refused = connect(server.tcp_settings_of("postgres", "127.0.0.1")).await;
        check(&refused.unwrap_err(), UNREACHABLE, "Connection refused");
        server.start_again();
    }
}

#[tokio::test]
async fn a_restart_is_waited_for() {
    let Some(server) = own().map(Arc::new) else { return };
    let restart_wait = Duration::from_secs(30);
    let settings = KesSettings { restart_wait, ..server.settings() };
    let pool = Pool::new(settings, DatanodeId(0)).unwrap();
    let sessions = join_all((0..8).map(|_| pool.get())).await;
    drop(sessions.into_iter().collect::<Result<Vec<_>, _>>().unwrap());
    assert_eq!(pool.state().idle, 8);
    stop(&server, "fast").await;
    let start = async {
        sleep(SOON).await;
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || server.start_again()).await.unwrap();
    };
    let statements = (0..8).map(|_| async {
        let mut session = pool.get().await?;
        session.query("SELECT 1").await
    });
    let (answers, ()) = tokio::join!(join_all(statements), start);
    for answer in answers {
        assert_eq!(answer.unwrap().single_value(), Some("1"));
    }
}

#[tokio::test]
async fn many_who_need_a_session_do_not_storm() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    tokio::spawn(async move {
        // Takes connections, and never a session.
        while let Ok((mut connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = connection.read(&mut [0; 8]).await;
        }
    });
    let settings = KesSettings {
        restart_wait: Duration::from_millis(1500),
        sessions_max: 200,
        ..KesSettings::new(Address::new("127.0.0.1", port), "postgres", "postgres")
    };
    let pool = Pool::new(settings, DatanodeId(0)).unwrap();
    check(&pool.get().await.unwrap_err(), UNREACHABLE, "Connecting to 127.0.0.1:");
    attempts.store(0, Ordering::Relaxed);
    let begin = Instant::now();
    let failed = join_all((0..200).map(|_| pool.get())).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(failed.into_iter().all(|session| session.is_err()));
    let attempts = attempts.load(Ordering::Relaxed);
    assert!(attempts < 20, "{attempts} attempts for 200 who wait");
    assert_eq!(pool.state().in_use, 0);
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
    let connect_timeout = Duration::from_millis(200);
    let settings =
        KesSettings { connect_timeout, ..KesSettings::new(address, "postgres", "postgres") };
    let error = connect(settings).await.unwrap_err();
    check(&error, UNREACHABLE, "took longer than 200ms");
}
