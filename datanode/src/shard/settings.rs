//! Where the rows of a datanode's shard are kept.

use super::kes::session::KesSettings;

/// The store of a datanode's shard, and how to get there.
#[derive(Clone, Debug, Default)]
pub enum ShardSettings {
    /// Files in the datanode's own directory.
    #[default]
    Columnar,
    /// A KingbaseES or PostgreSQL database.
    Kes(Box<KesSettings>),
}

impl ShardSettings {
    /// The kind, as the catalog and `kestrel.datanodes` name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Columnar => "columnar",
            Self::Kes(_) => "kes",
        }
    }
}
