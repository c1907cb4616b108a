//! Columns of row groups, as long as there is memory for them.
//!
//! Of the columns that a query asks for, those that are here are given out, those that somebody
//! loads already are waited for, and the rest are loaded together. A load goes on when the one who
//! began it is gone: others may wait for it, and the next query finds what it brought. An error is
//! told to all who wait, and not kept.
//!
//! What was used least recently goes first. The bytes are reserved in the memory of the process's
//! queries, which have precedence: the cache has what they leave, and gives it back.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::datatypes::DataType;
use datafusion::execution::memory_pool::MemoryReservation;
use kestrel_planner::memory::{Giver, QueryMemory};
use kestrel_proto::{
    ErrorReport, Result,
    message::{DeleteVector, SegmentRef},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::shard::columnar::chunk::Chunk;

/// In the place of a column's id: which rows are not deleted. No column has this id.
pub(in crate::shard::columnar) const LIVE_ROWS: u32 = 0;

/// Which column of which row group, in which type: that of a column may become a wider one.
#[derive(Clone, Debug)]
pub(in crate::shard::columnar) struct ChunkKey {
    /// Told apart by its id, which is never used again.
    pub(in crate::shard::columnar) segment: Arc<SegmentRef>,
    pub(in crate::shard::columnar) row_group: usize,
    pub(in crate::shard::columnar) column_id: u32,
    pub(in crate::shard::columnar) data_type: DataType,
}

impl ChunkKey {
    fn parts(&self) -> (u64, usize, u32, &DataType, Option<u64>) {
        let vector = self.vector().map(|vector| vector.id);
        (self.segment.id, self.row_group, self.column_id, &self.data_type, vector)
    }

    /// The delete vector that it is of.
    fn vector(&self) -> Option<&DeleteVector> {
        self.segment.deletes.as_ref().filter(|_| self.column_id == LIVE_ROWS)
    }

    fn is_of(&self, files: &HashSet<&str>) -> bool {
        let vector = self.vector().map(|vector| vector.file.as_str());
        vector.into_iter().chain([self.segment.file.as_str()]).any(|file| files.contains(file))
    }
}

impl PartialEq for ChunkKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for ChunkKey {}

impl Hash for ChunkKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// What the cache has done, and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard::columnar) struct ChunkCounters {
    pub(in crate::shard::columnar) hits: u64,
    /// Loaded, or waited for.
    pub(in crate::shard::columnar) misses: u64,
    pub(in crate::shard::columnar) evictions: u64,
    pub(in crate::shard::columnar) bytes: u64,
}

/// The chunks of one store. Cloning shares them.
#[derive(Clone, Debug)]
pub(in crate::shard::columnar) struct ChunkCache {
    shared: Arc<Shared>,
}

struct Shared {
    limit_bytes: usize,
    /// What the chunks that are here take of the process's memory. Changed under the lock.
    reservation: MemoryReservation,
    state: Mutex<State>,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

#[derive(Default)]
struct State {
    chunks: HashMap<ChunkKey, Entry>,
    /// The keys of chunks that are here, by when they were used.
    least_recent: BTreeMap<u64, ChunkKey>,
    /// Grows with every use.
    uses: u64,
    /// The next load's number.
    loads: u64,
}

enum Entry {
    Here { chunk: Arc<Chunk>, used: u64 },
    Loading { load: u64, loaded: Loaded },
}

/// What a load has brought; `None`: not yet.
type Loaded = watch::Receiver<Option<Result<Brought>>>;
/// In the order of the load's keys.
type Brought = Arc<Vec<(ChunkKey, Arc<Chunk>)>>;

/// A column that was asked for.
enum Asked {
    Here(Arc<Chunk>),
    Awaited(Loaded),
}

/// A load under way. When it is dropped before its end, those who wait are told that it died.
struct Load {
    shared: Arc<Shared>,
    number: u64,
    keys: Vec<ChunkKey>,
    brought: watch::Sender<Option<Result<Brought>>>,
    /// Whether they stay here.
    keeps: bool,
}

impl ChunkCache {
    /// An empty cache of at most `limit_bytes`, in this memory. With 0 nothing is kept, but what is
    /// asked for at the same time is still loaded once.
    pub(in crate::shard::columnar) fn new(limit_bytes: usize, memory: &QueryMemory) -> Self {
        let shared = Arc::new(Shared {
            limit_bytes,
            reservation: memory.lend("column cache"),
            state: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&shared);
        memory.add_giver(weak as Weak<dyn Giver>);
        Self { shared }
    }

    /// The chunks of these keys. `load` gets the positions of those that have to be loaded, blocks,
    /// and gives their chunks in the same order.
    ///
    /// # Errors
    /// Those of loads, this one or another's; XX000 when one has panicked.
    pub(in crate::shard::columnar) async fn get_or_load<F>(
        &self,
        keys: &[ChunkKey],
        load: F,
    ) -> Result<Vec<Arc<Chunk>>>
    where
        F: FnOnce(Vec<usize>) -> Result<Vec<Chunk>> + Send + 'static,
    {
        self.read(keys, true, load).await
    }

    /// The same for who reads them once, and nobody after: what is loaded takes no other's place.
    ///
    /// # Errors
    /// The same.
    pub(in crate::shard::columnar) async fn get_or_load_once<F>(
        &self,
        keys: &[ChunkKey],
        load: F,
    ) -> Result<Vec<Arc<Chunk>>>
    where
        F: FnOnce(Vec<usize>) -> Result<Vec<Chunk>> + Send + 'static,
    {
        self.read(keys, false, load).await
    }

    async fn read<F>(&self, keys: &[ChunkKey], keeps: bool, load: F) -> Result<Vec<Arc<Chunk>>>
    where
        F: FnOnce(Vec<usize>) -> Result<Vec<Chunk>> + Send + 'static,
    {
        let (asked, missing) = Shared::ask(&self.shared, keys, keeps);
        if let Some((missing, loading)) = missing {
            // Nobody awaits the task itself: it goes on without us.
            tokio::task::spawn_blocking(move || loading.end(load(missing)));
        }
        let mut chunks = Vec::with_capacity(keys.len());
        for (key, asked) in keys.iter().zip(asked) {
            chunks.push(match asked {
                Asked::Here(chunk) => chunk,
                Asked::Awaited(loaded) => awaited(key, loaded).await?,
            });
        }
        Ok(chunks)
    }

    /// Forgets all chunks of these files; what of them is being loaded will not be kept.
    pub(in crate::shard::columnar) fn forget(&self, files: &HashSet<&str>) {
        let mut gone = Vec::new();
        let mut state = self.shared.state.lock();
        let is_gone = |key: &&ChunkKey| key.is_of(files);
        let keys: Vec<_> = state.chunks.keys().filter(is_gone).cloned().collect();
        for key in keys {
            gone.extend(state.remove(&key));
        }
        self.shared.release(&gone);
        drop(state);
    }

    /// What it has done.
    pub(in crate::shard::columnar) fn counters(&self) -> ChunkCounters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ChunkCounters {
            hits: load(&self.shared.hits),
            misses: load(&self.shared.misses),
            evictions: load(&self.shared.evictions),
            bytes: self.shared.held_bytes() as u64,
        }
    }
}

async fn awaited(key: &ChunkKey, mut loaded: Loaded) -> Result<Arc<Chunk>> {
    let died = || ErrorReport::internal("a task that loads columns has died");
    let brought = loaded.wait_for(Option::is_some).await.map_err(|_| died())?.clone();
    let brought = brought.unwrap_or_else(|| Err(died()))?;
    let chunk = brought.iter().find(|(brought, _)| brought == key);
    chunk.map(|(_, chunk)| Arc::clone(chunk)).ok_or_else(died)
}

impl Shared {
    /// What is known of each key; and the load of those of which nothing is, with their positions.
    fn ask(
        shared: &Arc<Self>,
        keys: &[ChunkKey],
        keeps: bool,
    ) -> (Vec<Asked>, Option<(Vec<usize>, Load)>) {
        let mut state = shared.state.lock();
        let (brought, loaded) = watch::channel(None);
        let number = state.loads;
        let mut missing = Vec::new();
        let mut hits = 0;
        let mut asked = Vec::with_capacity(keys.len());
        for (position, key) in keys.iter().enumerate() {
            let known = state.ask(key, keeps).unwrap_or_else(|| {
                let loaded = loaded.clone();
                let entry = Entry::Loading { load: number, loaded: loaded.clone() };
                state.chunks.insert(key.clone(), entry);
                missing.push(position);
                Asked::Awaited(loaded)
            });
            hits += u64::from(matches!(known, Asked::Here(_)));
            asked.push(known);
        }
        shared.hits.fetch_add(hits, Ordering::Relaxed);
        shared.misses.fetch_add(keys.len() as u64 - hits, Ordering::Relaxed);
        if missing.is_empty() {
            return (asked, None);
        }
        state.loads += 1;
        let keys = missing.iter().filter_map(|position| keys.get(*position).cloned()).collect();
        let shared = Arc::clone(shared);
        (asked, Some((missing, Load { shared, number, keys, brought, keeps })))
    }

    /// Keeps chunks of a load, as far as there is room and nobody has forgotten them meanwhile.
    fn keep(&self, load: u64, chunks: &[(ChunkKey, Arc<Chunk>)]) {
        let mut gone = Vec::new();
        let mut state = self.state.lock();
        for (key, chunk) in chunks {
            if state.end_loading(key, load) && self.make_room(&mut state, chunk.bytes(), &mut gone)
            {
                state.insert(key, chunk);
            }
        }
        drop(state);
    }

    /// Reserves so many bytes; those that have to go for that are put into `gone`. `false`: there
    /// is no room, even without all others.
    fn make_room(&self, state: &mut State, bytes: usize, gone: &mut Vec<Arc<Chunk>>) -> bool {
        if bytes > self.limit_bytes {
            return false;
        }
        while self.reservation.size() > self.limit_bytes - bytes
            || self.reservation.try_grow(bytes).is_err()
        {
            let Some(chunk) = state.remove_least_recent() else { return false };
            self.evictions.fetch_add(1, Ordering::Relaxed);
            self.release(std::slice::from_ref(&chunk));
            gone.push(chunk);
        }
        true
    }

    /// The memory of chunks that are not here any more.
    fn release(&self, chunks: &[Arc<Chunk>]) {
        let bytes = chunks.iter().map(|chunk| chunk.bytes()).sum();
        // What is here has been reserved.
        let _ = self.reservation.try_shrink(bytes);
    }
}

impl Giver for Shared {
    fn held_bytes(&self) -> usize {
        self.reservation.size()
    }

    fn give(&self, bytes: usize) -> usize {
        let mut gone = Vec::new();
        let mut given = 0;
        let mut state = self.state.lock();
        while given < bytes
            && let Some(chunk) = state.remove_least_recent()
        {
            given += chunk.bytes();
            gone.push(chunk);
        }
        self.evictions.fetch_add(gone.len() as u64, Ordering::Relaxed);
        self.release(&gone);
        // Freed behind the lock, but before whoever asked has their memory.
        drop(state);
        given
    }
}

impl State {
    /// What is known of a column, which is used now: if that `counts`, it stays longer.
    fn ask(&mut self, key: &ChunkKey, counts: bool) -> Option<Asked> {
        let next = self.uses + 1;
        match self.chunks.get_mut(key)? {
            Entry::Loading { loaded, .. } => Some(Asked::Awaited(loaded.clone())),
            Entry::Here { chunk, .. } if !counts => Some(Asked::Here(Arc::clone(chunk))),
            Entry::Here { chunk, used } => {
                let before = std::mem::replace(used, next);
                let chunk = Arc::clone(chunk);
                if let Some(key) = self.least_recent.remove(&before) {
                    self.least_recent.insert(next, key);
                }
                self.uses = next;
                Some(Asked::Here(chunk))
            }
        }
    }

    fn insert(&mut self, key: &ChunkKey, chunk: &Arc<Chunk>) {
        self.uses += 1;
        let entry = Entry::Here { chunk: Arc::clone(chunk), used: self.uses };
        self.chunks.insert(key.clone(), entry);
        self.least_recent.insert(self.uses, key.clone());
    }

    fn remove_least_recent(&mut self) -> Option<Arc<Chunk>> {
        let (_, key) = self.least_recent.first_key_value()?;
        let key = key.clone();
        self.remove(&key)
    }

    /// Whatever is known of a column is forgotten; the chunk that was here.
    fn remove(&mut self, key: &ChunkKey) -> Option<Arc<Chunk>> {
        match self.chunks.remove(key)? {
            Entry::Loading { .. } => None,
            Entry::Here { chunk, used } => {
                self.least_recent.remove(&used);
                Some(chunk)
            }
        }
    }

    /// Whether this load was still the one that loads the column, which it does no longer.
    fn end_loading(&mut self, key: &ChunkKey, number: u64) -> bool {
        let is_ours = matches!(
            self.chunks.get(key),
            Some(Entry::Loading { load, .. }) if *load == number
        );
        if is_ours {
            self.chunks.remove(key);
        }
        is_ours
    }
}

impl Load {
    /// Keeps what was loaded, if it is to stay, and tells those who wait.
    fn end(self, loaded: Result<Vec<Chunk>>) {
        let brought = loaded.map(|chunks| {
            let chunks = chunks.into_iter().map(Arc::new);
            let brought: Vec<_> = self.keys.iter().cloned().zip(chunks).collect();
            if self.keeps {
                self.shared.keep(self.number, &brought);
            }
            Arc::new(brought)
        });
        // First: whoever asks from now on does not get the error of this load.
        self.give_up();
        self.brought.send_replace(Some(brought));
    }

    fn give_up(&self) {
        let mut state = self.shared.state.lock();
        for key in &self.keys {
            state.end_loading(key, self.number);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkCache")
            .field("limit_bytes", &self.limit_bytes)
            .field("bytes", &self.reservation.size())
            .finish_non_exhaustive()
    }
}
