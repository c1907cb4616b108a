//! Where senders and receivers of one datanode's motions meet.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::poll_fn,
    sync::Arc,
    task::Context,
};

use arrow::array::RecordBatch;
use datafusion::execution::runtime_env::RuntimeEnv;
use kestrel_proto::{
    BatchStream, DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result, SqlState,
    batch_bytes, message::MotionTraffic,
};
use parking_lot::Mutex;

use super::{
    ExchangeCounters, ExchangeSettings,
    counters::SpillCounters,
    query::{Placed, QueryStreams},
    receiver::Receiver,
    spill,
    state::Sent,
};

/// All streams that fragments on one datanode send.
#[derive(Clone, Debug)]
pub struct ExchangeHub {
    state: Arc<HubState>,
}

/// What the hub, its senders and its receivers share.
#[derive(Debug)]
pub(super) struct HubState {
    datanode: DatanodeId,
    shared: Arc<Shared>,
    queries: Mutex<Queries>,
}

/// What all streams share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: ExchangeSettings,
    pub(super) resources: Arc<RuntimeEnv>,
    pub(super) spilled: SpillCounters,
}

#[derive(Debug, Default)]
struct Queries {
    live: HashMap<QueryId, Arc<QueryStreams>>,
    /// The newest ended queries, oldest first.
    ended: VecDeque<QueryId>,
    ended_set: HashSet<QueryId>,
}

/// The sending end of one motion: of one fragment.
#[derive(Debug)]
pub struct MotionSender {
    pub(super) streams: Arc<QueryStreams>,
    motion: MotionId,
    datanode: DatanodeId,
}

impl ExchangeHub {
    /// A hub without streams. `resources` are where it takes memory from, and spills to.
    pub fn new(
        datanode: DatanodeId,
        settings: ExchangeSettings,
        resources: Arc<RuntimeEnv>,
    ) -> Self {
        let shared = Arc::new(Shared::new(settings, resources));
        Self { state: Arc::new(HubState { datanode, shared, queries: Mutex::default() }) }
    }

    /// Whose it is.
    pub fn datanode(&self) -> DatanodeId {
        self.state.datanode
    }

    /// Its bounds.
    pub fn settings(&self) -> &ExchangeSettings {
        self.state.settings()
    }

    /// The receiving end of a stream whose sender is, or will be, a fragment here.
    ///
    /// # Errors
    /// 57014 when the query has ended; XX000 when the stream has a receiver, or another sender.
    /// The stream ends with the error of the fragment that sends it; with 58K01 when no fragment
    /// comes within [`ExchangeSettings::open_wait`].
    pub fn open(&self, request: ExchangeRequest) -> Result<BatchStream> {
        if request.sender != self.state.datanode {
            return Err(ErrorReport::internal(format!(
                "{} was asked for rows that {} sends",
                self.state.datanode, request.sender
            )));
        }
        let streams =
            self.state.enter(request.query, |s| s.open(request.motion, request.receiver))?;
        Ok(Box::pin(Receiver::new(Arc::clone(&self.state), streams, request)))
    }

    /// The sending end of `motion`; receivers that wait for it go on.
    ///
    /// # Errors
    /// 57014 when the query has ended; XX000 when the motion has a sender here.
    pub fn begin(&self, query: QueryId, motion: MotionId) -> Result<MotionSender> {
        let streams = self.state.enter(query, |streams| streams.begin(motion))?;
        Ok(MotionSender { streams, motion, datanode: self.state.datanode })
    }

    /// Drops all streams of a query; who waits for them gets 57014, and so does who comes later.
    pub fn end_query(&self, query: QueryId) {
        let mut queries = self.state.queries.lock();
        let live = queries.live.remove(&query);
        queries.remember(query, self.state.shared.settings.remembered_queries);
        drop(queries);
        if let Some(streams) = live {
            streams.end(query_ended());
        }
    }

    /// Ends every query, as [`Self::end_query`] does.
    pub fn end_all(&self) {
        let live: Vec<_> = self.state.queries.lock().live.keys().copied().collect();
        live.into_iter().for_each(|query| self.end_query(query));
    }

    /// Streams whose receivers are not done.
    pub fn streams(&self) -> u64 {
        self.state.live().iter().map(|streams| streams.live_streams()).sum()
    }

    /// Queries that have streams, or had and are not ended.
    pub fn queries(&self) -> usize {
        self.state.queries.lock().live.len()
    }

    /// What is queued, and what was spilled.
    pub fn counters(&self) -> ExchangeCounters {
        let queued_bytes = self.state.live().iter().map(|streams| streams.queued_bytes()).sum();
        self.state.shared.spilled.with_queued_bytes(queued_bytes)
    }
}

impl HubState {
    pub(super) fn settings(&self) -> &ExchangeSettings {
        &self.shared.settings
    }

    fn live(&self) -> Vec<Arc<QueryStreams>> {
        self.queries.lock().live.values().map(Arc::clone).collect()
    }

    /// The streams of a query, after `enter` has taken its place among them. Both under one lock:
    /// in between, the query could be forgotten for want of anybody in it.
    fn enter(
        &self,
        query: QueryId,
        enter: impl FnOnce(&QueryStreams) -> Result<()>,
    ) -> Result<Arc<QueryStreams>> {
        let mut queries = self.queries.lock();
        if queries.ended_set.contains(&query) {
            return Err(query_ended());
        }
        let fresh = || Arc::new(QueryStreams::new(Arc::clone(&self.shared)));
        let streams = Arc::clone(queries.live.entry(query).or_insert_with(fresh));
        enter(&streams)?;
        Ok(streams)
    }

    /// A query of which only receivers came, and went, leaves nothing: nobody may ever end it.
    pub(super) fn forget_if_forsaken(&self, query: QueryId) {
        let mut queries = self.queries.lock();
        if queries.live.get(&query).is_some_and(|streams| streams.is_forsaken()) {
            queries.live.remove(&query);
        }
    }
}

impl Shared {
    pub(super) fn new(settings: ExchangeSettings, resources: Arc<RuntimeEnv>) -> Self {
        Self { settings, resources, spilled: SpillCounters::default() }
    }
}

impl Queries {
    fn remember(&mut self, query: QueryId, bound: usize) {
        if self.ended_set.insert(query) {
            self.ended.push_back(query);
        }
        while self.ended.len() > bound {
            if let Some(oldest) = self.ended.pop_front() {
                self.ended_set.remove(&oldest);
            }
        }
    }
}

impl MotionSender {
    /// The motion.
    pub fn motion(&self) -> MotionId {
        self.motion
    }

    /// Sends a batch; waits for room, unless another receiver starves. `false`: the receiver wants
    /// no more.
    ///
    /// # Errors
    /// 57014 when the query has ended; 53100 or 58030 when the batch must be spilled and cannot.
    pub async fn send(&self, receiver: DatanodeId, batch: RecordBatch) -> Result<bool> {
        let sent = Sent { rows: batch.num_rows() as u64, bytes: batch_bytes(&batch) };
        let mut batch = Some((batch, sent.bytes));
        let place = |context: &mut Context<'_>| {
            self.streams.poll_send(self.motion, receiver, &mut batch, context)
        };
        match poll_fn(place).await? {
            Placed::Queued => Ok(true),
            Placed::Unwanted => Ok(false),
            Placed::Spill(batch, file) => {
                let frames = spill::write(Arc::clone(&self.streams.shared), file, batch).await?;
                self.streams.push_spilled(self.motion, receiver, frames, sent)
            }
        }
    }

    /// No more rows will be sent: receivers see the end after what is queued.
    pub fn finish(&self) {
        self.streams.finish(self.motion);
    }

    /// The fragment is over. If it had not finished the motion, receivers get `report` in place of
    /// what is queued. Returns whether it had.
    pub fn end(&self, report: ErrorReport) -> bool {
        self.streams.end_motion(self.motion, report)
    }

    /// What was sent, per receiver.
    pub fn traffic(&self) -> Vec<MotionTraffic> {
        self.streams.traffic(self.motion, self.datanode)
    }
}

/// What who still works for an ended query is told.
fn query_ended() -> ErrorReport {
    ErrorReport::new(SqlState::QUERY_CANCELED, "the query has ended")
}
