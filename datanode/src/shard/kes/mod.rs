//! The shard store on a database: beside the datanode stands a KingbaseES or PostgreSQL database,
//! which holds the shard.

pub mod session;
