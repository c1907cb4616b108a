//! The bounds of the exchange.

use std::time::Duration;

/// The bounds of one datanode's exchange.
#[derive(Clone, Debug)]
pub struct ExchangeSettings {
    /// Bytes a stream may hold that its receiver has not taken. One batch is always allowed,
    /// whatever its size.
    pub stream_credit_bytes: u64,
    /// Bytes that all streams of one query may hold on this datanode, but for one batch each.
    pub query_budget_bytes: u64,
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
            open_wait: Duration::from_secs(30),
            remembered_queries: 4096,
        }
    }
}
