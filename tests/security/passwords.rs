//! Passwords: what lets a role in, and where a password must not turn up.

use std::fs;

use super::{Guarded, RULES, text};
use crate::support::Answer;

/// Of the password "pencil" (RFC 7677, section 3).
const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
                        $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=\
                        :wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

#[tokio::test(flavor = "multi_thread")]
async fn only_the_password_lets_a_role_in() {
    let cluster = Guarded::start(RULES).await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE USER ann PASSWORD 'pencil'"]).await;
    admin.run_all([format!("CREATE ROLE bob LOGIN PASSWORD '{VERIFIER}'")]).await;
    for user in ["ann", "bob"] {
        let session = cluster.session(user, "pencil").await;
        assert_eq!(session.value("SELECT current_user").await, user);
        let wrong = format!("28P01: password authentication failed for user \"{user}\"");
        assert_eq!(text(&cluster.refused(user, "Pencil").await), wrong);
    }
    // Who is not there is told the same.
    let nobody = "28P01: password authentication failed for user \"nobody\"";
    assert_eq!(text(&cluster.refused("nobody", "pencil").await), nobody);
    let wrong = "28P01: password authentication failed for user \"ann\"";
    for sql in [
        "ALTER ROLE ann PASSWORD NULL",
        "ALTER ROLE ann PASSWORD 'pencil' VALID UNTIL '2000-01-01'",
        "ALTER ROLE ann PASSWORD 'other' VALID UNTIL 'infinity'",
    ] {
        admin.run_all([sql]).await;
        assert_eq!(text(&cluster.refused("ann", "pencil").await), wrong, "{sql}");
    }
    admin.run_all(["ALTER ROLE bob NOLOGIN"]).await;
    let not_permitted = "28000: role \"bob\" is not permitted to log in";
    assert_eq!(text(&cluster.refused("bob", "pencil").await), not_permitted);
    admin.run_all(["ALTER ROLE bob LOGIN"]).await;
    drop(admin);
    let cluster = cluster.restart().await;
    cluster.session("bob", "pencil").await;
    cluster.session("ann", "other").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_kept_nowhere() {
    const PASSWORD: &str = "swordfish-4711";
    let cluster = Guarded::start(RULES).await;
    let admin = cluster.admin().await;
    admin.run_all([format!("CREATE USER ann PASSWORD '{PASSWORD}'; SELECT 1")]).await;
    admin.run_all(["BEGIN".into(), format!("ALTER USER ann PASSWORD '{PASSWORD}'")]).await;
    admin.run_all(["COMMIT"]).await;
    for (relation, column) in [
        ("kestrel.queries", "query"),
        ("pg_stat_activity", "query"),
        ("pg_authid", "rolpassword"),
        ("pg_shadow", "passwd"),
    ] {
        let sql =
            format!("SELECT count(*) FROM {relation} WHERE {column} LIKE '%swordfish' || '-4711%'");
        assert_eq!(admin.value(&sql).await, "0", "{relation}");
    }
    for sql in [
        format!("CREATE USER ann PASSWORD '{PASSWORD}'"),
        format!("CREATE USER bob PASSWORD '{PASSWORD}' '{PASSWORD}'"),
        format!("CREATE USER bob PASSWORD '{PASSWORD}"),
    ] {
        let Answer::Error(failure) = admin.run(&sql).await else { panic!("{sql}") };
        assert!(!failure.to_string().contains("swordfish"), "{failure}");
    }
    let verifier = admin.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'").await;
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
    let found = |file: &str| {
        let bytes = fs::read(cluster.directory.path().join(file)).unwrap();
        bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes())
    };
    assert!(!found("catalog.db") && !found("catalog.db-wal"));
    cluster.stop().await;
}
