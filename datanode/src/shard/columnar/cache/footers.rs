//! What is known of segment files without reading them again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use parquet::file::metadata::ParquetMetaData;

/// The footers of segments, within a number of bytes; and which files are known to be whole.
///
/// Files never change, so nothing here is ever stale. The footer that came first goes first: one
/// that is still in use is soon read again.
#[derive(Debug)]
pub(in crate::shard::columnar) struct FooterCache {
    limit_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    footers: HashMap<String, Arc<ParquetMetaData>>,
    oldest_first: VecDeque<String>,
    bytes: usize,
    whole: HashSet<String>,
    hits: u64,
    misses: u64,
}

impl FooterCache {
    /// An empty cache.
    pub(in crate::shard::columnar) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default() }
    }

    /// The footer of `file`, if it is here.
    pub(in crate::shard::columnar) fn get(&self, file: &str) -> Option<Arc<ParquetMetaData>> {
        let mut state = self.state.lock();
        let footer = state.footers.get(file).map(Arc::clone);
        let counted = if footer.is_some() { &mut state.hits } else { &mut state.misses };
        *counted += 1;
        footer
    }

    /// How often a footer was here, how often it was not, and the bytes of those that are.
    pub(in crate::shard::columnar) fn counters(&self) -> (u64, u64, u64) {
        let state = self.state.lock();
        (state.hits, state.misses, state.bytes as u64)
    }

    /// Keeps a footer.
    pub(in crate::shard::columnar) fn put(&self, file: &str, footer: &Arc<ParquetMetaData>) {
        let mut state = self.state.lock();
        if state.footers.insert(file.to_string(), Arc::clone(footer)).is_some() {
            return;
        }
        state.bytes += footer.memory_size();
        state.oldest_first.push_back(file.to_string());
        while state.bytes > self.limit_bytes
            && let Some(oldest) = state.oldest_first.pop_front()
        {
            state.drop_footer(&oldest);
        }
    }

    /// Notes that the file's bytes have their checksum.
    pub(in crate::shard::columnar) fn set_whole(&self, file: &str) {
        self.state.lock().whole.insert(file.to_string());
    }

    /// Whether the file's bytes are known to have their checksum.
    pub(in crate::shard::columnar) fn is_whole(&self, file: &str) -> bool {
        self.state.lock().whole.contains(file)
    }

    /// Forgets a file that is removed.
    pub(in crate::shard::columnar) fn remove(&self, file: &str) {
        let mut state = self.state.lock();
        state.whole.remove(file);
        if state.drop_footer(file) {
            state.oldest_first.retain(|f| f != file);
        }
    }
}

impl State {
    fn drop_footer(&mut self, file: &str) -> bool {
        let Some(footer) = self.footers.remove(file) else { return false };
        self.bytes -= footer.memory_size();
        true
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
