//! COPY's formats.
//!
//! [`CopyReader`] makes batches of what the client sends: `records` cuts text and csv, which come
//! cut anywhere, into records, `values` those into values, and `rows` reads these as their columns'
//! types; `binary` takes binary data apart, `binary_column` reads its values. [`Places`] tell in
//! which line a row came, for errors. [`CopyForm`] says how rows are written; the server does that.

mod binary;
mod binary_column;
mod form;
mod place;
mod reader;
mod records;
mod rows;
mod values;

pub use binary::BinaryReader;
pub use form::CopyForm;
pub use kestrel_planner::wire_binary::COPY_SIGNATURE as BINARY_SIGNATURE;
pub use place::Places;
pub use reader::{CopyBatch, CopyReader, Header};
pub use records::{Record, RecordFormat, Records};
pub use rows::{CopyRows, Forced};
pub use values::Values;
