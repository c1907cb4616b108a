//! What a role that is no superuser may do.

use super::{Guarded, text};

const RULES: &str = "host all all 127.0.0.1/32 trust\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_superuser_makes_none() {
    let cluster = Guarded::start(RULES).await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE USER ann", "CREATE USER boss CREATEROLE PASSWORD 'x'"]).await;
    let ann = cluster.session("ann", "").await;
    assert_eq!(ann.value("SHOW is_superuser").await, "off");
    assert_eq!(admin.value("SHOW is_superuser").await, "on");
    for (sql, expected) in [
        ("CREATE ROLE x", "42501: permission denied to create role"),
        ("DROP ROLE boss", "42501: permission denied to drop role"),
        ("ALTER ROLE boss PASSWORD 'x'", "42501: permission denied"),
        (
            "ALTER ROLE ann SUPERUSER",
            "42501: must be superuser to alter superuser roles or \
          change superuser attribute",
        ),
        ("SET is_superuser = on", "55P02: parameter \"is_superuser\" cannot be changed"),
    ] {
        assert_eq!(text(&ann.failure(sql).await), expected, "{sql}");
    }
    ann.run_all(["ALTER ROLE CURRENT_USER PASSWORD 'new'"]).await;
    let seen = "SELECT rolpassword FROM pg_authid WHERE rolname = 'boss'";
    let denied = "42501: permission denied for table pg_authid";
    assert_eq!(text(&ann.failure(seen).await), denied);
    assert!(admin.value(seen).await.starts_with("SCRAM-SHA-256$"));
    let activity = "SELECT pg_get_userbyid(usesysid) FROM pg_stat_activity WHERE usename = 'ann'";
    assert_eq!(ann.value(activity).await, "ann");
    let boss = cluster.session("boss", "").await;
    boss.run_all(["CREATE ROLE x", "DROP ROLE x"]).await;
    let superuser = "42501: must be superuser to create superusers";
    assert_eq!(text(&boss.failure("CREATE ROLE x SUPERUSER").await), superuser);
    assert_eq!(text(&cluster.refused("x", "").await), "28000: role \"x\" does not exist");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_superuser_has_set_for_a_role_holds() {
    let cluster = Guarded::start(RULES).await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE USER ann", "ALTER ROLE ann SET kestrel.query_priority = high"]).await;
    admin.run_all(["ALTER ROLE ann SET log_statement = 'all'"]).await;
    let ann = cluster.session("ann", "").await;
    assert_eq!(ann.value("SHOW kestrel.query_priority").await, "high");
    assert_eq!(ann.value("SHOW log_statement").await, "all");
    ann.run_all(["SET kestrel.query_priority = low"]).await;
    let denied = "42501: permission denied to set parameter \"kestrel.query_priority\"";
    assert_eq!(text(&ann.failure("SET kestrel.query_priority = high").await), denied);
    // That is what the session began with.
    ann.run_all(["RESET kestrel.query_priority"]).await;
    assert_eq!(ann.value("SHOW kestrel.query_priority").await, "high");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_there_when_its_transaction_has_ended_well() {
    let cluster = Guarded::start(RULES).await;
    let admin = cluster.admin().await;
    admin.run_all(["BEGIN", "CREATE USER ann"]).await;
    assert_eq!(text(&cluster.refused("ann", "").await), "28000: role \"ann\" does not exist");
    admin.run_all(["ROLLBACK"]).await;
    assert_eq!(text(&cluster.refused("ann", "").await), "28000: role \"ann\" does not exist");
    admin.run_all(["BEGIN", "CREATE USER ann", "COMMIT"]).await;
    cluster.session("ann", "").await;
    admin.run_all(["BEGIN READ ONLY"]).await;
    let failure = admin.failure("DROP ROLE ann").await;
    assert_eq!(text(&failure), "25006: cannot execute DROP ROLE in a read-only transaction");
    cluster.stop().await;
}
