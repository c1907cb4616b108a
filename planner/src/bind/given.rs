//! Rows that queries of our own read.

use arrow::array::RecordBatch;

/// Rows that the coordinator has, under a name that no user's query has: what a statement has changed,
/// or is about to write.
#[derive(Clone, Debug)]
pub struct GivenRows {
    /// The name.
    pub name: String,
    /// The rows.
    pub rows: RecordBatch,
}
