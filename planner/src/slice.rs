//! Cuts a placed plan at its motions.
//!
//! ```text
//!   Final aggregate                       slice 0 (coordinator): Final aggregate
//!     Gather                                                       receive 1
//!       Partial aggregate         =>      slice 1 (all):         send 1 (Gather)
//!         Join                                                     Partial aggregate
//!           Scan                                                     Join
//!           Broadcast                                                  Scan
//!             Scan                                                     receive 2
//!                                         slice 2 (all):         send 2 (Broadcast)
//!                                                                  Scan
//! ```
//!
//! Slices and motions are numbered in the order in which EXPLAIN prints them; the slice that sends
//! motion n is slice n.

use std::sync::Arc;

use datafusion::{error::Result, physical_plan::ExecutionPlan};
use kestrel_proto::{BucketMap, COORDINATOR, DatanodeId, MotionId, SliceId};

use crate::{
    direct,
    distribute::Placed,
    motion::Motion,
    operators::{MotionReceiveExec, MotionSendExec},
};

/// A piece of a plan that runs without moving rows.
#[derive(Clone, Debug)]
pub struct Slice {
    /// 0: the one whose rows go to the client.
    pub id: SliceId,
    /// Its root is a send, but in slice 0.
    pub plan: Arc<dyn ExecutionPlan>,
    /// Who runs it.
    pub executors: Vec<DatanodeId>,
    /// It works on parts, and filters leave it rows on these executors only.
    pub is_direct: bool,
}

impl Slice {
    /// The motion that it sends; `None`: it is slice 0.
    pub fn motion(&self) -> Option<&Motion> {
        self.plan.downcast_ref::<MotionSendExec>().map(MotionSendExec::motion)
    }
}

/// Slices of one plan, by id.
pub fn slice(
    root: &Placed,
    datanodes: &[DatanodeId],
    bucket_map: &BucketMap,
) -> Result<Vec<Slice>> {
    let mut cutter = Cutter { datanodes, bucket_map, slices: Vec::new(), next: 1 };
    let plan = cutter.cut(root, &[COORDINATOR])?;
    cutter.slices.push(Slice {
        id: SliceId(0),
        plan,
        executors: vec![COORDINATOR],
        is_direct: false,
    });
    cutter.slices.sort_by_key(|slice| slice.id);
    Ok(cutter.slices)
}

struct Cutter<'a> {
    datanodes: &'a [DatanodeId],
    bucket_map: &'a BucketMap,
    slices: Vec<Slice>,
    next: u32,
}

impl Cutter<'_> {
    /// The plan of one slice, which `executors` run; what is below its motions becomes slices.
    fn cut(&mut self, node: &Placed, executors: &[DatanodeId]) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(motion) = node.motion() {
            return self.cut_motion(node, motion, executors);
        }
        let children = node
            .children
            .iter()
            .map(|child| {
                let plan = self.cut(child, executors)?;
                Ok(Placed { plan, ..child.clone() })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Placed::new(&node.plan, children, node.locus.clone(), node.estimate.clone())?.plan)
    }

    fn cut_motion(
        &mut self,
        node: &Placed,
        motion: &Motion,
        receivers: &[DatanodeId],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let below = &node.children[0];
        let id = MotionId(self.next);
        self.next += 1;
        let (senders, is_direct) = self.executors(below, id);
        let plan = self.cut(below, &senders)?;
        let schema = plan.schema();
        let send = MotionSendExec::new(id, motion.clone(), receivers.to_vec(), plan);
        self.slices.push(Slice {
            id: SliceId(id.0),
            plan: Arc::new(send),
            executors: senders.clone(),
            is_direct,
        });
        let (rows, bytes) = (node.estimate.rows, node.estimate.bytes());
        let share = match motion {
            Motion::Gather { .. } | Motion::Broadcast => 1.0,
            Motion::Redistribute { .. } | Motion::Spread => 1.0 / receivers.len() as f64,
        };
        let (merge, fetch) = match motion {
            Motion::Gather { merge, fetch } => (merge.clone(), *fetch),
            Motion::Redistribute { .. } | Motion::Spread | Motion::Broadcast => (None, None),
        };
        let estimate = ((rows * share) as u64, (bytes * share) as u64);
        Ok(Arc::new(MotionReceiveExec::new(id, senders, schema, merge, fetch, estimate)))
    }

    /// For a slice that works on parts all datanodes, or those where filters leave it rows; for any
    /// other one of them, a different one for each slice. And whether filters have left out some.
    fn executors(&self, below: &Placed, id: MotionId) -> (Vec<DatanodeId>, bool) {
        let any = || vec![self.datanodes[id.0 as usize % self.datanodes.len()]];
        if !below.is_parallel() {
            return (any(), false);
        }
        match direct::executors(below, self.bucket_map) {
            None => (self.datanodes.to_vec(), false),
            // Somebody must say that there are no rows.
            Some(none) if none.is_empty() => (any(), true),
            Some(some) => {
                let is_direct = some.len() < self.datanodes.len();
                (some.into_iter().collect(), is_direct)
            }
        }
    }
}
