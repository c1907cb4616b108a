//! One stream's accounting. Pure: no task, no clock, no lock.

use std::collections::VecDeque;

use arrow::array::RecordBatch;

/// A stream between one sender and one receiver.
///
/// ```text
///   fresh ──open──> open ──close──> closed          (a stream may be closed before it was opened)
/// ```
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    queue: VecDeque<(RecordBatch, u64)>,
    queued_bytes: u64,
    opened: bool,
    closed: bool,
    sent: Sent,
}

/// What a sender has put into a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Whether a stream can take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It can.
    Free,
    /// Its own queue is full.
    NoCredit,
    /// The query's queues are full together.
    NoBudget,
    /// Nobody wants it.
    Closed,
}

impl StreamState {
    /// Whether a batch of `bytes` may be pushed now. An empty queue always has room: a receiver
    /// that merges needs a batch of every sender, and a batch may be larger than any credit.
    pub(crate) fn room(&self, bytes: u64, credit: u64, budget_left: u64) -> Room {
        if self.closed {
            Room::Closed
        } else if self.queue.is_empty() {
            Room::Free
        } else if self.queued_bytes.saturating_add(bytes) > credit {
            Room::NoCredit
        } else if bytes > budget_left {
            Room::NoBudget
        } else {
            Room::Free
        }
    }

    /// Queues a batch.
    pub(crate) fn push(&mut self, batch: RecordBatch, bytes: u64) {
        self.sent.rows += batch.num_rows() as u64;
        self.sent.bytes += bytes;
        self.queued_bytes += bytes;
        self.queue.push_back((batch, bytes));
    }

    /// The next batch and its bytes, which are free again.
    pub(crate) fn pop(&mut self) -> Option<(RecordBatch, u64)> {
        let (batch, bytes) = self.queue.pop_front()?;
        self.queued_bytes -= bytes;
        Some((batch, bytes))
    }

    /// Takes the receiving end; `false` when somebody has taken it before.
    pub(crate) fn open(&mut self) -> bool {
        !self.closed && !std::mem::replace(&mut self.opened, true)
    }

    /// Drops what is queued and refuses more; the bytes that are free again.
    pub(crate) fn close(&mut self) -> u64 {
        self.closed = true;
        self.clear()
    }

    /// Drops what is queued; the bytes that are free again.
    pub(crate) fn clear(&mut self) -> u64 {
        self.queue.clear();
        std::mem::take(&mut self.queued_bytes)
    }

    /// The receiver is done with it.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What was ever pushed.
    pub(crate) fn sent(&self) -> Sent {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};

    use super::*;

    fn batch(rows: usize) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![7; rows]));
        RecordBatch::try_from_iter([("c", column)]).unwrap()
    }

    /// (queued sizes, new size, credit, budget left, room)
    #[test]
    fn room_is_credit_and_budget_but_one_batch_always() {
        let cases: &[(&[u64], u64, u64, u64, Room)] = &[
            (&[], 1_000_000, 1, 0, Room::Free),
            (&[1], 1, 1, 1_000, Room::NoCredit),
            (&[400], 600, 1_000, 1_000, Room::Free),
            (&[400], 601, 1_000, 1_000, Room::NoCredit),
            (&[400], 600, 1_000, 599, Room::NoBudget),
            (&[400], 600, 1_000, 600, Room::Free),
            (&[2_000], 1, 1_000, 1_000, Room::NoCredit),
            (&[1], u64::MAX, u64::MAX - 1, u64::MAX, Room::NoCredit),
        ];
        for (queued, bytes, credit, budget_left, expected) in cases {
            let mut stream = StreamState::default();
            for bytes in *queued {
                stream.push(batch(1), *bytes);
            }
            assert_eq!(
                stream.room(*bytes, *credit, *budget_left),
                *expected,
                "{queued:?} + {bytes}"
            );
        }
    }

    #[test]
    fn bytes_come_back_when_batches_go() {
        let mut stream = StreamState::default();
        assert!(stream.open());
        assert!(!stream.open(), "a stream has one receiver");
        for bytes in [10, 20, 30] {
            stream.push(batch(bytes as usize), bytes);
        }
        assert_eq!(stream.pop().map(|(b, bytes)| (b.num_rows(), bytes)), Some((10, 10)));
        assert_eq!(stream.close(), 50);
        assert_eq!(stream.room(1, u64::MAX, u64::MAX), Room::Closed);
        assert!(stream.pop().is_none());
        assert_eq!(stream.close(), 0);
        assert_eq!(stream.sent(), Sent { rows: 60, bytes: 60 });
    }

    #[test]
    fn a_stream_closed_before_it_was_opened_stays_closed() {
        let mut stream = StreamState::default();
        stream.close();
        assert!(!stream.open());
    }
}
