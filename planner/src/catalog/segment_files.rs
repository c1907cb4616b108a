//! The files of a segment: the one place that knows them all.

use super::Segment;

/// A file that a segment needs, on the segment's datanode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile<'a> {
    /// Relative to the datanode's data directory.
    pub name: &'a str,
    /// In bytes.
    pub length: u64,
    /// crc32c of its bytes.
    pub checksum: u32,
}

impl Segment {
    /// Every file that the segment needs. Whoever keeps, removes or copies a segment does so with all
    /// of these.
    pub fn files(&self) -> impl Iterator<Item = SegmentFile<'_>> {
        let rows = SegmentFile { name: &self.file, length: self.length, checksum: self.checksum };
        let deletes = self.deletes.as_ref().map(|deletes| SegmentFile {
            name: &deletes.file,
            length: deletes.length,
            checksum: deletes.checksum,
        });
        std::iter::once(rows).chain(deletes)
    }
}
