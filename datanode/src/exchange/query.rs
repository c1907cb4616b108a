//! All streams that one query sends from this datanode, and the memory that they share.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use kestrel_proto::{DatanodeId, ErrorReport, MotionId, Result, message::MotionTraffic};
use parking_lot::Mutex;

use super::{
    hub::Shared,
    motion::{Aftermath, MotionState, Phase, register},
    spill::{self, SpillFile, SpilledFrame},
    state::{Around, Queued, Room, Sent, StreamState, held_bytes},
};

/// The streams of one query; senders and receivers share it.
pub(super) struct QueryStreams {
    pub(super) shared: Arc<Shared>,
    /// For what is queued in memory. It changes with the state, under its lock.
    reservation: MemoryReservation,
    state: Mutex<QueryState>,
}

#[derive(Default)]
struct QueryState {
    motions: HashMap<MotionId, MotionState>,
    /// Set once, when the query ends.
    ended: Option<ErrorReport>,
    /// Senders that wait until the query's queues are shorter.
    budget_waiters: Vec<Waker>,
}

/// What has become of a batch.
#[derive(Debug)]
pub(super) enum Placed {
    Queued,
    /// Not placed: it must be written to this file, or to a new one.
    Spill(RecordBatch, Option<Arc<SpillFile>>),
    /// Nobody wants it.
    Unwanted,
}

/// What a receiver finds.
#[derive(Debug)]
pub(super) enum Received {
    Batch(RecordBatch),
    /// A batch that must be read first.
    Spilled(SpilledFrame),
    End,
    Failed(ErrorReport),
    /// Nothing yet; the receiver will be woken. `begun`: the sending fragment is there.
    Nothing {
        begun: bool,
    },
}

impl QueryStreams {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let reservation = MemoryConsumer::new("Exchange").register(&shared.resources.memory_pool);
        Self { shared, reservation, state: Mutex::default() }
    }

    /// Changes the state; what follows from that is done with the lock released.
    fn change<T>(&self, change: impl FnOnce(&mut QueryState, &mut Aftermath) -> T) -> T {
        let mut after = Aftermath::default();
        let result = change(&mut self.state.lock(), &mut after);
        after.settle();
        result
    }

    /// The fragment that sends `motion` has arrived.
    pub(super) fn begin(&self, motion: MotionId) -> Result<()> {
        self.change(|state, after| {
            let motion_state = state.motion(motion)?;
            if !matches!(motion_state.phase, Phase::Expected) {
                return Err(ErrorReport::internal(format!("motion {} is sent twice", motion.0)));
            }
            motion_state.phase = Phase::Running;
            motion_state.wake_readers(after);
            Ok(())
        })
    }

    /// Takes the receiving end of a stream.
    pub(super) fn open(&self, motion: MotionId, receiver: DatanodeId) -> Result<()> {
        if self.change(|state, after| Ok(state.motion(motion)?.open(receiver, after)))? {
            return Ok(());
        }
        Err(ErrorReport::internal(format!("motion {} is received twice by {receiver}", motion.0)))
    }

    /// What there is for a receiver; if nothing, its task is woken when there is.
    pub(super) fn receive(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        context: &Context<'_>,
    ) -> Received {
        self.change(|state, after| {
            let motion_state = match state.unfailed(motion) {
                Ok(motion_state) => motion_state,
                Err(report) => return Received::Failed(report),
            };
            match motion_state.pop(receiver, after) {
                Some(Queued::Held { batch, held_bytes }) => {
                    self.release(held_bytes);
                    after.wake(&mut state.budget_waiters);
                    Received::Batch(batch)
                }
                Some(Queued::Spilled(frame)) => Received::Spilled(frame),
                None if matches!(motion_state.phase, Phase::Finished) => Received::End,
                None => {
                    motion_state.stream(receiver).wait_for_rows(context);
                    Received::Nothing { begun: !matches!(motion_state.phase, Phase::Expected) }
                }
            }
        })
    }

    /// The receiver wants no more.
    pub(super) fn close(&self, motion: MotionId, receiver: DatanodeId) {
        self.change(|state, after| {
            // Nothing is left of an ended query.
            if let Ok(motion_state) = state.motion(motion) {
                self.release(motion_state.stream(receiver).close(after));
                after.wake(&mut state.budget_waiters);
            }
        });
    }

    /// Finds a place for a batch and its bytes, or has the task woken when there may be one.
    pub(super) fn poll_send(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        outgoing: &mut Option<(RecordBatch, u64)>,
        context: &Context<'_>,
    ) -> Poll<Result<Placed>> {
        self.change(|state, after| {
            let motion_state = state.unfailed(motion)?;
            let Some((batch, bytes)) = outgoing.take() else {
                return Poll::Ready(Err(ErrorReport::internal("a batch was sent twice")));
            };
            // Not itself: what is empty has room anyway.
            let sibling_starves = motion_state.starves();
            let stream = motion_state.stream(receiver);
            let room = self.reserve(&stream.state, held_bytes(bytes), sibling_starves);
            match room {
                Room::Always | Room::Free => {
                    stream.push(batch, bytes, after);
                    Poll::Ready(Ok(Placed::Queued))
                }
                Room::Spill => Poll::Ready(Ok(Placed::Spill(batch, stream.state.spill_file()))),
                Room::Closed => Poll::Ready(Ok(Placed::Unwanted)),
                Room::NoCredit | Room::NoBudget => {
                    *outgoing = Some((batch, bytes));
                    stream.wait_for_room(context);
                    if room == Room::NoBudget {
                        register(&mut state.budget_waiters, context);
                    }
                    Poll::Pending
                }
            }
        })
    }

    /// Where a batch goes; if that is memory, it is reserved.
    fn reserve(&self, stream: &StreamState, bytes: u64, sibling_starves: bool) -> Room {
        let settings = &self.shared.settings;
        let around = Around {
            credit_bytes: settings.stream_credit_bytes,
            budget_left_bytes: settings.query_budget_bytes.saturating_sub(self.queued_bytes()),
            sibling_starves,
        };
        match stream.room(bytes, around) {
            Room::Always => {
                self.reservation.grow(bytes as usize);
                Room::Always
            }
            // What the pool does not have is no budget either.
            Room::Free if self.reservation.try_grow(bytes as usize).is_err() => {
                stream.room(bytes, Around { budget_left_bytes: 0, ..around })
            }
            room => room,
        }
    }

    fn release(&self, bytes: u64) {
        // It holds what is queued, and so cannot be too small.
        let _ = self.reservation.try_shrink(bytes as usize);
    }

    /// Queues a batch that was written to a file. `false`: nobody wants it any more.
    pub(super) fn push_spilled(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        mut frames: Vec<SpilledFrame>,
        sent: Sent,
    ) -> Result<bool> {
        let wanted = self.change(|state, after| {
            let stream = state.unfailed(motion)?.stream(receiver);
            let wanted = !stream.state.is_closed();
            if wanted {
                stream.push_spilled(&mut frames, sent, after);
            }
            Ok(wanted)
        });
        spill::discard(frames.into_iter().map(Queued::Spilled).collect());
        wanted
    }

    /// No more will be sent.
    pub(super) fn finish(&self, motion: MotionId) {
        self.change(|state, after| {
            if let Ok(motion_state) = state.motion(motion)
                && matches!(motion_state.phase, Phase::Running)
            {
                motion_state.phase = Phase::Finished;
                motion_state.wake_readers(after);
            }
        });
    }

    /// The fragment is over. Unless it finished its motion, receivers get `report`.
    /// Returns whether it had finished.
    pub(super) fn end_motion(&self, motion: MotionId, report: ErrorReport) -> bool {
        self.change(|state, after| {
            let Ok(motion_state) = state.motion(motion) else { return false };
            match motion_state.phase {
                Phase::Finished => return true,
                Phase::Failed(_) => return false,
                Phase::Expected | Phase::Running => {}
            }
            motion_state.phase = Phase::Failed(report);
            self.release(motion_state.clear(after));
            after.wake(&mut state.budget_waiters);
            false
        })
    }

    /// The query is over: everything is dropped, everybody is woken.
    pub(super) fn end(&self, report: ErrorReport) {
        self.change(|state, after| {
            state.ended.get_or_insert(report);
            for mut motion in std::mem::take(&mut state.motions).into_values() {
                self.release(motion.clear(after));
            }
            after.wake(&mut state.budget_waiters);
        });
    }

    /// What was sent in one motion, per receiver, in the receivers' order.
    pub(super) fn traffic(&self, motion: MotionId, sender: DatanodeId) -> Vec<MotionTraffic> {
        let state = self.state.lock();
        let streams = state.motions.get(&motion).into_iter().flat_map(|m| &m.streams);
        let mut traffic: Vec<_> = streams
            .map(|(receiver, stream)| MotionTraffic {
                motion: motion.0,
                sender: sender.0,
                receiver: receiver.0,
                rows: stream.state.sent().rows,
                bytes: stream.state.sent().bytes,
            })
            .collect();
        traffic.sort_by_key(|t| t.receiver);
        traffic
    }

    /// Streams whose receivers are not done.
    pub(super) fn live_streams(&self) -> u64 {
        let state = self.state.lock();
        let streams = state.motions.values().flat_map(|m| m.streams.values());
        streams.filter(|stream| !stream.state.is_closed()).count() as u64
    }

    /// No fragment has ever come, and no receiver waits any more.
    pub(super) fn is_forsaken(&self) -> bool {
        let state = self.state.lock();
        state.motions.values().all(|motion| {
            matches!(motion.phase, Phase::Expected)
                && motion.streams.values().all(|stream| stream.state.is_closed())
        })
    }

    /// Bytes of what is queued in memory.
    pub(super) fn queued_bytes(&self) -> u64 {
        self.reservation.size() as u64
    }
}

impl QueryState {
    /// The motion, unless the query has ended.
    fn motion(&mut self, motion: MotionId) -> Result<&mut MotionState> {
        match &self.ended {
            Some(report) => Err(report.clone()),
            None => Ok(self.motions.entry(motion).or_default()),
        }
    }

    /// The motion, unless it has failed or the query has ended.
    fn unfailed(&mut self, motion: MotionId) -> Result<&mut MotionState> {
        let motion_state = self.motion(motion)?;
        match &motion_state.phase {
            Phase::Failed(report) => Err(report.clone()),
            Phase::Expected | Phase::Running | Phase::Finished => Ok(motion_state),
        }
    }
}

impl fmt::Debug for QueryStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryStreams").finish_non_exhaustive()
    }
}
