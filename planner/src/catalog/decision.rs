//! The commit record of a transaction that has written into the databases of several datanodes.

use serde::{Deserialize, Serialize};

/// A transaction is committed; its datanodes may not all have heard of it. What is prepared there
/// and not decided here is rolled back (presumed abort).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionDef {
    /// The transaction.
    pub transaction: u64,
    /// Of the coordinator that began it; what is prepared bears it in its name.
    pub epoch: u64,
    /// Where something is prepared.
    pub datanodes: Vec<u32>,
}
