//! The streams of one motion on one datanode: one sender, any number of receivers.

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Waker},
};

use arrow::array::RecordBatch;
use kestrel_proto::{DatanodeId, ErrorReport};

use super::{
    spill::{self, SpilledFrame},
    state::{Queued, Sent, StreamState},
};

/// A motion, as its senders and receivers change it.
#[derive(Default)]
pub(super) struct MotionState {
    pub(super) phase: Phase,
    pub(super) streams: HashMap<DatanodeId, StreamEnds>,
}

/// ```text
///   Expected ──begin──> Running ──finish──> Finished
///        └────────────────┴──fail──> Failed
/// ```
#[derive(Default)]
pub(super) enum Phase {
    /// A receiver has come first.
    #[default]
    Expected,
    Running,
    Finished,
    Failed(ErrorReport),
}

/// A stream, and who waits at its ends.
#[derive(Default)]
pub(super) struct StreamEnds {
    pub(super) state: StreamState,
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

/// What a change leaves to be done without the lock.
#[derive(Default)]
pub(super) struct Aftermath {
    woken: Vec<Waker>,
    discarded: Vec<Queued>,
}

impl MotionState {
    /// The stream to a receiver.
    pub(super) fn stream(&mut self, receiver: DatanodeId) -> &mut StreamEnds {
        self.streams.entry(receiver).or_default()
    }

    /// A receiver has nothing, and the sender must not wait for another one. Those that nobody has
    /// sent to nor opened are not known; none of them waits.
    pub(super) fn starves(&self) -> bool {
        self.streams.values().any(|stream| stream.state.starves())
    }

    /// Takes the receiving end of a stream; `false` when somebody has taken it before.
    pub(super) fn open(&mut self, receiver: DatanodeId, after: &mut Aftermath) -> bool {
        let stream = self.stream(receiver);
        let opened = stream.state.open();
        if stream.state.starves() {
            self.wake_writers(after);
        }
        opened
    }

    /// The next batch for a receiver.
    pub(super) fn pop(&mut self, receiver: DatanodeId, after: &mut Aftermath) -> Option<Queued> {
        let stream = self.stream(receiver);
        let next = stream.state.pop()?;
        if stream.state.starves() {
            // The sender need no longer wait for any of the others.
            self.wake_writers(after);
        } else {
            after.wake(&mut stream.writers);
        }
        Some(next)
    }

    /// Drops what is queued everywhere, wakes everybody; the bytes that are free again.
    pub(super) fn clear(&mut self, after: &mut Aftermath) -> u64 {
        self.wake_readers(after);
        self.wake_writers(after);
        let freed = self.streams.values_mut().map(|stream| after.discard(stream.state.clear()));
        freed.sum()
    }

    /// Wakes the receivers that wait.
    pub(super) fn wake_readers(&mut self, after: &mut Aftermath) {
        after.woken.extend(self.streams.values_mut().filter_map(|stream| stream.reader.take()));
    }

    fn wake_writers(&mut self, after: &mut Aftermath) {
        self.streams.values_mut().for_each(|stream| after.wake(&mut stream.writers));
    }
}

impl StreamEnds {
    /// Queues a batch in memory.
    pub(super) fn push(&mut self, batch: RecordBatch, bytes: u64, after: &mut Aftermath) {
        self.state.push(batch, bytes);
        after.woken.extend(self.reader.take());
    }

    /// Queues a batch that is in a file.
    pub(super) fn push_spilled(
        &mut self,
        frames: &mut Vec<SpilledFrame>,
        sent: Sent,
        after: &mut Aftermath,
    ) {
        self.state.push_spilled(frames, sent);
        after.woken.extend(self.reader.take());
    }

    /// The receiver wants no more; the bytes that are free again.
    pub(super) fn close(&mut self, after: &mut Aftermath) -> u64 {
        self.reader = None;
        after.wake(&mut self.writers);
        after.discard(self.state.close())
    }

    /// The receiver's task is woken when there is something.
    pub(super) fn wait_for_rows(&mut self, context: &Context<'_>) {
        self.reader = Some(context.waker().clone());
    }

    /// The sender's task is woken when there may be room.
    pub(super) fn wait_for_room(&mut self, context: &Context<'_>) {
        register(&mut self.writers, context);
    }
}

impl Aftermath {
    /// Wakes the tasks.
    pub(super) fn wake(&mut self, waiters: &mut Vec<Waker>) {
        self.woken.append(waiters);
    }

    /// Drops what was queued.
    fn discard(&mut self, (queued, freed_bytes): (VecDeque<Queued>, u64)) -> u64 {
        self.discarded.extend(queued);
        freed_bytes
    }

    /// Does it.
    pub(super) fn settle(self) {
        self.woken.into_iter().for_each(Waker::wake);
        spill::discard(self.discarded);
    }
}

/// Adds the task unless it is there.
pub(super) fn register(waiters: &mut Vec<Waker>, context: &Context<'_>) {
    if !waiters.iter().any(|waker| waker.will_wake(context.waker())) {
        waiters.push(context.waker().clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::RecordBatchOptions;
    use arrow::datatypes::Schema;

    use super::*;

    fn batch() -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()
    }

    /// What happens to the receivers: `o`pen, `s`end, `r`eceive, `c`lose.
    fn play(happens: &str, motion: &mut MotionState, after: &mut Aftermath) {
        for step in happens.split_whitespace() {
            let (what, receiver) = step.split_at(1);
            let receiver = DatanodeId(receiver.parse().unwrap());
            match what {
                "o" => assert!(motion.open(receiver, after)),
                "s" => motion.stream(receiver).push(batch(), 8, after),
                "r" => assert!(motion.pop(receiver, after).is_some()),
                _ => assert!(motion.stream(receiver).close(after) < 1_000),
            }
        }
    }

    #[test]
    fn a_motion_starves_while_a_receiver_that_is_known_finds_nothing() {
        for (happens, starves) in [
            ("", false),
            ("s1", false),
            ("o1", true),
            ("o1 s1", false),
            ("s1 o1", false),
            ("s1 o2", true),
            ("s1 o2 s2", false),
            ("s1 s2 r2", true),
            ("s1 s2 s2 r2", false),
            ("s1 o2 c2", false),
            ("s1 c2", false),
            ("s1 s2 c2", false),
            ("s1 s2 c1 r2", true),
            ("o1 o2 c1 c2", false),
        ] {
            let (mut motion, mut after) = (MotionState::default(), Aftermath::default());
            play(happens, &mut motion, &mut after);
            assert_eq!(motion.starves(), starves, "{happens}");
        }
    }

    /// A sender waits for receiver 1, who has batches; what wakes it?
    #[test]
    fn a_sender_is_woken_by_room_and_by_hunger() {
        for (happens, woken) in [
            ("r1", true),
            ("r2", false),
            ("r2 r2", true),
            ("s3", false),
            ("o3", true),
            ("c1", true),
            ("c2", false),
        ] {
            let (mut motion, mut after) = (MotionState::default(), Aftermath::default());
            play("o1 o2 s1 s1 s2 s2", &mut motion, &mut after);
            motion.stream(DatanodeId(1)).wait_for_room(&Context::from_waker(Waker::noop()));
            play(happens, &mut motion, &mut after);
            assert_eq!(!after.woken.is_empty(), woken, "{happens}");
        }
    }
}
