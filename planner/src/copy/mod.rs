//! COPY's formats.
//!
//! Text and csv come cut anywhere. [`Blocks`] cuts them anew, where records end (`ends`), so that
//! each [`Block`] can be read by itself, by any thread: `records` cuts it into records, `values`
//! these into values, and [`CopyLayout`] reads them as their columns' types. [`TableShape`] makes
//! rows of the whole table of them, and [`CopyParser`] does both. Binary data is read one row after
//! the other: [`BinaryReader`] takes it apart, `binary_column` reads its values. [`Places`] tell in
//! which line a row came, for errors.
//!
//! Of the server's files each datanode reads parts ([`share_files`]); a [`RecordSearch`] finds where
//! in the middle of a file a record begins.

mod binary;
mod binary_column;
mod blocks;
mod ends;
mod files;
mod layout;
mod place;
mod reader;
mod records;
mod rejects;
mod search;
mod shape;
mod values;

pub use binary::BinaryReader;
pub use blocks::{BLOCK_BYTES, Block, Blocks};
pub use files::{FileKind, FilePart, FileScan, share_files};
pub use layout::{BlockEnd, CopyBatch, CopyLayout, Forced, Header, ReadBlock};
pub use place::Places;
pub use reader::CopyReader;
pub use records::RecordFormat;
pub use rejects::{RejectLimit, RejectUnit, Rejected, Rejects, rejected_notice};
pub use search::{RecordSearch, RecordStart};
pub use shape::{ColumnSource, CopyParser, TableShape};

pub use crate::wire_binary::COPY_SIGNATURE as BINARY_SIGNATURE;
