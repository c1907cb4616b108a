//! Deleted rows: which rows of a segment are gone, as a file of its own beside the segment's.
//!
//! ```text
//!   rows (a Roaring bitmap) | footer (DeleteVectorFooter) | the footer's length: u32 | "KSDV"
//! ```
//!
//! A delete vector is written as segments are, and like them never changes: who deletes more rows
//! writes another one, which has all of them. Numbers are little endian. The catalog knows the
//! file's length and checksum; the footer names table, segment and transaction, so that a lost
//! catalog could be rebuilt.

mod file;
mod live_rows;
mod order;

pub(super) use order::delete_rows;

#[cfg(test)]
mod tests;
