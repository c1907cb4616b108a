//! The files of a segment, as they must be: the one place that knows them all.

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
    /// Every file that the segment needs. Whoever copies a segment copies all of these.
    pub fn stored_files(&self) -> impl Iterator<Item = SegmentFile<'_>> {
        // All fields, so that a new one is asked whether it stands for another file.
        let Self {
            datanode: _,
            id: _,
            kind: _,
            file,
            offset: _,
            length,
            rows: _,
            bytes: _,
            zone_summary: _,
            checksum,
            deletes,
        } = self;
        let rows = SegmentFile { name: file, length: *length, checksum: *checksum };
        let deletes = deletes.as_ref().map(|deletes| SegmentFile {
            name: &deletes.file,
            length: deletes.length,
            checksum: deletes.checksum,
        });
        std::iter::once(rows).chain(deletes)
    }
}
