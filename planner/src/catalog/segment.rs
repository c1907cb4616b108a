//! A segment: the file that has rows of a table, and the delete vector that says which of them are
//! deleted.

use kestrel_proto::{DatanodeId, message};
use serde::{Deserialize, Serialize};

/// An immutable columnar file on one datanode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it is.
    pub datanode: u32,
    /// Unique on its datanode.
    pub id: u64,
    /// `message::SegmentKind`.
    pub kind: i32,
    /// Relative to the datanode's data directory.
    pub file: String,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Its length in the file, in bytes.
    pub length: u64,
    /// Rows in it, deleted ones too.
    pub rows: u64,
    /// Bytes in memory, as Arrow.
    pub bytes: u64,
    /// Minimum and maximum per column, in the store's form.
    pub zone_summary: Vec<u8>,
    /// crc32c of the file's bytes.
    pub checksum: u32,
    /// Which of its rows are deleted; `None`: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<DeleteVector>,
}

/// The deleted rows of a segment: an immutable file beside the segment's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteVector {
    /// Unique on its datanode.
    pub id: u64,
    /// Relative to the datanode's data directory.
    pub file: String,
    /// The file's bytes.
    pub length: u64,
    /// How many rows are deleted.
    pub rows: u64,
    /// crc32c of the file's bytes.
    pub checksum: u32,
}

/// A segment's delete vector takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedVector {
    /// Where the segment is.
    pub datanode: u32,
    /// The segment's id.
    pub segment: u64,
    /// The id of the vector that it has: another in between is a conflict. `None`: it has none.
    pub before: Option<u64>,
    /// The new one.
    pub after: DeleteVector,
}

/// A segment whose rows are in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrittenSegment {
    /// Where it is.
    pub datanode: u32,
    /// Its id.
    pub segment: u64,
    /// The id of the delete vector that it had when it was read: another in between is a conflict.
    /// `None`: it had none.
    pub vector: Option<u64>,
}

impl Segment {
    /// From what a datanode reported.
    pub fn from_message(datanode: DatanodeId, m: message::SegmentRef) -> Self {
        Self {
            datanode: datanode.0,
            id: m.id,
            kind: m.kind,
            file: m.file,
            offset: m.offset,
            length: m.length,
            rows: m.rows,
            bytes: m.bytes,
            zone_summary: m.zone_summary.to_vec(),
            checksum: m.checksum,
            deletes: m.deletes.map(DeleteVector::from_message),
        }
    }

    /// As a fragment carries it.
    pub fn to_message(&self) -> message::SegmentRef {
        message::SegmentRef {
            zone_summary: self.zone_summary.clone().into(),
            ..self.to_message_without_summary()
        }
    }

    /// The same for whoever does not ask for its values' bounds.
    pub fn to_message_without_summary(&self) -> message::SegmentRef {
        message::SegmentRef {
            id: self.id,
            kind: self.kind,
            file: self.file.clone(),
            offset: self.offset,
            length: self.length,
            rows: self.rows,
            bytes: self.bytes,
            zone_summary: Default::default(),
            checksum: self.checksum,
            deletes: self.deletes.as_ref().map(DeleteVector::to_message),
        }
    }

    /// Rows that are not deleted.
    pub fn live_rows(&self) -> u64 {
        let deleted = self.deletes.as_ref().map_or(0, |deletes| deletes.rows);
        self.rows.saturating_sub(deleted)
    }

    /// What stands for it when it goes, its rows being elsewhere.
    pub fn rewritten(&self) -> RewrittenSegment {
        let (datanode, segment, vector) = (self.datanode, self.id, self.vector_id());
        RewrittenSegment { datanode, segment, vector }
    }

    /// The id of its delete vector.
    pub fn vector_id(&self) -> Option<u64> {
        self.deletes.as_ref().map(|deletes| deletes.id)
    }
}

impl DeleteVector {
    /// From what a datanode reported.
    pub fn from_message(m: message::DeleteVector) -> Self {
        let message::DeleteVector { id, file, length, rows, checksum } = m;
        Self { id, file, length, rows, checksum }
    }

    /// As a fragment carries it.
    pub fn to_message(&self) -> message::DeleteVector {
        message::DeleteVector {
            id: self.id,
            file: self.file.clone(),
            length: self.length,
            rows: self.rows,
            checksum: self.checksum,
        }
    }
}
