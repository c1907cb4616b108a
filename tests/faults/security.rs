//! Who may join a cluster, and who may call: the secret, mutual TLS, whose directory it is.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use kestrel::cluster::{Cluster, DatanodePlacement, NetworkOptions};
use kestrel_proto::{
    Datanode, DatanodeId, QueryId, SqlState,
    rpc::{Caller, Credentials, RemoteDatanode, RpcSettings, Secret, Tls, TlsFiles},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::fill;
use crate::support::{Network, Session, options, own_processes, run_kestrel};

fn caller(secret: Secret, cluster: Option<Uuid>, tls: Option<Tls>) -> Caller {
    Caller {
        settings: RpcSettings::default(),
        credentials: Credentials { secret, cluster, target: String::new() },
        tls,
        runtime: Handle::current(),
    }
}

/// The cluster's id, as a datanode's directory has it.
fn cluster_id(directory: &Path) -> Uuid {
    let text = fs::read_to_string(directory.join("dn1/datanode.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["cluster_id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_the_secret_are_refused() {
    let network = Network::start(1).await;
    let directory = network.directory.path();
    let secret = Secret::read(&directory.join("secret")).unwrap();
    let mode = fs::metadata(directory.join("secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let cluster = Some(cluster_id(directory));
    let auth = Err(SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    let state = Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    let address = network.datanodes[0].proxy.address().to_string();
    for (what, id, caller, expected) in [
        ("all is right", 0, caller(secret.clone(), cluster, None), Ok(())),
        ("a wrong secret", 0, caller(Secret::random(), cluster, None), auth),
        ("another cluster", 0, caller(secret.clone(), Some(Uuid::new_v4()), None), state),
        ("another datanode", 1, caller(secret, cluster, None), state),
    ] {
        let datanode = RemoteDatanode::new(DatanodeId(id), caller, 0);
        datanode.set_address(&address).unwrap();
        let health = datanode.health().await.map(|_| ()).map_err(|e| e.sqlstate);
        assert_eq!(health, expected, "{what}");
        let end = datanode.try_end_query(QueryId::random()).await.map_err(|e| e.sqlstate);
        assert_eq!(end, expected, "{what}");
        let run = datanode.run(vec![1, 2, 3].into()).await.unwrap_err().sqlstate;
        let expected = expected.err().unwrap_or(SqlState::INTERNAL_ERROR);
        assert_eq!(run, expected, "{what}");
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_join() {
    let network = Network::start(1).await;
    let other = Network::start(1).await;
    let coordinator = network.cluster.rpc_address().unwrap().to_string();
    let path =
        |network: &Network, file: &str| network.directory.path().join(file).display().to_string();
    let stranger = TempDir::new().unwrap();
    let new = stranger.path().join("new").display().to_string();
    let secret = path(&network, "secret");
    let wrong = stranger.path().join("secret");
    fs::write(&wrong, "0123456789012345678901234567890123456789").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    let open = stranger.path().join("open");
    fs::write(&open, "0123456789012345678901234567890123456789").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let (wrong, open) = (wrong.display().to_string(), open.display().to_string());
    let mut other = other;
    other.datanodes[0].kill().await;
    for (name, data, secret, expected) in [
        ("dn1", &new, &wrong, "does not have the cluster's secret"),
        ("dn1", &new, &open, "others may read the secret file"),
        ("dn7", &new, &secret, "there is no datanode \"dn7\" in the cluster"),
        ("dn1", &new, &secret, "is not the one with its data"),
        ("dn1", &path(&other, "dn1"), &secret, "belongs to another cluster"),
        ("dn1", &path(&network, "dn1"), &secret, "is in use by another process"),
    ] {
        let ended = run_kestrel(&[
            "datanode",
            "--name",
            name,
            "--data",
            data,
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--coordinator",
            &coordinator,
            "--secret-file",
            secret,
        ])
        .await;
        assert_eq!(ended.status, Some(1), "{expected}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    assert_eq!(network.session().await.value("SELECT count(*) FROM kestrel.datanodes").await, "1");
    network.stop().await;
    other.stop().await;
}

/// Certificates of one authority: a file for each.
fn certificates(directory: &Path) -> TlsFiles {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut node = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    node.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let node = node.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    TlsFiles {
        certificate: write("node.pem", node.pem()),
        key: write("node.key", key.serialize_pem()),
        ca: write("ca.pem", authority.pem()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_only_certified_processes_speak() {
    let (directory, keys, stranger) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let tls = certificates(keys.path());
    let mut options = options(&directory, Some(2), own_processes());
    options.network = NetworkOptions { tls: Some(tls.clone()), ..options.network };
    let cluster = Cluster::start(options.clone()).await.unwrap_or_else(|e| panic!("{e}"));
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    let session = Session::connect(&url).await;
    fill(&session).await;
    assert_eq!(session.value("SELECT count(*) FROM t JOIN u ON t.id = u.k").await, "20000");
    let address = session.value("SELECT address FROM kestrel.datanodes WHERE name = 'dn1'").await;
    let secret = Secret::read(&directory.path().join("secret")).unwrap();
    let cluster_id = Some(cluster_id(directory.path()));
    for (what, tls, is_let_in) in [
        ("the cluster's certificate", Some(Tls::read(&tls).unwrap()), true),
        ("another authority's", Some(Tls::read(&certificates(stranger.path())).unwrap()), false),
        ("no TLS", None, false),
    ] {
        let caller = caller(secret.clone(), cluster_id, tls);
        let datanode = Arc::new(RemoteDatanode::new(DatanodeId(0), caller, 0));
        datanode.set_address(&address).unwrap();
        assert_eq!(datanode.health().await.is_ok(), is_let_in, "{what}");
    }
    drop(session);
    cluster.stop().await;
    // Without TLS the coordinator does not understand its datanodes, and does not pretend to.
    options.network.tls = None;
    options.placement = DatanodePlacement::Elsewhere;
    let cluster = Cluster::start(options).await.unwrap_or_else(|e| panic!("{e}"));
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    let session = Session::connect(&url).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(session.failure("SELECT count(*) FROM t").await.sqlstate, "58K01");
    cluster.stop().await;
}
