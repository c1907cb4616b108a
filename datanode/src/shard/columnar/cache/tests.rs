//! Who gets what from the cache of chunks, and who loads it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use arrow::{
    array::{ArrayRef, Int64Array},
    datatypes::DataType,
};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use kestrel_planner::memory::QueryMemory;
use kestrel_proto::{ErrorReport, QueryId, Result, SqlState, message::SegmentRef};

use super::{ChunkCache, ChunkKey};
use crate::shard::columnar::chunk::Chunk;

/// A column of segment 1, in file "1".
fn key(column_id: u32) -> ChunkKey {
    of_segment(1, column_id)
}

fn of_segment(id: u64, column_id: u32) -> ChunkKey {
    let segment = SegmentRef { id, file: id.to_string(), ..SegmentRef::default() };
    ChunkKey { segment: Arc::new(segment), row_group: 0, column_id, data_type: DataType::Int64 }
}

/// All have the same size.
fn chunk() -> Chunk {
    let array: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, 0, i64::MAX]));
    Chunk::encode(&array).unwrap()
}

fn size() -> usize {
    chunk().bytes()
}

struct Fixture {
    cache: ChunkCache,
    memory: QueryMemory,
    /// The columns of each load.
    loads: Arc<Mutex<Vec<Vec<u32>>>>,
}

impl Fixture {
    /// A cache for so many chunks, in memory for ten.
    fn new(chunks: usize) -> Self {
        let memory = QueryMemory::new(10 * size());
        let cache = ChunkCache::new(chunks * size(), &memory);
        Self { cache, memory, loads: Arc::default() }
    }

    /// Asks for columns of segment 1; `before` runs before those that are missing are loaded.
    async fn get(
        &self,
        columns: &[u32],
        before: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<Vec<Arc<Chunk>>> {
        let keys: Vec<_> = columns.iter().map(|column| key(*column)).collect();
        let (columns, loads) = (columns.to_vec(), Arc::clone(&self.loads));
        let load = move |missing: Vec<usize>| {
            loads.lock().unwrap().push(missing.iter().map(|at| columns[*at]).collect());
            before()?;
            Ok(missing.iter().map(|_| chunk()).collect())
        };
        self.cache.get_or_load(&keys, load).await
    }

    /// The same, once.
    async fn get_once(&self, columns: &[u32]) {
        let keys: Vec<_> = columns.iter().map(|column| key(*column)).collect();
        let load = |missing: Vec<usize>| Ok(missing.iter().map(|_| chunk()).collect());
        assert_eq!(self.cache.get_or_load_once(&keys, load).await.unwrap().len(), columns.len());
    }

    async fn get_now(&self, columns: &[u32]) -> Vec<Arc<Chunk>> {
        self.get(columns, || Ok(())).await.unwrap()
    }

    /// The loads since this was asked last.
    fn loads(&self) -> Vec<Vec<u32>> {
        std::mem::take(&mut self.loads.lock().unwrap())
    }

    fn query(&self) -> MemoryReservation {
        let part = self.memory.of(QueryId::random(), 0);
        MemoryConsumer::new("query").register(&(part as _))
    }

    fn check_bytes(&self, chunks: usize) {
        assert_eq!(self.cache.counters().bytes, (chunks * size()) as u64);
    }
}

/// A load that begins, and ends only when it may.
struct Held {
    begun: Receiver<()>,
    may_end: Sender<()>,
}

fn held() -> (Held, impl FnOnce() -> Result<()> + Send + 'static) {
    let (begins, begun) = channel();
    let (may_end, end) = channel::<()>();
    let before = move || {
        begins.send(()).unwrap();
        // An error is fine, too: whoever held it is gone.
        let _ = end.recv();
        Ok(())
    };
    (Held { begun, may_end }, before)
}

async fn soon(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_many_want_is_loaded_once() {
    let fixture = Arc::new(Fixture::new(9));
    let (held, before) = held();
    let first = Arc::clone(&fixture);
    let first = tokio::spawn(async move { first.get(&[1, 2], before).await });
    held.begun.recv().unwrap();
    let others: Vec<_> = (0..49)
        .map(|_| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move { fixture.get_now(&[1, 2]).await })
        })
        .collect();
    soon("their requests", || fixture.cache.counters().misses == 100).await;
    held.may_end.send(()).unwrap();
    let first = first.await.unwrap().unwrap();
    for other in others {
        let other = other.await.unwrap();
        assert!(Arc::ptr_eq(&first[0], &other[0]) && Arc::ptr_eq(&first[1], &other[1]));
    }
    assert_eq!(fixture.loads(), [[1, 2]]);
    assert!(Arc::ptr_eq(&first[1], &fixture.get_now(&[2]).await[0]));
    let counters = fixture.cache.counters();
    assert_eq!((counters.hits, counters.misses), (1, 100));
    fixture.check_bytes(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_neither_here_nor_on_its_way_is_loaded() {
    let fixture = Arc::new(Fixture::new(9));
    fixture.get_now(&[1]).await;
    let (held, before) = held();
    let first = Arc::clone(&fixture);
    let first = tokio::spawn(async move { first.get(&[1, 2, 3], before).await });
    held.begun.recv().unwrap();
    let second = Arc::clone(&fixture);
    // A column that is asked for twice, too.
    let second = tokio::spawn(async move { second.get_now(&[3, 4, 1, 5, 4]).await });
    soon("the second load", || fixture.loads.lock().unwrap().len() == 3).await;
    held.may_end.send(()).unwrap();
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap());
    assert_eq!((first.len(), second.len()), (3, 5));
    assert!(Arc::ptr_eq(&first[2], &second[0]) && Arc::ptr_eq(&second[1], &second[4]));
    assert_eq!(fixture.loads(), [vec![1], vec![2, 3], vec![4, 5]]);
    // Nothing, of nothing.
    assert!(fixture.get_now(&[]).await.is_empty());
    // A column whose type has become another is another.
    let wider = ChunkKey { data_type: DataType::Int32, ..key(1) };
    let loaded = fixture.cache.get_or_load(&[wider], |_| Ok(vec![chunk()])).await;
    assert_eq!(loaded.unwrap().len(), 1);
    fixture.check_bytes(6);
}

#[tokio::test]
async fn what_was_used_least_recently_goes_first() {
    let fixture = Fixture::new(3);
    for column in [1, 2, 3, 1, 4] {
        fixture.get_now(&[column]).await;
    }
    fixture.check_bytes(3);
    assert_eq!(fixture.cache.counters().evictions, 1);
    fixture.loads();
    fixture.get_now(&[1, 3, 4]).await;
    assert_eq!(fixture.loads(), Vec::<Vec<u32>>::new());
    fixture.get_now(&[2, 5]).await;
    fixture.get_now(&[4]).await;
    assert_eq!(fixture.loads(), [[2, 5]]);
    fixture.get_now(&[1]).await;
    assert_eq!(fixture.loads(), [[1]]);
    fixture.check_bytes(3);
}

#[tokio::test]
async fn without_room_chunks_are_given_out_and_not_kept() {
    let none = Fixture::new(0);
    none.get_now(&[1]).await;
    none.get_now(&[1, 2]).await;
    assert_eq!(none.loads(), [vec![1], vec![1, 2]]);
    none.check_bytes(0);
    // Queries have all memory.
    let fixture = Fixture::new(3);
    let query = fixture.query();
    query.try_grow(10 * size()).unwrap();
    fixture.get_now(&[1]).await;
    fixture.get_now(&[1]).await;
    assert_eq!(fixture.loads(), [[1], [1]]);
    query.shrink(size());
    fixture.get_now(&[1, 2]).await;
    fixture.check_bytes(1);
}

#[tokio::test]
async fn the_cache_gives_way_to_queries() {
    let fixture = Fixture::new(9);
    fixture.get_now(&[1, 2, 3, 4, 5, 6]).await;
    fixture.check_bytes(6);
    // What can be had at any time is not reserved.
    assert_eq!(fixture.memory.pool().reserved(), 0);
    let query = fixture.query();
    query.try_grow(4 * size()).unwrap();
    fixture.check_bytes(6);
    query.try_grow(1).unwrap();
    fixture.check_bytes(5);
    fixture.loads();
    fixture.get_now(&[2, 3, 4, 5, 6]).await;
    assert_eq!(fixture.loads(), Vec::<Vec<u32>>::new());
    query.try_grow(6 * size() - 1).unwrap();
    fixture.check_bytes(0);
    assert_eq!(fixture.cache.counters().evictions, 6);
    assert!(query.try_grow(1).is_err());
    assert_eq!(fixture.memory.pool().reserved(), 10 * size());
    drop(query);
    fixture.get_now(&[1]).await;
    fixture.check_bytes(1);
    drop(fixture.cache);
    assert_eq!(fixture.memory.pool().reserved(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_told_to_all_and_not_kept() {
    let fixture = Arc::new(Fixture::new(9));
    let failure = ErrorReport::new(SqlState::DATA_CORRUPTED, "segment \"s\" of \"t\" is damaged");
    let (held, before) = held();
    let (first, report) = (Arc::clone(&fixture), failure.clone());
    let first =
        tokio::spawn(async move { first.get(&[1], move || before().and(Err(report))).await });
    held.begun.recv().unwrap();
    let second = Arc::clone(&fixture);
    let second = tokio::spawn(async move { second.get(&[1], || Ok(())).await });
    soon("the second request", || fixture.cache.counters().misses == 2).await;
    held.may_end.send(()).unwrap();
    for result in [first.await.unwrap(), second.await.unwrap()] {
        assert_eq!(result.unwrap_err(), failure);
    }
    assert_eq!(fixture.loads(), [[1]]);
    fixture.get_now(&[1]).await;
    assert_eq!(fixture.loads(), [[1]]);
    fixture.check_bytes(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_outlives_who_began_it() {
    let fixture = Arc::new(Fixture::new(9));
    let (held, before) = held();
    let first = Arc::clone(&fixture);
    let first = tokio::spawn(async move { first.get(&[1], before).await.map(|_| ()) });
    held.begun.recv().unwrap();
    let second = Arc::clone(&fixture);
    let second = tokio::spawn(async move { second.get_now(&[1]).await });
    soon("the second request", || fixture.cache.counters().misses == 2).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    held.may_end.send(()).unwrap();
    assert_eq!(second.await.unwrap().len(), 1);
    assert_eq!(fixture.loads(), [[1]]);
    fixture.check_bytes(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_panics_is_an_error() {
    let fixture = Fixture::new(9);
    let lost = fixture.get(&[1], || panic!("a test panics on purpose")).await.unwrap_err();
    assert_eq!(lost.sqlstate, SqlState::INTERNAL_ERROR);
    let short = fixture.cache.get_or_load(&[key(1), key(2)], |_| Ok(vec![chunk()])).await;
    assert_eq!(short.unwrap_err().sqlstate, SqlState::INTERNAL_ERROR);
    fixture.get_now(&[1, 2]).await;
    fixture.check_bytes(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_is_forgotten() {
    let fixture = Arc::new(Fixture::new(9));
    fixture.get_now(&[1, 2]).await;
    let others = [of_segment(2, 1)];
    fixture.cache.get_or_load(&others, |_| Ok(vec![chunk()])).await.unwrap();
    let (held, before) = held();
    let loading = Arc::clone(&fixture);
    let loading = tokio::spawn(async move { loading.get(&[3], before).await });
    held.begun.recv().unwrap();
    fixture.cache.forget(&HashSet::from(["1", "no file"]));
    fixture.check_bytes(1);
    held.may_end.send(()).unwrap();
    // Who reads it still gets it.
    assert_eq!(loading.await.unwrap().unwrap().len(), 1);
    fixture.check_bytes(1);
    fixture.loads();
    fixture.get_now(&[1, 3]).await;
    assert_eq!(fixture.loads(), [[1, 3]]);
    assert_eq!(fixture.cache.counters().evictions, 0);
}

#[tokio::test]
async fn what_is_read_once_takes_no_place() {
    let fixture = Fixture::new(2);
    fixture.get_now(&[1, 2]).await;
    fixture.get_once(&[1, 3, 4]).await;
    fixture.check_bytes(2);
    assert_eq!(fixture.cache.counters().evictions, 0);
    // That 1 was read once more is no reason to keep it longer.
    fixture.get_now(&[3]).await;
    fixture.loads();
    fixture.get_now(&[2, 3]).await;
    assert!(fixture.loads().is_empty());
    fixture.get_now(&[1]).await;
    assert_eq!(fixture.loads(), [[1]]);
}
