//! What the shards of a cluster are kept in, and the local database servers that may hold them.

mod arguments;
mod database;
mod kind;
mod layout;
mod programs;
mod settings;

pub use database::{PasswordSource, ShardDatabase};
pub use kind::ShardKind;

pub(crate) use arguments::ShardArguments;
pub(crate) use layout::{SOCKET_PORT, ServerLayout};
pub(crate) use programs::{ServerPrograms, is_server};
pub(crate) use settings::{ServerSize, server_settings};
