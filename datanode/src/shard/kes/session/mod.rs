//! Sessions with a shard's database: a small client of PostgreSQL's protocol, version 3.
//!
//! ```text
//!   Pool ──hands out──> PooledSession ──is a──> Session ──speaks over──> Wire ──> Transport
//!                                                  │                              (TCP, TLS or a
//!                        query, query_raw, copy_out, copy_in, settle               unix socket)
//! ```
//!
//! Of a COPY TO STDOUT that turns out to be long, a thread reads the rest (`gathering`), so that the
//! server need not wake anybody for each 8 kB that it sends. What comes encrypted, tasks read.
//!
//! Only simple queries are sent: some versions of KingbaseES answer the extended protocol's `Parse`
//! with 08P01, and the drivers that there are cannot COPY without it.
//!
//! A session knows after each `ReadyForQuery` whether a transaction is open. Between the sending of
//! a statement and that answer it is *busy*. A future or stream that is dropped leaves it busy, and
//! nothing worse: what was read and what is still to be sent are in the [`Session`], not in the
//! future. Whoever uses it next first *settles* it: asks the server on a second connection to cancel
//! the statement and reads up to `ReadyForQuery`, in bounded time, else the session is closed.

mod authentication;
mod backoff;
mod binary_rows;
mod cancel;
mod connector;
mod copy_in;
mod copy_out;
mod frames;
mod gathering;
mod notices;
mod pool;
mod query;
mod raw_rows;
mod report;
#[expect(clippy::module_inception, reason = "the folder is named after its main type")]
mod session;
mod settings;
mod startup;
mod tls;
mod wire;

pub use binary_rows::BinaryRows;
pub use cancel::CancelToken;
pub use connector::Connector;
pub use copy_out::CopyOut;
pub use pool::{Pool, PoolState, PooledSession};
pub use query::{Column, Row, StatementResult};
pub use raw_rows::RawRows;
pub use session::{Session, TransactionStatus};
pub use settings::{Address, KesSettings, Password, SslMode};

#[cfg(test)]
pub(super) mod tests;
