//! How sessions are handed out, kept and closed.

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use kestrel_proto::DatanodeId;
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{CopyOut, KesSettings, Pool, PoolState, PooledSession},
    connect,
    postgres::shared,
    value,
};

const PROCESS: &str = "SELECT pg_backend_pid()";

fn pool(settings: KesSettings) -> Pool {
    Pool::new(settings, DatanodeId(0)).unwrap()
}

async fn process(session: &mut PooledSession) -> String {
    value(session, PROCESS).await
}

/// Waits until sessions that were dropped are back.
async fn until(pool: &Pool, in_use: usize, idle: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let wanted = PoolState { in_use, idle, waiting: 0 };
    while pool.state() != wanted {
        assert!(Instant::now() < deadline, "{:?} is not {wanted:?}", pool.state());
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn sessions_are_used_again() {
    let Some(server) = shared() else { return };
    let pool = pool(server.settings());
    let mut first = pool.get().await.unwrap();
    let first_process = process(&mut first).await;
    first.query("DO $$BEGIN RAISE NOTICE 'for the first'; END$$").await.unwrap();
    let mut second = pool.get().await.unwrap();
    let second_process = process(&mut second).await;
    assert_ne!(first_process, second_process);
    until(&pool, 2, 0).await;
    drop(first);
    drop(second);
    until(&pool, 0, 2).await;
    // The one that was used last.
    let mut third = pool.get().await.unwrap();
    assert_eq!(process(&mut third).await, second_process);
    let mut fourth = pool.get().await.unwrap();
    assert_eq!(process(&mut fourth).await, first_process);
    assert!(fourth.take_notices().is_empty(), "another one's notices");
    drop((third, fourth));
    until(&pool, 0, 2).await;
}

#[tokio::test]
async fn no_more_than_so_many() {
    let Some(server) = shared() else { return };
    let session_wait = Duration::from_millis(300);
    let pool = pool(KesSettings { sessions_max: 2, session_wait, ..server.settings() });
    let first = pool.get().await.unwrap();
    let second = pool.try_get().await.unwrap().unwrap();
    assert!(pool.try_get().await.unwrap().is_none());
    let begin = Instant::now();
    let error = pool.get().await.unwrap_err();
    assert!(begin.elapsed() >= session_wait);
    assert_eq!(error.sqlstate.as_str(), "53300");
    assert_eq!(error.message, "all sessions with the shard database of dn1 are in use");
    assert!(error.detail.unwrap().starts_with("There are 2;"));
    assert!(error.hint.unwrap().contains("shard-sessions"));
    assert_eq!(pool.state(), PoolState { in_use: 2, idle: 0, waiting: 0 });
    // Who waits gets what comes back.
    let (third, ()) = tokio::join!(pool.get(), async {
        sleep(Duration::from_millis(50)).await;
        assert_eq!(pool.state().waiting, 1);
        drop(first);
    });
    drop((second, third));
    until(&pool, 0, 2).await;

    let statements = (0..40).map(|_| async {
        let mut session = pool.get().await.unwrap();
        value(&mut session, "SELECT pg_sleep(0.001)").await
    });
    assert_eq!(join_all(statements).await.len(), 40);
    until(&pool, 0, 2).await;
}

#[tokio::test]
async fn only_whole_sessions_are_kept() {
    let Some(server) = shared() else { return };
    let pool = pool(server.settings());
    let mut session = pool.get().await.unwrap();
    let before = process(&mut session).await;
    session.query("BEGIN").await.unwrap();
    drop(session);
    until(&pool, 0, 0).await;

    let mut session = pool.get().await.unwrap();
    let busy = process(&mut session).await;
    assert_ne!(before, busy);
    assert!(
        timeout(Duration::from_millis(50), session.query("SELECT pg_sleep(600)")).await.is_err()
    );
    drop(session);
    // Cancelled, and outside of a transaction: as good as new.
    until(&pool, 0, 1).await;
    let mut session = pool.get().await.unwrap();
    assert_eq!(process(&mut session).await, busy);

    // A stream that owns its session gives it back when it is dropped.
    let sql = "COPY (SELECT generate_series(1, 1000000000000)) TO STDOUT";
    let mut copy = CopyOut::start(session, sql).await.unwrap();
    copy.next().await.unwrap().unwrap();
    drop(copy);
    until(&pool, 0, 1).await;
    assert_eq!(process(&mut pool.get().await.unwrap()).await, busy);

    let mut session = pool.get().await.unwrap();
    session.query("BEGIN").await.unwrap();
    assert!(
        timeout(Duration::from_millis(50), session.query("SELECT pg_sleep(600)")).await.is_err()
    );
    drop(session);
    until(&pool, 0, 0).await;
}

#[tokio::test]
async fn dead_sessions_are_not_handed_out() {
    let Some(server) = shared() else { return };
    let pool = pool(server.settings());
    let mut other = connect(server.settings()).await.unwrap();
    for _ in 0..5 {
        let mut session = pool.get().await.unwrap();
        let process = process(&mut session).await;
        drop(session);
        other.query(&format!("SELECT pg_terminate_backend({process}, 5000)")).await.unwrap();
        // So that the runtime hears of it.
        sleep(Duration::from_millis(20)).await;
        let mut session = pool.get().await.unwrap();
        assert_ne!(value(&mut session, PROCESS).await, process);
    }
}

#[tokio::test]
async fn idle_sessions_are_closed() {
    let Some(server) = shared() else { return };
    let idle_timeout = Duration::from_millis(200);
    let pool = pool(KesSettings { idle_timeout, ..server.settings() });
    drop((pool.get().await.unwrap(), pool.get().await.unwrap()));
    until(&pool, 0, 2).await;
    until(&pool, 0, 0).await;
    assert_eq!(value(&mut pool.get().await.unwrap(), "SELECT 1").await, "1");
}
