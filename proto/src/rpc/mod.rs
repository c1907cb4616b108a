//! Between processes: gRPC with the messages of `kestrel/v1`, Arrow's bytes for rows, a checksum
//! on every message, a secret on every call.
//!
//! [`RemoteDatanode`] is the caller's side of the `Datanode` service; the datanode crate has the
//! other. A lost connection, a wrong checksum, a missing frame: each is 58K01 with the datanode's
//! name.

mod batch;
mod channel;
mod client;
mod codec;
mod exchange;
mod frame;
mod ingest;
mod listener;
mod security;
mod settings;
mod status;

pub use batch::{BatchDecoder, BatchEncoder, Compression};
pub use channel::server;
pub use client::{Caller, RemoteDatanode};
pub use codec::CheckedCodec;
pub use frame::{Content, Frame};
pub use ingest::receive as receive_ingest;
pub use listener::serve;
pub use security::{Check, Credentials, Secret, Tls, TlsFiles};
pub use settings::RpcSettings;
pub use status::to_status;
