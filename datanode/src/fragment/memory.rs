//! The memory of fragments: a pool for all, and a quota for each.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::memory_pool::{
        FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
        TrackConsumersPool,
    },
};

/// How many operators an error about memory names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// A pool of `limit_bytes`, to be shared by all datanodes of a process. Operators that can spill
/// share fairly what the others leave; an error names the largest.
pub fn memory_pool(limit_bytes: usize) -> Arc<dyn MemoryPool> {
    Arc::new(TrackConsumersPool::new(FairSpillPool::new(limit_bytes), NAMED_CONSUMERS))
}

/// The part of a pool that one fragment may have.
#[derive(Debug)]
pub(super) struct QuotaPool {
    inner: Arc<dyn MemoryPool>,
    quota_bytes: usize,
    reserved_bytes: AtomicUsize,
}

impl QuotaPool {
    /// At most `quota_bytes` of `inner`.
    pub(super) fn new(inner: Arc<dyn MemoryPool>, quota_bytes: usize) -> Self {
        Self { inner, quota_bytes, reserved_bytes: AtomicUsize::new(0) }
    }
}

impl fmt::Display for QuotaPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota(limit: {} of {})", self.quota_bytes, self.inner)
    }
}

impl MemoryPool for QuotaPool {
    fn name(&self) -> &str {
        "quota"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
        self.reserved_bytes.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
        self.reserved_bytes.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let within = |reserved: usize| {
            reserved.checked_add(additional).filter(|total| *total <= self.quota_bytes)
        };
        self.reserved_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).map_err(
            |reserved| {
                DataFusionError::ResourcesExhausted(format!(
                    "{} needs {additional} bytes more, and the statement's memory of {} bytes has \
                     {} left",
                    reservation.consumer().name(),
                    self.quota_bytes,
                    self.quota_bytes.saturating_sub(reserved)
                ))
            },
        )?;
        self.inner.try_grow(reservation, additional).inspect_err(|_| {
            self.reserved_bytes.fetch_sub(additional, Ordering::Relaxed);
        })
    }

    fn reserved(&self) -> usize {
        self.reserved_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.quota_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_part_of_the_pool() {
        let pool = memory_pool(1000);
        let quota: Arc<dyn MemoryPool> = Arc::new(QuotaPool::new(Arc::clone(&pool), 600));
        let first = MemoryConsumer::new("first").register(&quota);
        let other = MemoryConsumer::new("other").register(&pool);
        first.try_grow(500).unwrap();
        let refused = first.try_grow(101).unwrap_err().to_string();
        assert!(refused.contains("memory of 600 bytes has 100 left"), "{refused}");
        assert_eq!((quota.reserved(), pool.reserved()), (500, 500));

        // What the pool refuses does not count against the quota.
        other.try_grow(450).unwrap();
        first.try_grow(60).unwrap_err();
        first.try_grow(50).unwrap();
        first.shrink(550);
        assert_eq!((quota.reserved(), pool.reserved()), (0, 450));
    }
}
