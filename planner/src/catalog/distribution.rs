//! What DDL declared about where a table's rows are.

use serde::{Deserialize, Serialize};

/// Where the rows of a table are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Distribution {
    /// Each row on the datanode that owns the bucket of these columns (by column id, in order).
    Hash(Vec<u32>),
    /// Every row on every datanode.
    Replicated,
    /// Each row anywhere, on one datanode.
    Random,
}
