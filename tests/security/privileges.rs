//! Several users connected: what each may read, write, see and stop.

use super::{Guarded, text};

const RULES: &str = "host all all 127.0.0.1/32 trust\n";

/// ann owns `public.t` with two rows; bob has nothing yet.
async fn cluster() -> Guarded {
    let cluster = Guarded::start(RULES).await;
    let admin = cluster.admin().await;
    admin
        .run_all(["CREATE USER ann", "CREATE USER bob", "GRANT CREATE ON SCHEMA public TO ann"])
        .await;
    let ann = cluster.session("ann", "").await;
    ann.run_all(["CREATE TABLE t (a int, b text)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')"])
        .await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_counts_at_once_and_what_is_revoked_too() {
    let cluster = cluster().await;
    let ann = cluster.session("ann", "").await;
    let bob = cluster.session("bob", "").await;
    let denied = "42501: permission denied for table t";
    bob.run_all(["PREPARE p AS SELECT count(*) FROM t"]).await;
    for sql in ["SELECT * FROM t", "EXECUTE p", "EXPLAIN ANALYZE SELECT * FROM t"] {
        assert_eq!(text(&bob.failure(sql).await), denied, "{sql}");
    }
    assert_eq!(text(&bob.copy_out("COPY t TO STDOUT").await.unwrap_err()), denied);
    assert_eq!(text(&bob.copy_out("COPY (SELECT a FROM t) TO STDOUT").await.unwrap_err()), denied);
    assert_eq!(text(&bob.failure("COPY t FROM STDIN").await), denied);
    ann.run_all(["GRANT SELECT, INSERT ON t TO bob"]).await;
    assert_eq!(bob.value("EXECUTE p").await, "2");
    assert_eq!(bob.copy_in("COPY t FROM STDIN", "3\tz\n").await.unwrap(), 1);
    assert_eq!(bob.value("SELECT count(*) FROM t").await, "3");
    bob.run_all(["BEGIN", "DECLARE c CURSOR FOR SELECT a FROM t"]).await;
    ann.run_all(["REVOKE SELECT ON t FROM bob"]).await;
    // What was opened stays open, as in PostgreSQL.
    assert_eq!(bob.rows("FETCH ALL FROM c").await.len(), 3);
    bob.run_all(["COMMIT"]).await;
    assert_eq!(text(&bob.failure("EXECUTE p").await), denied);
    ann.run_all(["REVOKE INSERT ON t FROM bob", "GRANT INSERT (a), SELECT (a) ON t TO bob"]).await;
    assert_eq!(bob.copy_in("COPY t (a) FROM STDIN", "4\n").await.unwrap(), 1);
    assert_eq!(text(&bob.failure("COPY t FROM STDIN").await), denied);
    assert_eq!(bob.copy_out("COPY t (a) TO STDOUT").await.unwrap().len(), 8);
    assert_eq!(text(&bob.copy_out("COPY t TO STDOUT").await.unwrap_err()), denied);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_run_is_hidden_and_theirs_to_stop() {
    let cluster = cluster().await;
    let admin = cluster.admin().await;
    let ann = cluster.session("ann", "").await;
    let bob = cluster.session("bob", "").await;
    ann.run_all(["SELECT 'a secret' FROM t"]).await;
    let of_ann = "SELECT query FROM pg_stat_activity WHERE usename = 'ann' AND pid = ";
    let pid = ann.value("SELECT pg_backend_pid()").await;
    let of_ann = format!("{of_ann}{pid}");
    let queries = "SELECT count(*) FROM kestrel.queries WHERE query LIKE '%a secret%' \
                   AND user_name = 'ann'";
    let hidden = "<insufficient privilege>";
    assert_eq!(bob.value(&of_ann).await, hidden);
    assert_eq!(bob.value(queries).await, "0");
    assert_eq!(admin.value(&of_ann).await, "SELECT pg_backend_pid()");
    admin.run_all(["GRANT pg_monitor TO bob"]).await;
    assert_eq!(bob.value(&of_ann).await, "SELECT pg_backend_pid()");
    assert_ne!(bob.value(queries).await, "0");
    let not_a_member = "42501: must be a member of the role whose query is being canceled or \
                        member of pg_signal_backend";
    let cancel = format!("SELECT pg_cancel_backend({pid})");
    assert_eq!(text(&bob.failure(&cancel).await), not_a_member);
    let also_ann = cluster.session("ann", "").await;
    assert_eq!(also_ann.value(&cancel).await, "t");
    admin.run_all(["GRANT pg_signal_backend TO bob"]).await;
    assert_eq!(bob.value(&cancel).await, "t");
    let of_admin = admin.value("SELECT pg_backend_pid()").await;
    let terminate = format!("SELECT pg_terminate_backend({of_admin})");
    let superuser = "42501: must be a superuser to terminate superuser process";
    assert_eq!(text(&bob.failure(&terminate).await), superuser);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_its_role_and_no_other() {
    let cluster = cluster().await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE ROLE staff", "GRANT staff TO ann", "CREATE SCHEMA ann"]).await;
    admin.run_all(["ALTER SCHEMA ann OWNER TO ann"]).await;
    let ann = cluster.session("ann", "").await;
    for (sql, expected) in [
        ("SET ROLE kestrel", "42501: permission denied to set role \"kestrel\""),
        (
            "SELECT set_config('role', 'kestrel', false)",
            "42501: permission denied to set role \
          \"kestrel\"",
        ),
        ("SET SESSION AUTHORIZATION bob", "42501: permission denied to set session authorization"),
        (
            "SELECT set_config('session_authorization', 'bob', true)",
            "42501: permission denied to \
          set session authorization",
        ),
        ("SELECT rolpassword FROM pg_authid", "42501: permission denied for table pg_authid"),
        ("ALTER SYSTEM SET work_mem = 1", "0A000: ALTER SYSTEM is not supported yet"),
    ] {
        assert_eq!(text(&ann.failure(sql).await), expected, "{sql}");
    }
    assert_eq!(ann.value("SELECT current_schema()").await, "ann", "$user");
    ann.run_all(["SET ROLE staff"]).await;
    assert_eq!(ann.value("SELECT current_user || ' ' || session_user").await, "staff ann");
    assert_eq!(text(&ann.failure("SELECT * FROM t").await), "42501: permission denied for table t");
    ann.run_all(["RESET ROLE"]).await;
    assert_eq!(ann.value("SELECT count(*) FROM t").await, "2");
    // What is revoked is revoked in the middle of a transaction.
    let bob = cluster.session("bob", "").await;
    ann.run_all(["GRANT SELECT ON t TO bob"]).await;
    bob.run_all(["BEGIN", "SELECT * FROM t"]).await;
    ann.run_all(["REVOKE SELECT ON t FROM bob"]).await;
    assert_eq!(text(&bob.failure("SELECT * FROM t").await), "42501: permission denied for table t");
    bob.run_all(["ROLLBACK"]).await;
    // A grant of a transaction that is undone is none.
    ann.run_all(["BEGIN", "GRANT SELECT ON t TO bob", "ROLLBACK"]).await;
    assert_eq!(text(&bob.failure("SELECT * FROM t").await), "42501: permission denied for table t");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_begin_with_what_was_set_for_their_role() {
    let cluster = cluster().await;
    let admin = cluster.admin().await;
    admin
        .run_all([
            "CREATE ROLE staff",
            "GRANT staff TO bob",
            "ALTER DATABASE kestrel SET lock_timeout TO '3s'",
            "ALTER ROLE bob SET lock_timeout TO '2s'",
            "ALTER ROLE bob SET role TO staff",
        ])
        .await;
    let bob = cluster.session("bob", "").await;
    assert_eq!(bob.value("SHOW lock_timeout").await, "2s");
    assert_eq!(bob.value("SELECT current_user::text").await, "staff");
    let ann = cluster.session("ann", "").await;
    assert_eq!(ann.value("SHOW lock_timeout").await, "3s");
    admin.run_all(["REVOKE CONNECT ON DATABASE kestrel FROM PUBLIC"]).await;
    let refused = cluster.refused("bob", "").await;
    assert_eq!(text(&refused), "42501: permission denied for database \"kestrel\"");
    admin.run_all(["GRANT CONNECT ON DATABASE kestrel TO staff"]).await;
    cluster.session("bob", "").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_and_owners_outlive_a_restart() {
    let cluster = cluster().await;
    let ann = cluster.session("ann", "").await;
    ann.run_all(["GRANT SELECT (a) ON t TO bob"]).await;
    drop(ann);
    let cluster = cluster.restart().await;
    let bob = cluster.session("bob", "").await;
    assert_eq!(bob.value("SELECT sum(a) FROM t").await, "3");
    assert_eq!(text(&bob.failure("SELECT b FROM t").await), "42501: permission denied for table t");
    let owner = "SELECT tableowner::text FROM pg_tables WHERE tablename = 't'";
    assert_eq!(bob.value(owner).await, "ann");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_role_come_in_by_its_rule() {
    let rules = "host all kestrel 127.0.0.1/32 trust\nhost all +staff 127.0.0.1/32 trust\n";
    let cluster = Guarded::start(rules).await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE ROLE staff", "CREATE USER ann IN ROLE staff", "CREATE USER bob"]).await;
    cluster.session("ann", "").await;
    let refused = text(&cluster.refused("bob", "").await);
    assert!(refused.starts_with("28000: no pg_hba.conf entry for host"), "{refused}");
    admin.run_all(["REVOKE staff FROM ann"]).await;
    let refused = text(&cluster.refused("ann", "").await);
    assert!(refused.starts_with("28000: no pg_hba.conf entry for host"), "{refused}");
    cluster.stop().await;
}
