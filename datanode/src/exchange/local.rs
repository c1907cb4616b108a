//! The exchange as the operators of one fragment see it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use kestrel_planner::operators::Exchange;
use kestrel_proto::{
    BatchStream, DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result,
};

use super::{ExchangeHub, MotionSender, Peers};

/// The streams of one fragment: it sends one motion, and receives any number.
#[derive(Debug)]
pub struct LocalExchange {
    hub: ExchangeHub,
    peers: Arc<Peers>,
    query: QueryId,
    datanode: DatanodeId,
    sender: Arc<MotionSender>,
}

impl LocalExchange {
    /// The streams of the fragment of `query` on `datanode` that sends `sender`.
    pub fn new(
        hub: ExchangeHub,
        peers: Arc<Peers>,
        query: QueryId,
        datanode: DatanodeId,
        sender: Arc<MotionSender>,
    ) -> Self {
        Self { hub, peers, query, datanode, sender }
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
}

#[async_trait]
impl Exchange for LocalExchange {
    fn receive(&self, motion: MotionId, sender: DatanodeId) -> Result<BatchStream> {
        let request =
            ExchangeRequest { query: self.query, motion, sender, receiver: self.datanode };
        if sender == self.datanode {
            return self.hub.open(request);
        }
        self.peers.get(sender)?.open_exchange(request)
    }

    async fn send(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        batch: RecordBatch,
    ) -> Result<bool> {
        self.check(motion)?;
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
