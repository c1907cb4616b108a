//! A planned movement of rows between slices.
//!
//! ```text
//!   Gather            Redistribute          Broadcast
//!   dn1 ──┐           dn1 ──┬──> dn1        dn1 ──┬──> dn1 (all rows of dn1 and dn2)
//!   dn2 ──┼──> one        ╳ │  by hash          ╳ │
//!   dn3 ──┘           dn2 ──┴──> dn2        dn2 ──┴──> dn2 (the same)
//! ```
//!
//! Only this folder, its wire form in `codec` and its text in `explain` match on [`Motion`].

mod router;

pub use router::Router;

use std::sync::Arc;

use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use kestrel_proto::BucketMap;

use crate::catalog::HashClass;

/// How one motion moves its rows.
#[derive(Clone, Debug)]
pub enum Motion {
    /// All rows to one receiver; merged when `merge` is given, the senders being sorted by it.
    Gather {
        /// Merge keys, over the moved rows.
        merge: Option<LexOrdering>,
        /// No more than this many rows are needed of the merged result.
        fetch: Option<usize>,
    },
    /// Each row to the receiver that owns the bucket of its key.
    Redistribute {
        /// Key expressions over the moved rows, and how their values hash.
        keys: Vec<HashKey>,
        /// Which receiver owns which bucket.
        bucket_map: Arc<BucketMap>,
    },
    /// Rows dealt out evenly, in batches.
    Spread,
    /// Every row to every receiver.
    Broadcast,
}

/// What EXPLAIN and the metrics tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MotionKind {
    /// To one receiver.
    Gather,
    /// Each row to one of the receivers.
    Redistribute,
    /// Each row to all receivers.
    Broadcast,
}

/// An expression rows are placed by.
#[derive(Clone, Debug)]
pub struct HashKey {
    /// Over the moved rows.
    pub expr: Arc<dyn PhysicalExpr>,
    /// How its values hash.
    pub class: HashClass,
}

impl Motion {
    /// A Gather in any order.
    pub fn gather() -> Self {
        Self::Gather { merge: None, fetch: None }
    }

    /// Its kind.
    pub fn kind(&self) -> MotionKind {
        match self {
            Self::Gather { .. } => MotionKind::Gather,
            Self::Redistribute { .. } | Self::Spread => MotionKind::Redistribute,
            Self::Broadcast => MotionKind::Broadcast,
        }
    }

    /// What EXPLAIN calls it.
    pub fn label(&self) -> &'static str {
        match self.kind() {
            MotionKind::Gather => "Gather Motion",
            MotionKind::Redistribute => "Redistribute Motion",
            MotionKind::Broadcast => "Broadcast Motion",
        }
    }
}

impl MotionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gather, Self::Redistribute, Self::Broadcast];

    /// What the metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::Redistribute => "redistribute",
            Self::Broadcast => "broadcast",
        }
    }
}
