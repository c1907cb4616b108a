//! The exchange as the operators of one fragment see it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use futures::StreamExt;
use kestrel_planner::operators::Exchange;
use kestrel_proto::{
    BatchStream, DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result,
};

use super::{ExchangeHub, MotionSender, Peers};
use crate::turns::give_way;

/// The streams of one fragment: it sends one motion, and receives any number.
#[derive(Debug)]
pub struct LocalExchange {
    hub: ExchangeHub,
    peers: Arc<Peers>,
    query: QueryId,
    sender: Arc<MotionSender>,
    memory: Arc<dyn MemoryPool>,
}

impl LocalExchange {
    /// The streams of the fragment of `query` that sends `sender`. What other processes may send
    /// ahead is reserved in `memory`.
    pub fn new(
        hub: ExchangeHub,
        peers: Arc<Peers>,
        query: QueryId,
        sender: Arc<MotionSender>,
        memory: Arc<dyn MemoryPool>,
    ) -> Self {
        Self { hub, peers, query, sender, memory }
    }

    fn check(&self, motion: MotionId) -> Result<()> {
        if motion == self.sender.motion() {
            return Ok(());
        }
        let own = self.sender.motion().0;
        Err(ErrorReport::internal(format!(
            "the fragment of motion {own} sends motion {}",
            motion.0
        )))
    }

    /// A stream from another process: its credit is memory of this one. Without memory one batch
    /// at a time comes.
    fn receive_from_afar(&self, request: ExchangeRequest) -> Result<BatchStream> {
        let credit = self.hub.settings().remote_credit_bytes;
        let reservation = MemoryConsumer::new("ExchangeReceive").register(&self.memory);
        let reserved = reservation.try_grow(credit as usize);
        let credit = if reserved.is_ok() { credit } else { 1 };
        let rows = self.peers.get(request.sender)?.open_exchange(request, credit)?;
        // Freed when the stream is dropped.
        Ok(Box::pin(rows.inspect(move |_| {
            let _held = &reservation;
        })))
    }
}

#[async_trait]
impl Exchange for LocalExchange {
    fn receive(&self, motion: MotionId, sender: DatanodeId) -> Result<BatchStream> {
        let receiver = self.hub.datanode();
        let request = ExchangeRequest { query: self.query, motion, sender, receiver };
        if sender == receiver {
            return self.hub.open(request);
        }
        if self.peers.is_here(sender) {
            return self.peers.get(sender)?.open_exchange(request, 0);
        }
        self.receive_from_afar(request)
    }

    async fn send(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        batch: RecordBatch,
    ) -> Result<bool> {
        self.check(motion)?;
        give_way().await;
        self.sender.send(receiver, batch).await
    }

    fn finish(&self, motion: MotionId) {
        // Finishing what is not sent here would hide that something is wrong: receivers will see
        // that their motion never finished.
        if self.check(motion).is_ok() {
            self.sender.finish();
        }
    }
}
