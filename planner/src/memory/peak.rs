//! A pool that remembers the most that was taken from it at a time, for EXPLAIN ANALYZE.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    error::Result,
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};

/// Another pool, of which one fragment's part is watched.
#[derive(Debug)]
pub struct PeakPool {
    inner: Arc<dyn MemoryPool>,
    held: AtomicUsize,
    peak: AtomicUsize,
}

impl PeakPool {
    /// Takes from `inner`.
    pub fn over(inner: Arc<dyn MemoryPool>) -> Arc<dyn MemoryPool> {
        Arc::new(Self { inner, held: AtomicUsize::new(0), peak: AtomicUsize::new(0) })
    }

    /// The most that was taken at a time, in bytes; 0 of a pool of another kind.
    pub fn peak_of(pool: &Arc<dyn MemoryPool>) -> usize {
        pool.downcast_ref::<Self>().map_or(0, |pool| pool.peak.load(Ordering::Relaxed))
    }

    fn note(&self, additional: usize) {
        let before = self.held.fetch_add(additional, Ordering::Relaxed);
        self.peak.fetch_max(before.saturating_add(additional), Ordering::Relaxed);
    }
}

impl fmt::Display for PeakPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peak({})", self.inner)
    }
}

impl MemoryPool for PeakPool {
    fn name(&self) -> &str {
        "peak"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
        self.note(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
        self.held.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.inner.try_grow(reservation, additional)?;
        self.note(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.inner.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    #[test]
    fn the_most_is_remembered() {
        let pool = PeakPool::over(Arc::new(GreedyMemoryPool::new(100)));
        let one = MemoryConsumer::new("one").register(&pool);
        let other = MemoryConsumer::new("other").register(&pool);
        one.try_grow(60).unwrap();
        other.try_grow(60).unwrap_err();
        one.shrink(50);
        other.grow(30);
        assert_eq!((PeakPool::peak_of(&pool), pool.reserved()), (60, 40));
        other.grow(40);
        assert_eq!(PeakPool::peak_of(&pool), 80);
    }
}
