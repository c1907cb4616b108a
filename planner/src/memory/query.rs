//! Queries and their parts of the pool.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::memory_pool::{
        GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
        TrackConsumersPool,
    },
};
use kestrel_proto::QueryId;
use parking_lot::Mutex;

use super::giving::{Giver, GivingPool};

/// How many operators an error about memory names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);
/// What an error says when a query's quota was too small, and not the pool.
const QUOTA_WORDS: &str = "kestrel.query_memory_limit allows";

/// Hash tables of groups double when they are full, and ask for the memory when they have it: the old
/// one and the new one, two and a half times what was reserved, are there for a moment. So they have
/// two fifths of a share, if that is more than this: little is not worth going to disk for.
const LITTLE_DOUBLING_BYTES: usize = 64 << 20;

/// Whether an error about memory is that of a quota.
pub(crate) fn is_of_quota(message: &str) -> bool {
    message.contains(QUOTA_WORDS)
}

/// The memory of a process's queries, and the parts that they have of it. Cloning shares it.
#[derive(Clone, Debug)]
pub struct QueryMemory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: Arc<dyn MemoryPool>,
    /// The same.
    giving: Arc<GivingPool>,
    parts: Mutex<HashMap<QueryId, Weak<QueryPool>>>,
    /// Queries with operators that can spill.
    spilling_queries: AtomicUsize,
    /// Bytes, of all queries, that cannot go to disk.
    unspillable_bytes: AtomicUsize,
}

/// One query's part of a pool: of all its operators on the datanodes of a process, or of its slice
/// 0. It is forgotten when nothing of the query is left.
#[derive(Debug)]
pub struct QueryPool {
    shared: Arc<Shared>,
    query: QueryId,
    quota_bytes: usize,
    used: Mutex<Used>,
}

/// What a query has reserved.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// Operators that can spill.
    spilling_operators: usize,
    spillable_bytes: usize,
    unspillable_bytes: usize,
}

impl QueryMemory {
    /// A pool of `limit_bytes` and its parts. An error names the operators that have reserved most.
    pub fn new(limit_bytes: usize) -> Self {
        let pool = GreedyMemoryPool::new(limit_bytes);
        let pool = TrackConsumersPool::new(pool, NAMED_CONSUMERS);
        let giving = Arc::new(GivingPool::new(Arc::new(pool)));
        let pool = Arc::clone(&giving) as Arc<dyn MemoryPool>;
        let (parts, spilling_queries) = (Mutex::default(), AtomicUsize::new(0));
        let unspillable_bytes = AtomicUsize::new(0);
        Self {
            shared: Arc::new(Shared { pool, giving, parts, spilling_queries, unspillable_bytes }),
        }
    }

    /// What a cache holds its memory by: as much as queries leave. It does not count as reserved,
    /// since queries can have it at any time, once [`QueryMemory::add_giver`] has named the cache.
    pub fn lend(&self, name: &str) -> MemoryReservation {
        self.shared.giving.lend(name)
    }

    /// This one gives back what it holds when queries need it.
    pub fn add_giver(&self, giver: Weak<dyn Giver>) {
        self.shared.giving.add(giver);
    }

    /// The pool.
    pub fn pool(&self) -> &Arc<dyn MemoryPool> {
        &self.shared.pool
    }

    /// The part of a query, which is made when nothing of the query is here yet: at most
    /// `quota_bytes`; 0: whatever there is.
    pub fn of(&self, query: QueryId, quota_bytes: u64) -> Arc<QueryPool> {
        let mut parts = self.shared.parts.lock();
        if let Some(part) = parts.get(&query).and_then(Weak::upgrade) {
            return part;
        }
        let quota_bytes = match quota_bytes {
            0 => usize::MAX,
            quota => usize::try_from(quota).unwrap_or(usize::MAX),
        };
        let (shared, used) = (Arc::clone(&self.shared), Mutex::default());
        let part = Arc::new(QueryPool { shared, query, quota_bytes, used });
        parts.insert(query, Arc::downgrade(&part));
        part
    }
}

impl Shared {
    /// What all operators of one query that can spill may have together.
    fn fair_share_bytes(&self) -> usize {
        let limit = match self.pool.memory_limit() {
            MemoryLimit::Finite(limit) => limit,
            MemoryLimit::Infinite | MemoryLimit::Unknown => return usize::MAX,
        };
        let free = limit.saturating_sub(self.unspillable_bytes.load(Ordering::Relaxed));
        free / self.spilling_queries.load(Ordering::Relaxed).max(1)
    }
}

impl QueryPool {
    fn note(&self, reservation: &MemoryReservation, used: &mut Used, additional: usize) {
        if reservation.consumer().can_spill() {
            used.spillable_bytes += additional;
        } else {
            used.unspillable_bytes += additional;
            self.shared.unspillable_bytes.fetch_add(additional, Ordering::Relaxed);
        }
    }

    fn beyond_quota(&self, name: &str, additional: usize, left: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{name} needs {additional} bytes more, and of the {} bytes that {QUOTA_WORDS} the \
             statement {left} are left",
            self.quota_bytes
        ))
    }
}

/// Whether a consumer is one of DataFusion's aggregates by hashing: `SingleHashAggregateStream[0]`.
fn doubles(name: &str) -> bool {
    name.contains("HashAggregateStream")
}

/// What one of these may have of the share of an operator.
fn doubling_share(share: usize) -> usize {
    (share / 5 * 2).max(share.min(LITTLE_DOUBLING_BYTES))
}

impl Used {
    fn bytes(self) -> usize {
        self.spillable_bytes.saturating_add(self.unspillable_bytes)
    }

    /// What one operator that can spill may have at most.
    fn operator_share(self, quota_bytes: usize, fair_share_bytes: usize) -> usize {
        let own = quota_bytes.saturating_sub(self.unspillable_bytes);
        own.min(fair_share_bytes) / self.spilling_operators.max(1)
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query({}, of {})", self.query, self.shared.pool)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.pool.register(consumer);
        if consumer.can_spill() {
            let mut used = self.used.lock();
            used.spilling_operators += 1;
            if used.spilling_operators == 1 {
                self.shared.spilling_queries.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.pool.unregister(consumer);
        if consumer.can_spill() {
            let mut used = self.used.lock();
            used.spilling_operators = used.spilling_operators.saturating_sub(1);
            if used.spilling_operators == 0 {
                self.shared.spilling_queries.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.pool.grow(reservation, additional);
        self.note(reservation, &mut self.used.lock(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.pool.shrink(reservation, shrink);
        let mut used = self.used.lock();
        if reservation.consumer().can_spill() {
            used.spillable_bytes = used.spillable_bytes.saturating_sub(shrink);
        } else {
            used.unspillable_bytes = used.unspillable_bytes.saturating_sub(shrink);
            self.shared.unspillable_bytes.fetch_sub(shrink, Ordering::Relaxed);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if additional == 0 {
            // What nobody could refuse may have taken the pool beyond its limit.
            return Ok(());
        }
        let consumer = reservation.consumer();
        let mut used = self.used.lock();
        let left = self.quota_bytes.saturating_sub(used.bytes());
        if additional > left {
            return Err(self.beyond_quota(consumer.name(), additional, left));
        }
        if consumer.can_spill() {
            let fair_share = self.shared.fair_share_bytes();
            let share = used.operator_share(self.quota_bytes, fair_share);
            let is_own = used.operator_share(self.quota_bytes, usize::MAX) == share;
            let share = if doubles(consumer.name()) { doubling_share(share) } else { share };
            if reservation.size().saturating_add(additional) > share {
                // Which of the two makes the share so small.
                if is_own {
                    return Err(self.beyond_quota(consumer.name(), additional, left));
                }
                return Err(DataFusionError::ResourcesExhausted(format!(
                    "{} needs {additional} bytes more, and its share of the memory of all queries \
                     is {share} bytes",
                    consumer.name()
                )));
            }
        }
        self.shared.pool.try_grow(reservation, additional)?;
        self.note(reservation, &mut used, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.used.lock().bytes()
    }

    fn memory_limit(&self) -> MemoryLimit {
        match self.shared.pool.memory_limit() {
            MemoryLimit::Finite(limit) => MemoryLimit::Finite(limit.min(self.quota_bytes)),
            unbounded if self.quota_bytes == usize::MAX => unbounded,
            MemoryLimit::Infinite | MemoryLimit::Unknown => MemoryLimit::Finite(self.quota_bytes),
        }
    }
}

impl Drop for QueryPool {
    fn drop(&mut self) {
        let mut parts = self.shared.parts.lock();
        // Another may have come in its place since the last one who had it let it go.
        if parts.get(&self.query).is_some_and(|part| part.strong_count() == 0) {
            parts.remove(&self.query);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(memory: &QueryMemory, quota_bytes: u64) -> Arc<dyn MemoryPool> {
        memory.of(QueryId::random(), quota_bytes)
    }

    fn consumer(part: &Arc<dyn MemoryPool>, name: &str) -> MemoryReservation {
        MemoryConsumer::new(name).register(part)
    }

    fn spilling(part: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new("sort").with_can_spill(true).register(part)
    }

    #[test]
    fn a_quota_is_a_part_of_the_pool() {
        let memory = QueryMemory::new(1000);
        let (part, others) = (part(&memory, 600), part(&memory, 0));
        let first = consumer(&part, "first");
        let other = consumer(&others, "other");
        first.try_grow(500).unwrap();
        let refused = first.try_grow(101).unwrap_err().to_string();
        assert!(refused.contains("of the 600 bytes"), "{refused}");
        assert!(refused.contains("100 are left"), "{refused}");
        assert!(is_of_quota(&refused));
        assert_eq!((part.reserved(), memory.pool().reserved()), (500, 500));

        // What the pool refuses does not count against the quota.
        other.try_grow(450).unwrap();
        assert!(!is_of_quota(&first.try_grow(60).unwrap_err().to_string()));
        first.try_grow(50).unwrap();
        first.shrink(550);
        assert_eq!((part.reserved(), memory.pool().reserved()), (0, 450));
    }

    #[test]
    fn all_fragments_of_a_query_have_one_part() {
        let memory = QueryMemory::new(1000);
        let query = QueryId::random();
        let (one, two): (Arc<dyn MemoryPool>, Arc<dyn MemoryPool>) =
            (memory.of(query, 100), memory.of(query, 100));
        let (first, second) = (consumer(&one, "first"), consumer(&two, "second"));
        first.try_grow(60).unwrap();
        second.try_grow(60).unwrap_err();
        drop((first, one));
        // The other fragment is still there, and what was reserved is free.
        second.try_grow(100).unwrap();
        drop((second, two));
        assert!(memory.shared.parts.lock().is_empty());
        assert_eq!(memory.pool().reserved(), 0);
    }

    #[test]
    fn queries_that_spill_have_equal_shares_whatever_their_operators() {
        let memory = QueryMemory::new(1200);
        let (many, one, hash) = (part(&memory, 0), part(&memory, 0), part(&memory, 0));
        let sorts = [spilling(&many), spilling(&many), spilling(&many)];
        // Alone: a third each.
        sorts[0].try_grow(400).unwrap();
        sorts[0].try_grow(1).unwrap_err();
        let sort = spilling(&one);
        sort.try_grow(600).unwrap();
        sort.try_grow(1).unwrap_err();
        // What was reserved before stays, but does not grow.
        sorts[0].try_grow(1).unwrap_err();
        sorts[1].try_grow(200).unwrap();
        sort.free();
        // What cannot spill takes from the shares of all, and has no share itself.
        let table = consumer(&hash, "hash table");
        table.try_grow(600).unwrap();
        sort.try_grow(301).unwrap_err();
        drop(sorts);
        sort.try_grow(301).unwrap();
        assert_eq!(memory.pool().reserved(), 901);
    }

    /// Except for a little, tables of groups have room for their next doubling.
    #[test]
    fn tables_that_double_have_less() {
        let memory = QueryMemory::new(1000 << 20);
        let part = part(&memory, 0);
        let consumer = MemoryConsumer::new("SingleHashAggregateStream[0]").with_can_spill(true);
        let groups = consumer.register(&part);
        groups.try_grow(400 << 20).unwrap();
        groups.try_grow(1).unwrap_err();
        let sort = spilling(&part);
        sort.try_grow(500 << 20).unwrap();
        groups.shrink(390 << 20);
        groups.try_grow(190 << 20).unwrap();
        groups.try_grow(1 << 20).unwrap_err();
        assert_eq!([100 << 20, 10, 1 << 30].map(doubling_share), [64 << 20, 10, (1 << 30) / 5 * 2]);
    }

    #[test]
    fn operators_that_spill_share_the_quota() {
        let memory = QueryMemory::new(10_000);
        let part = part(&memory, 1000);
        let (table, sorts) = (consumer(&part, "table"), [spilling(&part), spilling(&part)]);
        table.try_grow(400).unwrap();
        sorts[0].try_grow(300).unwrap();
        let refused = sorts[0].try_grow(1).unwrap_err();
        assert!(is_of_quota(&refused.to_string()), "{refused}");
        sorts[1].try_grow(300).unwrap();
    }
}
