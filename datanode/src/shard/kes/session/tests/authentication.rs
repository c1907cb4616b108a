//! Who is let in, how, and what the others are told.

use std::{fs, sync::Arc};

use kestrel_proto::DatanodeId;
use tempfile::TempDir;

use super::{
    super::{Connector, KesSettings, Password, SslMode},
    connect,
    postgres::{PASSWORD, shared},
    value,
};

/// Connects, and must be let in, or be refused with these words somewhere in the report.
async fn check(what: &str, settings: KesSettings, expected: Result<(), &str>) {
    let user = settings.user.clone();
    match (connect(settings).await, expected) {
        (Ok(mut session), Ok(())) => {
            assert_eq!(value(&mut session, "SELECT current_user").await, user, "{what}");
        }
        (Err(report), Err(words)) => {
            let text = format!("{report:?}");
            assert!(text.contains(words), "{what}: {text}");
            assert!(!text.contains(PASSWORD), "{what}: the password is told: {text}");
            assert_eq!(report.sqlstate.as_str(), "F0000", "{what}: {text}");
            assert_eq!(report.datanode.as_deref(), Some("dn1"), "{what}: {text}");
        }
        (Ok(_), Err(words)) => panic!("{what}: let in, not refused with: {words}"),
        (Err(report), Ok(())) => panic!("{what}: {report:?}"),
    }
}

#[tokio::test]
async fn every_method_lets_the_right_ones_in() {
    let Some(server) = shared() else { return };
    let wrong = |settings: KesSettings| {
        let password = Some(Password::new("close-sesame"));
        KesSettings { password, ..settings }
    };
    let without = |settings: KesSettings| KesSettings { password: None, ..settings };
    check("trust", server.settings(), Ok(())).await;
    for user in ["md5_user", "scram_user", "clear_user"] {
        let settings = server.settings_of(user);
        check(user, settings.clone(), Ok(())).await;
        check(user, wrong(settings.clone()), Err("password authentication failed")).await;
        check(user, without(settings), Err("asks for a password")).await;
    }
    let scram = server.tcp_settings_of("scram_user", "127.0.0.1");
    check("SCRAM over TCP", scram.clone(), Ok(())).await;
    check("SCRAM over TCP", wrong(scram), Err("password authentication failed")).await;
    let clear = server.tcp_settings_of("clear_user", "127.0.0.1");
    check("clear text over TCP", clear.clone(), Err("that is not encrypted")).await;
    let clear = KesSettings { ssl_mode: SslMode::Require, ..clear };
    check("clear text over TLS", clear, Ok(())).await;

    check("reject", server.settings_of("nobody"), Err("pg_hba.conf rejects connection")).await;
    check("nobody", server.settings_of("unknown"), Err("28000")).await;
    let other = KesSettings { database: "other".into(), ..server.settings() };
    check("no database", other, Err("database \\\"other\\\" does not exist (SQLSTATE 3D000)"))
        .await;
}

#[tokio::test]
async fn certificates_are_checked_as_asked() {
    let Some(server) = shared() else { return };
    let directory = TempDir::new().unwrap();
    // Others can't read the server's directory; this test may.
    let (right, wrong) = (server.certificate(), directory.path().join("wrong.crt"));
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    fs::write(&wrong, other.cert.pem()).unwrap();
    let settings = |host: &str, ssl_mode, roots: Option<&std::path::Path>| KesSettings {
        ssl_mode,
        root_certificates: roots.map(Into::into),
        ..server.tcp_settings_of("scram_user", host)
    };
    let (require, full) = (SslMode::Require, SslMode::VerifyFull);
    let unknown = Err("invalid peer certificate");
    check("any", settings("127.0.0.1", require, None), Ok(())).await;
    check("any host", settings("127.0.0.1", require, Some(&right)), Ok(())).await;
    check("of another root", settings("127.0.0.1", require, Some(&wrong)), unknown).await;
    check("the host", settings("localhost", full, Some(&right)), Ok(())).await;
    check("another host", settings("127.0.0.1", full, Some(&right)), unknown).await;
    check("of another root", settings("localhost", full, Some(&wrong)), unknown).await;

    let is_encrypted =
        "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
    let mut session = connect(settings("localhost", full, Some(&right))).await.unwrap();
    assert_eq!(value(&mut session, is_encrypted).await, "t");
    let mut session = connect(server.settings()).await.unwrap();
    assert_eq!(value(&mut session, is_encrypted).await, "f");

    for (roots, words) in [
        (None, "needs root certificates"),
        (Some(directory.path().join("missing")), "could not load root certificates"),
        (Some(directory.path().join("empty")), "there is no certificate in it"),
    ] {
        fs::write(directory.path().join("empty"), "").unwrap();
        let settings = settings("localhost", full, roots.as_deref());
        let error = Connector::new(settings, DatanodeId(0)).unwrap_err();
        assert!(error.message.contains(words), "{error:?}");
        assert_eq!(error.sqlstate.as_str(), "F0000");
    }
}

#[tokio::test]
async fn nothing_shows_the_password() {
    let settings = KesSettings {
        password: Some(Password::new(PASSWORD)),
        ..KesSettings::new(super::super::Address::new("db1", 54321), "test", "system")
    };
    let connector = Arc::new(Connector::new(settings.clone(), DatanodeId(0)).unwrap());
    let pool = super::super::Pool::new(settings.clone(), DatanodeId(0)).unwrap();
    for text in [format!("{settings:?}"), format!("{connector:?}"), format!("{pool:?}")] {
        assert!(text.contains("system"), "{text}");
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

#[test]
fn addresses_and_modes_are_libpqs() {
    use super::super::Address;
    for (host, shown) in [
        ("db1", "db1:5432"),
        ("10.0.0.1", "10.0.0.1:5432"),
        ("::1", "[::1]:5432"),
        ("/var/run/postgresql", "/var/run/postgresql/.s.PGSQL.5432"),
    ] {
        assert_eq!(Address::new(host, 5432).to_string(), shown);
    }
    for mode in [SslMode::Disable, SslMode::Require, SslMode::VerifyFull] {
        assert_eq!(mode.as_str().parse::<SslMode>().unwrap(), mode);
    }
    assert_eq!("prefer".parse::<SslMode>().unwrap_err().sqlstate.as_str(), "22023");
}
