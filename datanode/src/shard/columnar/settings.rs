//! How segments are written and read.

use kestrel_planner::compaction::SEGMENT_ROWS;

/// How a columnar store writes and reads its segments.
#[derive(Clone, Debug)]
pub struct ColumnarSettings {
    /// Rows of a row group: what is pruned and decoded as a piece.
    pub row_group_rows: usize,
    /// Rows of a segment.
    pub segment_rows: usize,
    /// Compress the column chunks.
    pub compression: Compression,
    /// Execution partitions of a scan, at most.
    pub target_partitions: usize,
    /// Less than this many bytes of file are read by one execution partition.
    pub min_split_bytes: usize,
    /// Rows of the batches that a filtering scan puts out.
    pub batch_rows: usize,
    /// Bytes of file footers kept in memory.
    pub footer_cache_bytes: usize,
    /// Bytes of columns kept in memory, at most: they are part of the process's memory for queries,
    /// which have precedence. 0: none is kept.
    pub cache_bytes: usize,
    /// Compare a segment with its checksum when this process reads it for the first time.
    pub verify_checksums: bool,
}

/// The compression of column chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None: the fastest to read, while files fit into memory.
    None,
    /// LZ4.
    Lz4,
}

impl Default for ColumnarSettings {
    fn default() -> Self {
        Self {
            row_group_rows: 128 << 10,
            segment_rows: SEGMENT_ROWS as usize,
            compression: Compression::Lz4,
            target_partitions: 1,
            min_split_bytes: 1 << 20,
            batch_rows: 8192,
            footer_cache_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            verify_checksums: true,
        }
    }
}
