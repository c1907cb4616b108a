//! Encryption, and passwords that are bound to it, with libpq on the other side.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use kestrel::{cluster::ClientOptions, postgres::Programs};
use kestrel_coordinator::access::ClientTlsFiles;
use tempfile::TempDir;

use super::{Guarded, text};

const RULES: &str = "hostnossl all kestrel 127.0.0.1/32 trust\n\
                     hostssl all all 127.0.0.1/32 scram-sha-256\n";

fn certificate(directory: &Path) -> ClientTlsFiles {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let files =
        ClientTlsFiles { certificate: directory.join("c.pem"), key: directory.join("c.key") };
    fs::write(&files.certificate, certified.cert.pem()).unwrap();
    fs::write(&files.key, certified.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_encrypts_and_binds_its_password() {
    let Some(programs) = Programs::for_tests().unwrap_or_else(|e| panic!("{e}")) else { return };
    let files = TempDir::new().unwrap();
    let tls = Some(certificate(files.path()));
    let clients = ClientOptions { tls, ..ClientOptions::default() };
    let cluster = Guarded::start_with(RULES, clients).await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE USER ann PASSWORD 'pencil'"]).await;
    assert_eq!(admin.value("SHOW ssl").await, "on");
    let expected = "28000: no pg_hba.conf entry for host \"127.0.0.1\", user \"ann\", database \
                    \"kestrel\", no encryption";
    assert_eq!(text(&cluster.refused("ann", "pencil").await), expected);
    let port = cluster.cluster.address().port();
    let root = files.path().join("c.pem").display().to_string();
    let psql = async |password: &str, options: &str, sql: &str| {
        let target = format!(
            "host=localhost hostaddr=127.0.0.1 port={port} user=ann password={password} \
             dbname=kestrel sslrootcert={root} {options}"
        );
        let mut psql = Command::new(programs.psql());
        psql.args(["--no-psqlrc", "-At", "-c", sql]).arg(target);
        let output = tokio::task::spawn_blocking(move || psql.output()).await.unwrap().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).trim().to_string()
    };
    for options in [
        "sslmode=verify-full channel_binding=require",
        "sslmode=verify-full channel_binding=disable",
        "sslmode=require ssl_max_protocol_version=TLSv1.2 channel_binding=require",
    ] {
        assert_eq!(psql("pencil", options, "SELECT current_user").await, "ann", "{options}");
        let refused = psql("Pencil", options, "SELECT 1").await;
        let wrong = "password authentication failed for user \"ann\"";
        assert!(refused.contains(wrong), "{options}: {refused}");
    }
    // More than one record, both ways.
    let long = psql("pencil", "sslmode=require", "SELECT repeat('x', 3000000)").await;
    assert_eq!(long.len(), 3_000_000, "{}", &long[..long.len().min(200)]);
    let sql = format!("SELECT length('{}')", "y".repeat(100_000));
    assert_eq!(psql("pencil", "sslmode=require", &sql).await, "100000");
    cluster.stop().await;
}
