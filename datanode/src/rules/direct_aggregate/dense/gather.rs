//! Where the execution partitions of an aggregate lay their places together.

use std::{collections::HashSet, sync::Arc};

use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::Mutex;

use super::places::Places;

/// The places of one execution partition or of several, and their memory.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) places: Places,
    /// Goes when the places do.
    _memory: MemoryReservation,
}

impl Held {
    pub(super) fn new(places: Places, memory: MemoryReservation) -> Self {
        Self { places, _memory: memory }
    }
}

/// One run of an aggregate by all its execution partitions. None waits for another: who is done leaves
/// what it has, and the last one takes it all.
#[derive(Debug)]
pub(in crate::rules::direct_aggregate) struct Gather(Mutex<Left>);

#[derive(Debug)]
struct Left {
    /// Execution partitions that are not done.
    running: usize,
    held: Option<Held>,
}

impl Gather {
    fn new(partitions: usize) -> Self {
        Self(Mutex::new(Left { running: partitions, held: None }))
    }

    /// An execution partition is done, and leaves what it has, if it has anything. The last one gets
    /// what all have together.
    pub(super) fn leave(&self, mut own: Option<Held>) -> Option<Held> {
        while let Some(other) = self.leave_unless_held(&mut own)? {
            // Others go on meanwhile.
            match &mut own {
                Some(own) => own.places.merge(other.places),
                None => own = Some(other),
            }
        }
        own
    }

    /// `None`: it has been left. `Some(None)`: this was the last execution partition. Otherwise what
    /// another has left, which must be merged before.
    fn leave_unless_held(&self, own: &mut Option<Held>) -> Option<Option<Held>> {
        let mut left = self.0.lock();
        if let Some(other) = left.held.take() {
            return Some(Some(other));
        }
        left.running = left.running.saturating_sub(1);
        if left.running == 0 {
            return Some(None);
        }
        left.held = own.take();
        None
    }
}

/// The run that is under way. An aggregate whose partition is opened again is run again from its
/// start.
#[derive(Debug)]
pub(in crate::rules::direct_aggregate) struct Rounds {
    partitions: usize,
    current: Mutex<(Arc<Gather>, HashSet<usize>)>,
}

impl Rounds {
    /// Of an aggregate with so many execution partitions.
    pub(in crate::rules::direct_aggregate) fn new(partitions: usize) -> Self {
        let current = Mutex::new((Arc::new(Gather::new(partitions)), HashSet::new()));
        Self { partitions, current }
    }

    /// The run that an execution partition belongs to.
    pub(in crate::rules::direct_aggregate) fn open(&self, partition: usize) -> Arc<Gather> {
        let mut current = self.current.lock();
        let (gather, opened) = &mut *current;
        if !opened.insert(partition) {
            *gather = Arc::new(Gather::new(self.partitions));
            opened.clear();
            opened.insert(partition);
        }
        Arc::clone(gather)
    }
}
