//! One stream's queue, and whether it takes a batch. Pure: no task, no clock, no lock, no file.

use std::{collections::VecDeque, sync::Arc};

use arrow::array::RecordBatch;

use super::spill::{SpillFile, SpilledFrame};

/// A stream between one sender and one receiver.
///
/// ```text
///   fresh ──open──> open ──close──> closed          (a stream may be closed before it was opened)
/// ```
///
/// While the last batch is in a file, the next one goes there, too: it will be read after those
/// before it, and would hold its memory for as long.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    queue: VecDeque<Queued>,
    /// Of the batches in memory.
    held_bytes: u64,
    opened: bool,
    closed: bool,
    sent: Sent,
}

/// What waits for a receiver.
#[derive(Debug)]
pub(super) enum Queued {
    /// In memory.
    Held { batch: RecordBatch, held_bytes: u64 },
    /// In a file.
    Spilled(SpilledFrame),
}

/// What a sender has put into a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Into memory, whatever the budget: nothing is queued.
    Always,
    /// Into memory, if the memory can be had.
    Free,
    /// Nowhere, until its own queue is shorter, or another receiver of the motion starves.
    NoCredit,
    /// Nowhere, until the query's queues are shorter, or another receiver of the motion starves.
    NoBudget,
    /// Into a file: the sender must go on, and there is no memory.
    Spill,
    /// Nobody wants it.
    Closed,
}

/// What the decision about a batch depends on, beside its own stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) credit_bytes: u64,
    pub(super) budget_left_bytes: u64,
    /// Another receiver of the motion waits for this sender, or would if it looked.
    pub(super) sibling_starves: bool,
}

/// The bytes that a batch counts for in a queue. A batch without columns has none of its own, and
/// without end there may be of them.
pub(super) fn held_bytes(batch_bytes: u64) -> u64 {
    batch_bytes.max(size_of::<Queued>() as u64)
}

impl StreamState {
    /// Where a batch that counts for `bytes` goes now.
    ///
    /// ```text
    ///                                         no sibling starves   a sibling starves
    ///   the queue is empty                    Always               Always
    ///   beyond the credit, within the budget  NoCredit             Free
    ///   within the credit, beyond the budget  NoBudget             Spill
    ///   beyond both                           NoCredit             Spill
    ///   the last batch is in a file           NoCredit             Spill
    ///   else                                  Free                 Free
    /// ```
    ///
    /// An empty queue always has room: a receiver that merges needs a batch of every sender, and a
    /// batch may be larger than any credit. Why a sender must not wait while a sibling starves is
    /// told in [`super`].
    pub(super) fn room(&self, bytes: u64, around: Around) -> Room {
        if self.closed {
            return Room::Closed;
        }
        let Some(last) = self.queue.back() else {
            return Room::Always;
        };
        let spilled = matches!(last, Queued::Spilled(_));
        let no_credit = self.held_bytes.saturating_add(bytes) > around.credit_bytes;
        let no_budget = bytes > around.budget_left_bytes;
        if around.sibling_starves {
            if spilled || no_budget { Room::Spill } else { Room::Free }
        } else if spilled || no_credit {
            Room::NoCredit
        } else if no_budget {
            Room::NoBudget
        } else {
            Room::Free
        }
    }

    /// The receiver would find nothing, and something may still come.
    pub(super) fn starves(&self) -> bool {
        !self.closed && self.queue.is_empty()
    }

    /// Queues a batch in memory.
    pub(super) fn push(&mut self, batch: RecordBatch, bytes: u64) {
        self.count(Sent { rows: batch.num_rows() as u64, bytes });
        let held_bytes = held_bytes(bytes);
        self.held_bytes += held_bytes;
        self.queue.push_back(Queued::Held { batch, held_bytes });
    }

    /// Queues a batch in files.
    pub(super) fn push_spilled(&mut self, frames: &mut Vec<SpilledFrame>, sent: Sent) {
        self.count(sent);
        self.queue.extend(frames.drain(..).map(Queued::Spilled));
    }

    fn count(&mut self, sent: Sent) {
        self.sent.rows += sent.rows;
        self.sent.bytes += sent.bytes;
    }

    /// The file that the next spilled batch goes to, if there is one.
    pub(super) fn spill_file(&self) -> Option<Arc<SpillFile>> {
        match self.queue.back()? {
            Queued::Held { .. } => None,
            Queued::Spilled(frame) => Some(Arc::clone(frame.file())),
        }
    }

    /// The next batch; its bytes are free again.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let next = self.queue.pop_front()?;
        if let Queued::Held { held_bytes, .. } = &next {
            self.held_bytes -= held_bytes;
        }
        Some(next)
    }

    /// Takes the receiving end; `false` when somebody has taken it before.
    pub(super) fn open(&mut self) -> bool {
        !self.closed && !std::mem::replace(&mut self.opened, true)
    }

    /// Refuses more; returns what was queued, and the bytes that are free again.
    pub(super) fn close(&mut self) -> (VecDeque<Queued>, u64) {
        self.closed = true;
        self.clear()
    }

    /// Returns what was queued, and the bytes that are free again.
    pub(super) fn clear(&mut self) -> (VecDeque<Queued>, u64) {
        (std::mem::take(&mut self.queue), std::mem::take(&mut self.held_bytes))
    }

    /// The receiver is done with it.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What was ever sent.
    pub(super) fn sent(&self) -> Sent {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};

    use super::{
        super::{ExchangeSettings, hub::Shared, spill},
        *,
    };

    fn batch(rows: usize) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![7; rows]));
        RecordBatch::try_from_iter([("c", column)]).unwrap()
    }

    async fn spilled() -> Vec<SpilledFrame> {
        let shared = Shared::new(ExchangeSettings::default(), Arc::default());
        spill::write(Arc::new(shared), None, batch(1)).await.unwrap()
    }

    /// (queued sizes, new size, credit, budget left, room, room when a sibling starves)
    #[test]
    fn a_batch_goes_where_credit_budget_and_siblings_let_it() {
        use Room::{Always, Free, NoBudget, NoCredit, Spill};
        type Case = (&'static [u64], u64, u64, u64, Room, Room);
        let cases: &[Case] = &[
            (&[], 1_000_000, 100, 0, Always, Always),
            (&[400], 600, 1_000, 600, Free, Free),
            (&[400, 100], 500, 1_000, 500, Free, Free),
            (&[400], 601, 1_000, 601, NoCredit, Free),
            (&[2_000], 100, 1_000, 100, NoCredit, Free),
            (&[400], 600, 1_000, 599, NoBudget, Spill),
            (&[400], 601, 1_000, 600, NoCredit, Spill),
            (&[100], 100, 100, 0, NoCredit, Spill),
            (&[100], u64::MAX, u64::MAX - 1, u64::MAX, NoCredit, Free),
        ];
        for &(queued, bytes, credit_bytes, budget_left_bytes, room, starved) in cases {
            let mut stream = StreamState::default();
            queued.iter().for_each(|bytes| stream.push(batch(1), *bytes));
            for (sibling_starves, expected) in [(false, room), (true, starved)] {
                let around = Around { credit_bytes, budget_left_bytes, sibling_starves };
                assert_eq!(
                    stream.room(bytes, around),
                    expected,
                    "{queued:?} + {bytes}, {around:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn what_comes_after_a_spilled_batch_is_spilled_until_it_was_read() {
        let rich = |sibling_starves| Around {
            credit_bytes: u64::MAX,
            budget_left_bytes: u64::MAX,
            sibling_starves,
        };
        let sent = Sent { rows: 1, bytes: 4 };
        let mut stream = StreamState::default();
        stream.push(batch(1), 100);
        assert!(stream.spill_file().is_none());
        stream.push_spilled(&mut spilled().await, sent);
        assert!(stream.spill_file().is_some());
        for _ in 0..2 {
            let rooms = [false, true].map(|starves| stream.room(100, rich(starves)));
            assert_eq!(rooms, [Room::NoCredit, Room::Spill]);
            assert!(stream.pop().is_some());
        }
        assert!(stream.spill_file().is_none());
        assert_eq!(stream.room(100, rich(false)), Room::Always);
        stream.push(batch(1), 100);
        assert_eq!(stream.room(100, rich(false)), Room::Free);
        assert_eq!(stream.sent(), Sent { rows: 3, bytes: 204 });
    }

    #[tokio::test]
    async fn bytes_come_back_when_batches_go() {
        let mut stream = StreamState::default();
        assert!(stream.open());
        assert!(!stream.open(), "a stream has one receiver");
        [100, 200, 300].iter().for_each(|bytes| stream.push(batch(1), *bytes));
        stream.push_spilled(&mut spilled().await, Sent { rows: 1, bytes: 400 });
        assert!(matches!(stream.pop(), Some(Queued::Held { held_bytes: 100, .. })));
        let (queued, freed) = stream.close();
        assert_eq!((queued.len(), freed), (3, 500));
        let around =
            Around { credit_bytes: 1_000, budget_left_bytes: 1_000, sibling_starves: true };
        assert_eq!(stream.room(1, around), Room::Closed);
        assert!(stream.pop().is_none());
        assert_eq!(stream.close().1, 0);
        assert_eq!(stream.sent(), Sent { rows: 4, bytes: 1_000 });
    }

    #[test]
    fn batches_without_bytes_fill_a_queue_too() {
        let mut stream = StreamState::default();
        stream.push(batch(0), 0);
        let around = Around {
            credit_bytes: 2 * held_bytes(0) - 1,
            budget_left_bytes: u64::MAX,
            sibling_starves: false,
        };
        assert_eq!(stream.room(held_bytes(0), around), Room::NoCredit);
    }

    #[test]
    fn a_stream_closed_before_it_was_opened_stays_closed() {
        let mut stream = StreamState::default();
        stream.close();
        assert!(!stream.open());
    }
}
