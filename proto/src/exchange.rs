//! The receiving end of an exchange: what a receiver asks of a sender's process.

use std::pin::Pin;

use arrow::array::RecordBatch;
use futures::Stream;

use crate::{DatanodeId, MotionId, QueryId, error::Result};

/// A stream of batches. Dropping it closes it: the sender drops what it still had for us.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// Names one stream of one motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeRequest {
    /// The query.
    pub query: QueryId,
    /// The motion.
    pub motion: MotionId,
    /// Who sends.
    pub sender: DatanodeId,
    /// Who receives: a datanode, or [`crate::COORDINATOR`].
    pub receiver: DatanodeId,
}
