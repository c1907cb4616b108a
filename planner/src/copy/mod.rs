//! COPY's formats.
//!
//! Text and csv come cut anywhere. [`Blocks`] cuts them anew, where records end (`ends`), so that
//! each [`Block`] can be read by itself, by any thread: `records` cuts it into records, `values`
//! these into values, and [`CopyLayout`] reads them as their columns' types. [`TableShape`] makes
//! rows of the whole table of them, and [`CopyParser`] does both. Binary data is read one row after
//! the other: [`BinaryReader`] takes it apart, `binary_column` reads its values. [`Places`] tell in
//! which line a row came, for errors. [`CopyForm`] says how rows are written; the coordinator does
//! that.

mod binary;
mod binary_column;
mod blocks;
mod ends;
mod form;
mod layout;
mod place;
mod reader;
mod records;
mod shape;
mod values;

pub use binary::BinaryReader;
pub use blocks::{BLOCK_BYTES, Block, Blocks};
pub use form::CopyForm;
pub use layout::{BlockEnd, CopyBatch, CopyLayout, Forced, Header, ReadBlock};
pub use place::Places;
pub use reader::CopyReader;
pub use records::RecordFormat;
pub use shape::{ColumnSource, CopyParser, TableShape};

pub use crate::wire_binary::COPY_SIGNATURE as BINARY_SIGNATURE;
