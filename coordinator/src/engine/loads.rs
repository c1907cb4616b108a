//! What COPY FROM is loading now.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

/// The loads that run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Loads(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    next: u64,
    loads: BTreeMap<u64, (LoadFacts, Arc<Counters>)>,
}

#[derive(Debug, Default)]
struct Counters {
    bytes: AtomicU64,
    rows: AtomicU64,
    rejected: AtomicU64,
    excluded: AtomicU64,
}

/// A load, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFacts {
    /// The session's number.
    pub session_pid: i32,
    /// Its user.
    pub user: String,
    /// The table's.
    pub table_id: u64,
    /// Its name.
    pub table: String,
    /// Its schema's.
    pub schema: String,
    /// Files of the server; else the client sends the data.
    pub is_from_files: bool,
    /// Of all the data; `None`: it is not known.
    pub bytes_total: Option<u64>,
    /// Of what has been read.
    pub bytes: u64,
    /// Those that were written.
    pub rows: u64,
    /// Those that were wrong, and were left out for that.
    pub rejected: u64,
    /// Those that WHERE has left out.
    pub excluded: u64,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

impl Loads {
    /// A load begins, with nothing read; it ends when the handle is dropped.
    pub fn begin(&self, facts: LoadFacts) -> Load {
        let counters = Arc::new(Counters::default());
        let mut running = self.0.lock();
        let id = running.next;
        running.next += 1;
        running.loads.insert(id, (facts, Arc::clone(&counters)));
        Load { loads: self.clone(), id, counters }
    }

    /// All that run, in the order in which they began.
    pub fn facts(&self) -> Vec<LoadFacts> {
        let running = self.0.lock();
        let facts = running.loads.values().map(|(facts, counters)| LoadFacts {
            bytes: counters.bytes.load(Ordering::Relaxed),
            rows: counters.rows.load(Ordering::Relaxed),
            rejected: counters.rejected.load(Ordering::Relaxed),
            excluded: counters.excluded.load(Ordering::Relaxed),
            ..facts.clone()
        });
        facts.collect()
    }
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    loads: Loads,
    id: u64,
    counters: Arc<Counters>,
}

impl Load {
    /// All the data are so many bytes.
    pub fn will_read(&self, bytes: u64) {
        if let Some((facts, _)) = self.loads.0.lock().loads.get_mut(&self.id) {
            facts.bytes_total = Some(bytes);
        }
    }

    /// So many bytes more have been read.
    pub fn has_read(&self, bytes: u64) {
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many rows more were written.
    pub fn has_written(&self, rows: u64) {
        self.counters.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// So many rows more were wrong, and were left out.
    pub fn has_rejected(&self, rows: u64) {
        self.counters.rejected.fetch_add(rows, Ordering::Relaxed);
    }

    /// WHERE has left so many rows more out.
    pub fn has_excluded(&self, rows: u64) {
        self.counters.excluded.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.loads.0.lock().loads.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_seen_while_they_run() {
        let loads = Loads::default();
        let facts = |table: &str| LoadFacts {
            session_pid: 7,
            user: "ann".into(),
            table_id: 16384,
            table: table.into(),
            schema: "public".into(),
            is_from_files: false,
            bytes_total: None,
            bytes: 0,
            rows: 0,
            rejected: 0,
            excluded: 0,
            started_at: DateTime::UNIX_EPOCH,
        };
        let (first, second) = (loads.begin(facts("a")), loads.begin(facts("b")));
        first.has_read(100);
        first.has_written(3);
        first.has_written(4);
        first.has_rejected(1);
        second.has_excluded(2);
        second.will_read(9);
        let expected = [
            LoadFacts { bytes: 100, rows: 7, rejected: 1, ..facts("a") },
            LoadFacts { excluded: 2, bytes_total: Some(9), ..facts("b") },
        ];
        assert_eq!(loads.facts(), expected);
        drop(first);
        assert_eq!(loads.facts().len(), 1);
    }
}
