//! What the exchange of a datanode holds, and has spilled.

use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of one datanode's exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeCounters {
    /// Bytes written to spill files since the start.
    pub spilled_bytes: u64,
    /// Batches written to spill files since the start.
    pub spilled_batches: u64,
    /// Bytes of the batches that wait in memory now.
    pub queued_bytes: u64,
}

/// Those that only grow.
#[derive(Debug, Default)]
pub(super) struct SpillCounters {
    bytes: AtomicU64,
    batches: AtomicU64,
}

impl SpillCounters {
    /// A batch was written, in so many bytes.
    pub(super) fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// All numbers.
    pub(super) fn with_queued_bytes(&self, queued_bytes: u64) -> ExchangeCounters {
        ExchangeCounters {
            spilled_bytes: self.bytes.load(Ordering::Relaxed),
            spilled_batches: self.batches.load(Ordering::Relaxed),
            queued_bytes,
        }
    }
}
