//! A pool some of whose memory is only lent: to caches, which give it back when queries need it.

use std::{
    cmp::Reverse,
    fmt,
    sync::{Arc, Weak},
};

use datafusion::{
    error::Result,
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};
use parking_lot::Mutex;

/// Who holds memory that queries may have at any time.
///
/// It is asked by whoever needs the memory, on that thread: it must neither wait, nor ask the pool
/// for memory that others would have to give.
pub trait Giver: fmt::Debug + Send + Sync {
    /// Bytes that it holds now.
    fn held_bytes(&self) -> usize;

    /// Gives back so many bytes, or more; fewer when it has no more. How many it gave.
    fn give(&self, bytes: usize) -> usize;
}

/// A pool, and who gives memory back to it.
#[derive(Debug)]
pub(super) struct GivingPool {
    inner: Arc<dyn MemoryPool>,
    givers: Mutex<Vec<Weak<dyn Giver>>>,
}

impl GivingPool {
    /// A pool in which nothing is lent yet.
    pub(super) fn new(inner: Arc<dyn MemoryPool>) -> Self {
        Self { inner, givers: Mutex::default() }
    }

    /// What a giver holds its memory by. It is refused memory that queries have, and asks no other
    /// giver.
    pub(super) fn lend(&self, name: &str) -> MemoryReservation {
        MemoryConsumer::new(name).register(&self.inner)
    }

    /// From now on it is asked.
    pub(super) fn add(&self, giver: Weak<dyn Giver>) {
        let mut givers = self.givers.lock();
        givers.retain(|giver| giver.strong_count() > 0);
        givers.push(giver);
    }

    /// Not under the lock: what a giver does may take a while.
    fn givers(&self) -> Vec<Arc<dyn Giver>> {
        self.givers.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes back what the pool lacks to have `additional` bytes more; how many bytes it got.
    fn take_back(&self, additional: usize) -> usize {
        let MemoryLimit::Finite(limit) = self.inner.memory_limit() else { return 0 };
        let lacking = self.inner.reserved().saturating_add(additional).saturating_sub(limit);
        if lacking == 0 {
            return 0;
        }
        let mut givers = self.givers();
        givers.sort_by_key(|giver| Reverse(giver.held_bytes()));
        let mut given = 0;
        for giver in givers {
            if given >= lacking {
                break;
            }
            given += giver.give(lacking - given);
        }
        given
    }
}

impl fmt::Display for GivingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "giving({})", self.inner)
    }
}

impl MemoryPool for GivingPool {
    fn name(&self) -> &str {
        "giving"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.take_back(additional);
        self.inner.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.take_back(additional);
        loop {
            match self.inner.try_grow(reservation, additional) {
                Ok(()) => return Ok(()),
                // Another query may have taken what was given, and there may be more.
                Err(refused) if self.take_back(additional) == 0 => return Err(refused),
                Err(_) => {}
            }
        }
    }

    /// What queries have: what is lent is as good as free.
    fn reserved(&self) -> usize {
        let lent: usize = self.givers().iter().map(|giver| giver.held_bytes()).sum();
        self.inner.reserved().saturating_sub(lent)
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    /// Gives in pieces of ten bytes.
    #[derive(Debug)]
    struct Pieces(MemoryReservation);

    impl Giver for Pieces {
        fn held_bytes(&self) -> usize {
            self.0.size()
        }

        fn give(&self, bytes: usize) -> usize {
            let given = bytes.next_multiple_of(10).min(self.0.size());
            self.0.shrink(given);
            given
        }
    }

    struct Fixture {
        pool: Arc<GivingPool>,
        caches: [Arc<Pieces>; 2],
        query: MemoryReservation,
    }

    fn fixture() -> Fixture {
        let pool = Arc::new(GivingPool::new(Arc::new(GreedyMemoryPool::new(100))));
        let caches = [(); 2].map(|()| Arc::new(Pieces(pool.lend("cache"))));
        for cache in &caches {
            pool.add(Arc::downgrade(cache) as Weak<dyn Giver>);
        }
        let query = MemoryConsumer::new("query").register(&(Arc::clone(&pool) as _));
        Fixture { pool, caches, query }
    }

    #[test]
    fn caches_give_way_and_the_fullest_first() {
        let Fixture { pool, caches: [small, large], query } = fixture();
        small.0.try_grow(20).unwrap();
        large.0.try_grow(70).unwrap();
        assert_eq!((pool.reserved(), large.0.size()), (0, 70));
        // Ten are free.
        query.try_grow(10).unwrap();
        assert_eq!((small.0.size(), large.0.size()), (20, 70));
        query.try_grow(11).unwrap();
        assert_eq!((small.0.size(), large.0.size()), (20, 50));
        query.try_grow(70).unwrap();
        assert_eq!((small.0.size(), large.0.size(), pool.reserved()), (0, 0, 91));
        query.try_grow(10).unwrap_err();
        // Nobody gives way to a cache.
        small.0.try_grow(10).unwrap_err();
        small.0.try_grow(9).unwrap();
        query.shrink(91);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn what_cannot_be_refused_is_taken_back_too() {
        let Fixture { pool, caches: [cache, _], query } = fixture();
        cache.0.try_grow(90).unwrap();
        query.grow(60);
        assert_eq!((cache.0.size(), pool.reserved()), (40, 60));
    }

    #[test]
    fn who_is_gone_is_not_asked() {
        let Fixture { pool, caches: [cache, other], query } = fixture();
        cache.0.try_grow(90).unwrap();
        drop(cache);
        query.try_grow(100).unwrap();
        drop(other);
        pool.add(Weak::<Pieces>::new());
        assert_eq!(pool.givers.lock().len(), 1);
    }
}
