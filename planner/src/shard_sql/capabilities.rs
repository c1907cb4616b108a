//! What a shard's database can do. It is asked when the datanode registers, never concluded from a
//! version or a product's name, and nothing else decides between servers.

/// What differs between the servers that can hold a shard, as far as the texts of statements depend
/// on it. The default is what every server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// A range of `ctid` is read without reading the rest of the table (PostgreSQL ≥ 14).
    pub tid_range_scan: bool,
    /// `hash_array_extended`, `hashtextextended` and their like give PostgreSQL's hashes: the
    /// database can say in which bucket a row is.
    pub partition_hash: bool,
    /// `''` is NULL (KingbaseES in its Oracle mode).
    pub empty_string_is_null: bool,
    /// Texts that differ can be equal: the database compares without case (KingbaseES with
    /// `enable_ci`).
    pub case_insensitive_text: bool,
}

impl Capabilities {
    /// What PostgreSQL 15 has.
    pub const POSTGRESQL_15: Self = Self {
        tid_range_scan: true,
        partition_hash: true,
        empty_string_is_null: false,
        case_insensitive_text: false,
    };
}
