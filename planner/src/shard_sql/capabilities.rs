//! What a shard's database can do. It is asked when the datanode registers, never concluded from a
//! version or a product's name, and nothing else decides between servers.

use kestrel_proto::ShardFacts;

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

    /// What a datanode tells of its database: a fact of each one's name, `true` or `false`. What it
    /// does not tell is taken for what is harder to do.
    pub fn of_facts(facts: &ShardFacts) -> Self {
        let fact = |name: &str| facts.get(name).map(|value| value == "true");
        Self {
            tid_range_scan: fact("tid_range_scan").unwrap_or(false),
            partition_hash: fact("partition_hash").unwrap_or(false),
            empty_string_is_null: fact("empty_string_is_null").unwrap_or(true),
            case_insensitive_text: fact("case_insensitive_text").unwrap_or(true),
        }
    }

    /// The facts that [`Self::of_facts`] reads.
    pub fn to_facts(self) -> ShardFacts {
        let facts = [
            ("tid_range_scan", self.tid_range_scan),
            ("partition_hash", self.partition_hash),
            ("empty_string_is_null", self.empty_string_is_null),
            ("case_insensitive_text", self.case_insensitive_text),
        ];
        facts.into_iter().map(|(name, value)| (name.into(), value.to_string())).collect()
    }

    /// What two databases both can do.
    pub fn common(self, other: Self) -> Self {
        Self {
            tid_range_scan: self.tid_range_scan && other.tid_range_scan,
            partition_hash: self.partition_hash && other.partition_hash,
            empty_string_is_null: self.empty_string_is_null || other.empty_string_is_null,
            case_insensitive_text: self.case_insensitive_text || other.case_insensitive_text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_facts() {
        let all = Capabilities::POSTGRESQL_15;
        assert_eq!(Capabilities::of_facts(&all.to_facts()), all);
        let oracle = Capabilities { empty_string_is_null: true, ..all };
        assert_eq!(Capabilities::of_facts(&oracle.to_facts()), oracle);
        assert_eq!(all.common(oracle), oracle);
        let unknown = Capabilities::of_facts(&ShardFacts::new());
        assert!(unknown.case_insensitive_text && !unknown.partition_hash);
    }
}
