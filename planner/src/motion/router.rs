//! Which rows of a batch go to which receiver of a motion.

use arrow::array::{ArrayRef, RecordBatch};
use kestrel_proto::{DatanodeId, ErrorReport, Result};

use super::Motion;
use crate::{error::report, placement};

/// Routes the batches of one sender. Pure but for the turn of [`Motion::Spread`].
#[derive(Debug)]
pub struct Router {
    motion: Motion,
    receivers: Vec<DatanodeId>,
    turn: usize,
}

impl Router {
    /// A router to these receivers. `offset` staggers the turns of several senders.
    pub fn new(motion: Motion, receivers: Vec<DatanodeId>, offset: usize) -> Self {
        Self { motion, receivers, turn: offset }
    }

    /// The receivers, in the order of [`Router::route`]'s results.
    pub fn receivers(&self) -> &[DatanodeId] {
        &self.receivers
    }

    /// The rows of `batch` for each receiver; `None`: no row.
    ///
    /// # Errors
    /// Errors of the key expressions; XX000 when a bucket's owner is not a receiver.
    pub fn route(&mut self, batch: RecordBatch) -> Result<Vec<Option<RecordBatch>>> {
        let mut routed = vec![None; self.receivers.len()];
        match &self.motion {
            Motion::Gather { .. } => routed[0] = Some(batch),
            Motion::Broadcast => routed.fill(Some(batch)),
            Motion::Spread => {
                let receiver = self.turn % routed.len();
                self.turn += 1;
                routed[receiver] = Some(batch);
            }
            Motion::Redistribute { keys, bucket_map } => {
                let rows = batch.num_rows();
                let columns = keys
                    .iter()
                    .map(|key| key.expr.evaluate(&batch).and_then(|v| v.into_array(rows)))
                    .collect::<datafusion::error::Result<Vec<ArrayRef>>>()
                    .map_err(report)?;
                let classes: Vec<_> = keys.iter().map(|key| key.class).collect();
                let mut index_of = vec![u32::MAX; bucket_map.owners().len()];
                for (bucket, owner) in bucket_map.owners().iter().enumerate() {
                    let receiver = self.receivers.iter().position(|r| r == owner);
                    index_of[bucket] = receiver.map_or(u32::MAX, |r| r as u32);
                }
                if index_of.contains(&u32::MAX) {
                    return Err(ErrorReport::internal("a bucket's owner receives no rows"));
                }
                let receiver_of_row: Vec<u32> = placement::buckets(&columns, &classes)?
                    .into_iter()
                    .map(|bucket| index_of[bucket as usize])
                    .collect();
                return placement::split(&batch, &receiver_of_row, self.receivers.len());
            }
        }
        Ok(routed)
    }
}
