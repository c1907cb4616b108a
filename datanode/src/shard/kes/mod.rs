//! Shards that a KingbaseES or PostgreSQL database beside the datanode holds.

pub mod copy;
