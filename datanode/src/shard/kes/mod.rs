//! The shard store on a database: beside the datanode stands a KingbaseES or PostgreSQL database,
//! which holds the shard.

pub mod copy;
pub mod session;

pub use kestrel_planner::shard_sql::{self as sql, Capabilities};
