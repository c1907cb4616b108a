//! All streams that one query sends from this datanode: who waits for what, and who is to be woken.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use arrow::array::RecordBatch;
use kestrel_proto::{DatanodeId, ErrorReport, MotionId, Result, message::MotionTraffic};
use parking_lot::Mutex;

use super::{
    ExchangeSettings,
    state::{Room, StreamState},
};

/// The streams of one query; senders and receivers share it.
pub(crate) struct QueryStreams {
    settings: Arc<ExchangeSettings>,
    state: Mutex<QueryState>,
}

#[derive(Default)]
struct QueryState {
    motions: HashMap<MotionId, MotionState>,
    queued_bytes: u64,
    /// Set once, when the query ends.
    ended: Option<ErrorReport>,
    /// Senders that wait until the query's queues are shorter.
    budget_waiters: Vec<Waker>,
}

#[derive(Default)]
struct MotionState {
    phase: Phase,
    streams: HashMap<DatanodeId, StreamEnds>,
}

/// ```text
///   Expected ──begin──> Running ──finish──> Finished
///        └────────────────┴──fail──> Failed
/// ```
#[derive(Default)]
enum Phase {
    /// A receiver has come first.
    #[default]
    Expected,
    Running,
    Finished,
    Failed(ErrorReport),
}

#[derive(Default)]
struct StreamEnds {
    state: StreamState,
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

/// What a receiver finds.
#[derive(Debug)]
pub(crate) enum Received {
    Batch(RecordBatch),
    End,
    Failed(ErrorReport),
    /// Nothing yet; the receiver will be woken. `begun`: the sending fragment is there.
    Nothing {
        begun: bool,
    },
}

impl QueryStreams {
    pub(crate) fn new(settings: Arc<ExchangeSettings>) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// Changes the state, then wakes whom the change concerns, with the lock released.
    fn change<T>(&self, change: impl FnOnce(&mut QueryState, &mut Vec<Waker>) -> T) -> T {
        let mut woken = Vec::new();
        let result = change(&mut self.state.lock(), &mut woken);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// The fragment that sends `motion` has arrived.
    pub(crate) fn begin(&self, motion: MotionId) -> Result<()> {
        self.change(|state, woken| {
            state.check()?;
            let motion_state = state.motions.entry(motion).or_default();
            if !matches!(motion_state.phase, Phase::Expected) {
                return Err(ErrorReport::internal(format!("motion {} is sent twice", motion.0)));
            }
            motion_state.phase = Phase::Running;
            motion_state.wake_readers(woken);
            Ok(())
        })
    }

    /// Takes the receiving end of a stream.
    pub(crate) fn open(&self, motion: MotionId, receiver: DatanodeId) -> Result<()> {
        let mut state = self.state.lock();
        state.check()?;
        if state.stream(motion, receiver).state.open() {
            return Ok(());
        }
        Err(ErrorReport::internal(format!("motion {} is received twice by {receiver}", motion.0)))
    }

    /// What there is for a receiver; if nothing, its task is woken when there is.
    pub(crate) fn receive(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        context: &Context<'_>,
    ) -> Received {
        self.change(|state, woken| {
            if let Some(ended) = &state.ended {
                return Received::Failed(ended.clone());
            }
            let motion_state = state.motions.entry(motion).or_default();
            if let Phase::Failed(report) = &motion_state.phase {
                return Received::Failed(report.clone());
            }
            let stream = motion_state.streams.entry(receiver).or_default();
            if let Some((batch, bytes)) = stream.state.pop() {
                woken.append(&mut stream.writers);
                state.queued_bytes -= bytes;
                woken.append(&mut state.budget_waiters);
                return Received::Batch(batch);
            }
            if matches!(motion_state.phase, Phase::Finished) {
                return Received::End;
            }
            stream.reader = Some(context.waker().clone());
            Received::Nothing { begun: !matches!(motion_state.phase, Phase::Expected) }
        })
    }

    /// The receiver wants no more.
    pub(crate) fn close(&self, motion: MotionId, receiver: DatanodeId) {
        self.change(|state, woken| {
            let stream = state.stream(motion, receiver);
            let freed = stream.state.close();
            stream.reader = None;
            woken.append(&mut stream.writers);
            state.queued_bytes -= freed;
            woken.append(&mut state.budget_waiters);
        });
    }

    /// Puts the batch into the stream, or has the task woken when there may be room.
    /// `Ready(Ok(false))`: nobody wants it.
    pub(crate) fn poll_send(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        batch: &mut Option<(RecordBatch, u64)>,
        context: &Context<'_>,
    ) -> Poll<Result<bool>> {
        self.change(|state, woken| {
            state.check()?;
            let budget_left = self.settings.query_budget_bytes.saturating_sub(state.queued_bytes);
            let motion_state = state.motions.entry(motion).or_default();
            if let Phase::Failed(report) = &motion_state.phase {
                return Poll::Ready(Err(report.clone()));
            }
            let Some((_, bytes)) = *batch else {
                return Poll::Ready(Err(ErrorReport::internal("a batch was sent twice")));
            };
            let stream = motion_state.streams.entry(receiver).or_default();
            match stream.state.room(bytes, self.settings.stream_credit_bytes, budget_left) {
                Room::Closed => return Poll::Ready(Ok(false)),
                Room::NoCredit => register(&mut stream.writers, context),
                Room::NoBudget => {
                    // Whichever is shorter first: its own queue or all of them.
                    register(&mut stream.writers, context);
                    register(&mut state.budget_waiters, context);
                }
                Room::Free => {
                    if let Some((batch, bytes)) = batch.take() {
                        stream.state.push(batch, bytes);
                        state.queued_bytes += bytes;
                        woken.extend(stream.reader.take());
                    }
                    return Poll::Ready(Ok(true));
                }
            }
            Poll::Pending
        })
    }

    /// No more will be sent.
    pub(crate) fn finish(&self, motion: MotionId) {
        self.change(|state, woken| {
            let motion = state.motions.entry(motion).or_default();
            if matches!(motion.phase, Phase::Running) {
                motion.phase = Phase::Finished;
                motion.wake_readers(woken);
            }
        });
    }

    /// The fragment is over. Unless it finished its motion, receivers get `report`.
    /// Returns whether it had finished.
    pub(crate) fn end_motion(&self, motion: MotionId, report: ErrorReport) -> bool {
        self.change(|state, woken| {
            let motion = state.motions.entry(motion).or_default();
            if matches!(motion.phase, Phase::Finished) {
                return true;
            }
            let mut freed = 0;
            if matches!(motion.phase, Phase::Expected | Phase::Running) {
                motion.phase = Phase::Failed(report);
                for stream in motion.streams.values_mut() {
                    freed += stream.state.clear();
                    woken.append(&mut stream.writers);
                }
                motion.wake_readers(woken);
            }
            state.queued_bytes -= freed;
            woken.append(&mut state.budget_waiters);
            false
        })
    }

    /// The query is over: everything is dropped, everybody is woken.
    pub(crate) fn end(&self, report: ErrorReport) {
        self.change(|state, woken| {
            state.ended.get_or_insert(report);
            state.queued_bytes = 0;
            woken.append(&mut state.budget_waiters);
            for (_, mut motion) in state.motions.drain() {
                motion.wake_readers(woken);
                woken.extend(motion.streams.into_values().flat_map(|stream| stream.writers));
            }
        });
    }

    /// What was sent in one motion, per receiver, in the receivers' order.
    pub(crate) fn traffic(&self, motion: MotionId, sender: DatanodeId) -> Vec<MotionTraffic> {
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
    pub(crate) fn live_streams(&self) -> u64 {
        let state = self.state.lock();
        let streams = state.motions.values().flat_map(|m| m.streams.values());
        streams.filter(|stream| !stream.state.is_closed()).count() as u64
    }

    /// No fragment has ever come, and no receiver waits any more.
    pub(crate) fn is_forsaken(&self) -> bool {
        let state = self.state.lock();
        state.motions.values().all(|motion| {
            matches!(motion.phase, Phase::Expected)
                && motion.streams.values().all(|stream| stream.state.is_closed())
        })
    }

    /// Bytes in all queues.
    #[cfg(test)]
    pub(crate) fn queued_bytes(&self) -> u64 {
        self.state.lock().queued_bytes
    }
}

impl QueryState {
    fn check(&self) -> Result<()> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    fn stream(&mut self, motion: MotionId, receiver: DatanodeId) -> &mut StreamEnds {
        self.motions.entry(motion).or_default().streams.entry(receiver).or_default()
    }
}

impl MotionState {
    fn wake_readers(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(self.streams.values_mut().filter_map(|stream| stream.reader.take()));
    }
}

impl fmt::Debug for QueryStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryStreams").finish_non_exhaustive()
    }
}

/// Adds the task unless it is there.
fn register(waiters: &mut Vec<Waker>, context: &Context<'_>) {
    if !waiters.iter().any(|waker| waker.will_wake(context.waker())) {
        waiters.push(context.waker().clone());
    }
}
