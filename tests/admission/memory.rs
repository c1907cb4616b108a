//! What one query may hold.

use kestrel_coordinator::query::QueryLimits;

use super::{cluster, limits};

#[tokio::test(flavor = "multi_thread")]
async fn a_query_has_its_own_limit() {
    let limits = QueryLimits { memory_bytes: 64 << 20, ..limits(8, 100) };
    let (cluster, session) = cluster(limits, 400_000).await;
    let show = "SHOW kestrel.query_memory_limit";
    assert_eq!(session.value(show).await, "64MB");
    for (value, sqlstate) in
        [("1GB", Some("22023")), ("0", Some("22023")), ("x", Some("22023")), ("1MB", None)]
    {
        let answer = session.run(&format!("SET kestrel.query_memory_limit = '{value}'")).await;
        assert_eq!(answer.sqlstate(), sqlstate, "{value}: {answer}");
    }
    assert_eq!(session.value(show).await, "1MB");
    // A hash table cannot go to disk; what goes into it can.
    let join = "SELECT count(*) FROM t a JOIN t b ON a.i + 1 = b.i + 1";
    assert_eq!(session.value(join).await, "400000");
    session.run_all(["SET kestrel.enable_spilling_joins = off"]).await;
    let failure = session.failure(join).await;
    assert_eq!(failure.sqlstate, "53200", "{failure}");
    let hint = failure.hint.as_deref().unwrap_or_default();
    assert!(hint.contains("kestrel.query_memory_limit"), "{failure}");
    // Others have more, and so has this session.
    let other = cluster.session().await;
    assert_eq!(other.value(join).await, "400000");
    session.run_all(["RESET kestrel.query_memory_limit"]).await;
    assert_eq!(session.value(show).await, "64MB");
    assert_eq!(session.value(join).await, "400000");
    cluster.stop().await;
}
