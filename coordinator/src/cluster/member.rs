//! A datanode in another process, with what is known of its state.

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use kestrel_proto::{
    BatchStream, ByteStream, Datanode, DatanodeHealth, DatanodeId, DropSegments, ErrorReport,
    ExchangeRequest, Ingest, IngestStream, PreparedTransaction, QueryId, Result, ShardFacts,
    ShardResults, ShardRows, ShardStatements, SnapshotScope, SqlState, TransactionEnd,
    TransactionId,
    message::{
        DeleteRowsRequest, DeleteVector, FragmentDescription, FragmentReport,
        RewriteSegmentsRequest, SegmentRef,
    },
    rpc::{Caller, RemoteDatanode},
};
use tokio::sync::watch;

use super::{
    Light,
    unheard::{Order, Unheard},
};

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

/// A datanode of the cluster, in another process.
#[derive(Debug)]
pub struct Member {
    remote: RemoteDatanode,
    caller: Caller,
    state: watch::Sender<MemberState>,
    unheard: Unheard,
}

impl Member {
    /// A datanode that has not registered. `epoch`: this coordinator's.
    pub fn new(id: DatanodeId, caller: Caller, epoch: u64) -> Self {
        Self {
            remote: RemoteDatanode::new(id, caller.clone(), epoch),
            caller,
            state: watch::Sender::new(MemberState::Unregistered),
            unheard: Unheard::default(),
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

    /// Whether [`Self::set_address`] would take it.
    ///
    /// # Errors
    /// 22023 when that is no address.
    pub(super) fn check_address(&self, address: &str) -> Result<()> {
        // Somebody else takes it on trial; nothing is connected before the first call.
        RemoteDatanode::new(self.id(), self.caller.clone(), 0).set_address(address)
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

    /// Repeats the orders that it has not heard. One call at a time.
    pub(super) async fn repeat_orders(&self) {
        self.unheard.repeat(|order| self.tell(order)).await;
    }

    async fn tell(&self, order: Order) -> Result<()> {
        match order {
            Order::EndQuery(query) => self.remote.try_end_query(query).await,
            Order::Drop(files) => self.remote.drop_segments(files).await,
            Order::CloseSnapshot(scope) => self.remote.close_snapshot(scope).await,
            Order::RollBack(transaction, epoch) => {
                let end = TransactionEnd::Rollback;
                self.remote.end_transaction(transaction, epoch, end).await.map(|_| ())
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
        if error.sqlstate != SqlState::DATANODE_LOST {
            tracing::warn!(datanode = %self.id(), %error, "an order was refused");
        } else if !self.unheard.note(order) {
            tracing::warn!(datanode = %self.id(), "files to remove stay until the next start");
        }
    }

    /// Whether it may be called.
    ///
    /// # Errors
    /// 58K01.
    pub(crate) fn check_usable(&self) -> Result<()> {
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
        ErrorReport::datanode_lost(id, message).detail(detail)
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

    async fn delete_rows(&self, order: DeleteRowsRequest) -> Result<Vec<DeleteVector>> {
        self.while_usable(self.remote.delete_rows(order)).await
    }

    async fn rewrite_segments(&self, order: RewriteSegmentsRequest) -> Result<Vec<SegmentRef>> {
        self.while_usable(self.remote.rewrite_segments(order)).await
    }

    async fn drop_segments(&self, order: DropSegments) -> Result<()> {
        let heard = self.while_usable(self.remote.drop_segments(order.clone())).await;
        if let Err(error) = &heard {
            self.note_unheard(Order::Drop(order), error);
        }
        heard
    }

    async fn read_file(&self, file: String) -> Result<ByteStream> {
        self.while_usable(self.remote.read_file(file)).await
    }

    async fn health(&self) -> Result<DatanodeHealth> {
        self.remote.health().await
    }

    async fn describe(&self, fragment: Bytes) -> Result<FragmentDescription> {
        self.while_usable(self.remote.describe(fragment)).await
    }

    async fn open_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        self.while_usable(self.remote.open_snapshot(scope)).await
    }

    async fn close_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        let heard = self.while_usable(self.remote.close_snapshot(scope)).await;
        if let Err(error) = &heard {
            self.note_unheard(Order::CloseSnapshot(scope), error);
        }
        heard
    }

    async fn execute(&self, order: ShardStatements) -> Result<ShardResults> {
        self.while_usable(self.remote.execute(order)).await
    }

    async fn query_shard(&self, sql: String) -> Result<ShardRows> {
        self.while_usable(self.remote.query_shard(sql)).await
    }

    async fn end_transaction(
        &self,
        transaction: TransactionId,
        epoch: u64,
        end: TransactionEnd,
    ) -> Result<bool> {
        let ended = self.while_usable(self.remote.end_transaction(transaction, epoch, end)).await;
        // Whoever asks for the others, recovery too, asks again.
        if let (Err(error), TransactionEnd::Rollback) = (&ended, end) {
            self.note_unheard(Order::RollBack(transaction, epoch), error);
        }
        ended
    }

    async fn prepared(&self) -> Result<Vec<PreparedTransaction>> {
        self.while_usable(self.remote.prepared()).await
    }

    async fn shard_facts(&self) -> Result<ShardFacts> {
        self.while_usable(self.remote.shard_facts()).await
    }
}

impl Member {
    /// The first order of an epoch, before anything else may call the datanode.
    pub(super) async fn order_before_use(&self, order: DropSegments) -> Result<()> {
        self.remote.drop_segments(order).await
    }
}

#[cfg(test)]
mod tests {
    use kestrel_proto::rpc::{Credentials, RpcSettings, Secret};
    use tokio::runtime::Handle;

    use super::*;

    impl Member {
        /// One that has not registered yet, and may take a minute for an answer.
        pub(crate) fn unregistered(id: u32) -> Self {
            let minute = Duration::from_secs(60);
            let settings = RpcSettings {
                call_timeout: minute,
                keep_alive_interval: minute,
                ..RpcSettings::default()
            };
            let credentials =
                Credentials { secret: Secret::random(), cluster: None, target: String::new() };
            let caller = Caller { settings, credentials, tls: None, runtime: Handle::current() };
            Self::new(DatanodeId(id), caller, 1)
        }
    }

    #[tokio::test]
    async fn only_a_datanode_that_answers_may_be_called() {
        let member = Member::unregistered(1);
        let lost = member.check_usable().unwrap_err();
        assert_eq!(lost.sqlstate, SqlState::DATANODE_LOST);
        assert_eq!(lost.message, "datanode \"dn2\" is unregistered");
        for (light, usable) in [(Light::Green, true), (Light::Yellow, true), (Light::Red, false)] {
            member.judge(light);
            assert_eq!(member.check_usable().is_ok(), usable, "{light:?}");
        }
    }
}
