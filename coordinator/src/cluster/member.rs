//! A datanode in another process, with what is known of its state.

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use kestrel_proto::{
    BatchStream, Datanode, DatanodeHealth, DatanodeId, DropSegments, ErrorReport, ExchangeRequest,
    Ingest, IngestStream, QueryId, Result, SqlState,
    message::{FragmentReport, SegmentRef},
    rpc::{Caller, RemoteDatanode},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Light;

/// Between two looks whether a lost datanode is back.
const RETURN_POLL: Duration = Duration::from_millis(50);

/// What is known of a datanode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has not registered with this cluster yet.
    Unregistered,
    /// It has registered, and has not answered yet.
    Starting,
    /// It answers.
    Up,
    /// An answer is missing.
    Suspect,
    /// It is silent.
    Down,
}

impl MemberState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unregistered, Self::Starting, Self::Up, Self::Suspect, Self::Down];

    /// As `kestrel.datanodes` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unregistered => "unregistered",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }

    /// Whether it may be called.
    pub fn is_usable(self) -> bool {
        match self {
            Self::Up | Self::Suspect => true,
            Self::Unregistered | Self::Starting | Self::Down => false,
        }
    }
}

/// An order that a datanode has not heard, to be repeated when it answers again.
#[derive(Clone, Debug)]
enum Order {
    EndQuery(QueryId),
    Drop(DropSegments),
}

/// A datanode of the cluster, in another process.
#[derive(Debug)]
pub struct Member {
    remote: RemoteDatanode,
    state: watch::Sender<MemberState>,
    unheard: Mutex<Vec<Order>>,
}

impl Member {
    /// A datanode that has not registered. `epoch`: this coordinator's.
    pub fn new(id: DatanodeId, caller: Caller, epoch: u64) -> Self {
        Self {
            remote: RemoteDatanode::new(id, caller, epoch),
            state: watch::Sender::new(MemberState::Unregistered),
            unheard: Mutex::default(),
        }
    }

    /// What is known of it.
    pub fn state(&self) -> MemberState {
        *self.state.borrow()
    }

    /// Where it is, if it has told.
    pub fn address(&self) -> Option<String> {
        self.remote.address()
    }

    /// It has told where it is.
    ///
    /// # Errors
    /// 22023 when that is no address.
    pub fn set_address(&self, address: &str) -> Result<()> {
        self.remote.set_address(address)?;
        self.state.send_if_modified(|state| {
            let is_new = *state == MemberState::Unregistered;
            if is_new {
                *state = MemberState::Starting;
            }
            is_new
        });
        Ok(())
    }

    /// What the failure detector thinks of it, once it has been welcomed.
    pub(super) fn judge(&self, light: Light) {
        let judged = match light {
            Light::Green => MemberState::Up,
            Light::Yellow => MemberState::Suspect,
            Light::Red => MemberState::Down,
        };
        let before = self.state.send_replace(judged);
        match (before, judged) {
            (before, judged) if before == judged => {}
            (_, MemberState::Down) => tracing::error!(datanode = %self.id(), "down"),
            (MemberState::Up, _) => tracing::warn!(datanode = %self.id(), "no answer"),
            (_, _) => tracing::info!(datanode = %self.id(), state = judged.as_str(), "datanode"),
        }
    }

    /// Repeats the orders that it has not heard.
    pub(super) async fn repeat_orders(&self) {
        let orders = std::mem::take(&mut *self.unheard.lock());
        for order in orders {
            let heard = match &order {
                Order::EndQuery(query) => self.remote.try_end_query(*query).await,
                Order::Drop(files) => self.remote.drop_segments(files.clone()).await,
            };
            if let Err(error) = heard {
                self.note_unheard(order, &error);
            }
        }
    }

    /// Waits until it answers, at most `wait`; whether it does.
    pub async fn is_back_within(&self, wait: Duration) -> bool {
        let answers = async {
            while self.remote.health().await.is_err() || !self.state().is_usable() {
                tokio::time::sleep(RETURN_POLL).await;
            }
        };
        tokio::time::timeout(wait, answers).await.is_ok()
    }

    fn note_unheard(&self, order: Order, error: &ErrorReport) {
        // What it refuses it has heard.
        if error.sqlstate == SqlState::DATANODE_LOST {
            self.unheard.lock().push(order);
        } else {
            tracing::warn!(datanode = %self.id(), %error, "an order was refused");
        }
    }

    fn check_usable(&self) -> Result<()> {
        let state = self.state();
        if state.is_usable() { Ok(()) } else { Err(self.lost(state)) }
    }

    fn lost(&self, state: MemberState) -> ErrorReport {
        let id = self.id();
        let detail = match state {
            MemberState::Unregistered => "It has not registered with the coordinator yet.",
            MemberState::Starting => "It has registered, and has not answered yet.",
            MemberState::Up | MemberState::Suspect | MemberState::Down => "It does not answer.",
        };
        let message = format!("datanode \"{id}\" is {}", state.as_str());
        ErrorReport::new(SqlState::DATANODE_LOST, message)
            .detail(detail)
            .hint(
                "See the state of the datanode in kestrel.datanodes, and run the statement again.",
            )
            .on_datanode(id.name())
    }

    /// Does the work, unless the datanode goes down meanwhile.
    async fn while_usable<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.check_usable()?;
        let mut state = self.state.subscribe();
        tokio::select! {
            biased;
            done = work => done,
            _ = state.wait_for(|state| !state.is_usable()) => Err(self.lost(self.state())),
        }
    }
}

#[async_trait]
impl Datanode for Member {
    fn id(&self) -> DatanodeId {
        self.remote.id()
    }

    async fn run(&self, fragment: Bytes) -> Result<FragmentReport> {
        self.while_usable(self.remote.run(fragment)).await
    }

    fn open_exchange(&self, request: ExchangeRequest, credit_bytes: u64) -> Result<BatchStream> {
        self.check_usable()?;
        self.remote.open_exchange(request, credit_bytes)
    }

    async fn end_query(&self, query: QueryId) {
        let heard = match self.check_usable() {
            Ok(()) => self.remote.try_end_query(query).await,
            Err(error) => Err(error),
        };
        if let Err(error) = heard {
            self.note_unheard(Order::EndQuery(query), &error);
        }
    }

    async fn ingest(&self, ingest: Ingest, rows: IngestStream) -> Result<Vec<SegmentRef>> {
        self.while_usable(self.remote.ingest(ingest, rows)).await
    }

    async fn drop_segments(&self, order: DropSegments) -> Result<()> {
        let heard = self.while_usable(self.remote.drop_segments(order.clone())).await;
        if let Err(error) = &heard {
            self.note_unheard(Order::Drop(order), error);
        }
        heard
    }

    async fn health(&self) -> Result<DatanodeHealth> {
        self.remote.health().await
    }
}

impl Member {
    /// The first order of an epoch, before anything else may call the datanode.
    pub(super) async fn order_before_use(&self, order: DropSegments) -> Result<()> {
        self.remote.drop_segments(order).await
    }
}
