//! Ids: newtypes, never bare integers.

use std::fmt;

use uuid::Uuid;

/// One statement's execution, across all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(pub Uuid);

impl QueryId {
    /// A fresh, random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The 16 bytes that travel in a fragment.
    pub fn to_bytes(self) -> [u8; 16] {
        *self.0.as_bytes()
    }

    /// From the bytes of a fragment; `None` unless there are exactly 16.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self)
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A datanode: 0 … N-1, in the order of their names dn1 … dnN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatanodeId(pub u32);

/// Stands for the coordinator where rows are received.
pub const COORDINATOR: DatanodeId = DatanodeId(u32::MAX);

impl DatanodeId {
    /// The name users see: `dn1` for id 0; `coordinator` for [`COORDINATOR`].
    pub fn name(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for DatanodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == COORDINATOR {
            f.write_str("coordinator")
        } else {
            write!(f, "dn{}", self.0 + 1)
        }
    }
}

/// A motion of one query. The slice that sends it has the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MotionId(pub u32);

/// A slice of one query: 0 runs on the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SliceId(pub u32);

/// A table; never used again after the table is dropped. It is the table's OID, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u64);

/// A transaction that writes; file names carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub u64);
