//! The bounds of the exchange.

use std::time::Duration;

/// The bounds of one datanode's exchange.
#[derive(Clone, Debug)]
pub struct ExchangeSettings {
    /// Bytes of batches that a stream may hold before its sender waits, while no other receiver of
    /// the motion starves. One batch is always allowed, whatever its size.
    pub stream_credit_bytes: u64,
    /// Bytes of memory that all streams of one query may hold on this datanode, but for one batch
    /// each. What must go on beyond that is spilled.
    pub query_budget_bytes: u64,
    /// A stream that spills goes on in another file after so many bytes: what was read leaves the
    /// disk file by file.
    pub spill_file_bytes: u64,
    /// Bytes that a sender in another process may send ahead of a receiver here.
    pub remote_credit_bytes: u64,
    /// How long a receiver waits for a fragment that has not arrived.
    pub open_wait: Duration,
    /// How many ended queries are remembered, so that what comes late for them fails at once.
    pub remembered_queries: usize,
}

impl Default for ExchangeSettings {
    fn default() -> Self {
        Self {
            stream_credit_bytes: 4 << 20,
            query_budget_bytes: 64 << 20,
            spill_file_bytes: 256 << 20,
            remote_credit_bytes: 1 << 20,
            open_wait: Duration::from_secs(30),
            remembered_queries: 4096,
        }
    }
}
