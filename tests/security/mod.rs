//! Who may connect and as whom: roles, passwords, rules, encryption, limits.

mod limits;
mod passwords;
mod privileges;
mod roles;
mod rules;
mod tls;

use std::fs;

use kestrel::cluster::{ClientOptions, Cluster, ClusterOptions, DatanodePlacement};
use tempfile::TempDir;

use crate::support::{Failure, Session, options};

/// A cluster of one datanode whose clients come in by rules.
struct Guarded {
    cluster: Cluster,
    directory: TempDir,
}

/// The first role comes in as it is, others need a password.
const RULES: &str =
    "host all kestrel 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

impl Guarded {
    async fn start(rules: &str) -> Self {
        Self::start_with(rules, ClientOptions::default()).await
    }

    async fn start_with(rules: &str, clients: ClientOptions) -> Self {
        let directory = TempDir::new().unwrap();
        // The rules may be there before the cluster is.
        fs::write(directory.path().join("hba.conf"), rules).unwrap();
        Self { cluster: Self::cluster(&directory, clients).await, directory }
    }

    async fn cluster(directory: &TempDir, clients: ClientOptions) -> Cluster {
        let options = options(directory, Some(1), DatanodePlacement::OneProcess);
        let started = Cluster::start(ClusterOptions { clients, ..options }).await;
        started.unwrap_or_else(|e| panic!("the cluster does not start: {e}"))
    }

    async fn restart(self) -> Self {
        self.cluster.stop().await;
        let cluster = Self::cluster(&self.directory, ClientOptions::default()).await;
        Self { cluster, directory: self.directory }
    }

    /// Where this role connects; the password may be empty.
    fn url(&self, user: &str, password: &str) -> String {
        let colon = if password.is_empty() { "" } else { ":" };
        format!("postgres://{user}{colon}{password}@{}/kestrel", self.cluster.address())
    }

    async fn session(&self, user: &str, password: &str) -> Session {
        Session::connect(&self.url(user, password)).await
    }

    /// As the first role.
    async fn admin(&self) -> Session {
        self.session("kestrel", "").await
    }

    /// Why this role does not come in.
    async fn refused(&self, user: &str, password: &str) -> Failure {
        match Session::try_connect(&self.url(user, password)).await {
            Ok(_) => panic!("{user} came in"),
            Err(error) => Failure::of(&error),
        }
    }

    async fn stop(self) {
        self.cluster.stop().await;
    }
}

/// SQLSTATE and message.
fn text(failure: &Failure) -> String {
    format!("{}: {}", failure.sqlstate, failure.message)
}
