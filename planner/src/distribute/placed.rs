//! An operator with its place, its size, and its placed inputs.

use std::sync::Arc;

use datafusion::{
    error::{DataFusionError, Result},
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
    },
};

use crate::{
    cardinality::Estimate,
    locus::Locus,
    motion::Motion,
    operators::{FileScanExec, MotionExec, ShardScanExec},
};

/// A node of a distributed plan.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The operator; its inputs are those of `children`.
    pub plan: Arc<dyn ExecutionPlan>,
    /// Where its rows are.
    pub locus: Locus,
    /// How many they are.
    pub estimate: Estimate,
    /// Its inputs.
    pub children: Vec<Placed>,
}

impl Placed {
    /// `plan` with its inputs replaced by `children`.
    pub fn new(
        plan: &Arc<dyn ExecutionPlan>,
        children: Vec<Placed>,
        locus: Locus,
        estimate: Estimate,
    ) -> Result<Self> {
        let inputs = children.iter().map(|c| Arc::clone(&c.plan)).collect();
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let plan = Arc::clone(plan).replace_children(inputs, options)?;
        Ok(Self { plan, locus, estimate, children })
    }

    /// This under a motion.
    pub fn moved(self, motion: Motion, locus: Locus) -> Self {
        let plan = Arc::new(MotionExec::new(motion, Arc::clone(&self.plan)));
        // Dealt out evenly, unless [`super::Distributor::redistribute`] knows better.
        let estimate = Estimate { skew: 1.0, ..self.estimate.clone() };
        Self { plan, locus, estimate, children: vec![self] }
    }

    /// All rows in one process, in any order. Rows that are complete on every datanode need no
    /// motion: one of the datanodes is enough.
    pub fn to_single(mut self) -> Self {
        match self.locus {
            Locus::General | Locus::Single => self,
            Locus::Replicated => {
                self.locus = Locus::Single;
                self
            }
            Locus::Hashed(_) | Locus::Strewn => self.moved(Motion::gather(), Locus::Single),
        }
    }

    /// All rows on every datanode.
    pub fn to_replicated(self) -> Self {
        match self.locus {
            Locus::General | Locus::Replicated => self,
            Locus::Single | Locus::Hashed(_) | Locus::Strewn => {
                self.moved(Motion::Broadcast, Locus::Replicated)
            }
        }
    }

    /// All rows on the coordinator, in the order the plan has.
    pub fn gather_at_root(self) -> Self {
        if !self.locus.is_partitioned() && !self.needs_datanode() {
            return self;
        }
        let merge = self.plan.output_ordering().cloned();
        self.moved(Motion::Gather { merge, fetch: None }, Locus::Single)
    }

    /// Must this slice run on a datanode, because it reads a shard or files there?
    pub fn needs_datanode(&self) -> bool {
        self.plan.is::<ShardScanExec>()
            || self.plan.is::<FileScanExec>()
            || (self.motion().is_none() && self.children.iter().any(Self::needs_datanode))
    }

    /// Does no datanode have a part in it?
    pub fn is_local(&self) -> bool {
        !self.locus.is_partitioned()
            && self.motion().is_none()
            && !self.needs_datanode()
            && self.children.iter().all(Self::is_local)
    }

    /// Does this slice work on parts of the data, one on each datanode?
    pub fn is_parallel(&self) -> bool {
        self.locus.is_partitioned()
            || (self.motion().is_none() && self.children.iter().any(Self::is_parallel))
    }

    /// The motion, if this node is one.
    pub fn motion(&self) -> Option<&Motion> {
        self.plan.downcast_ref::<MotionExec>().map(MotionExec::motion)
    }
}

/// The only one of `children`.
pub(super) fn only(mut children: Vec<Placed>) -> Result<Placed> {
    match (children.pop(), children.is_empty()) {
        (Some(child), true) => Ok(child),
        _ => Err(DataFusionError::Internal("an operator with one input was given others".into())),
    }
}
