//! Sessions, tried on a PostgreSQL 15 of their own, and on servers that do not keep to the protocol.

mod authentication;
mod cancel;
mod copy;
mod fake;
mod gathering;
mod loss;
mod pool;
pub(in crate::shard::kes) mod postgres;
mod query;

use std::sync::Arc;

use kestrel_proto::{DatanodeId, ErrorReport};

use super::{Connector, KesSettings, Session};

/// A session with these settings, as dn1.
async fn connect(settings: KesSettings) -> Result<Session, ErrorReport> {
    Session::connect(Arc::new(Connector::new(settings, DatanodeId(0))?)).await
}

/// The first value of an answer.
async fn value(session: &mut Session, sql: &str) -> String {
    let answer = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    answer.single_value().unwrap_or_else(|| panic!("{sql}: {answer:?}")).to_string()
}

/// SQLSTATE and message of what must fail.
#[track_caller]
fn failure<T: std::fmt::Debug>(result: Result<T, ErrorReport>) -> (String, String) {
    let error = result.expect_err("it should have failed");
    (error.sqlstate.as_str().to_string(), error.message)
}
