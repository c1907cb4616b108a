//! Rows from and to a shard's database, as binary COPY data.
//!
//! ```text
//!   COPY (SELECT …) TO STDOUT              CopyData, cut anywhere
//!     rows    RowFinder     rows and their fields, by column; so many rows are a chunk
//!     decode  DecodePool    a chunk's columns, each on its own, in parallel
//!                                          RecordBatch
//!     encode  CopyEncoder   rows, one after the other
//!   COPY t FROM STDIN                      CopyData
//! ```
//!
//! What a field's bytes are is decided once for each column, by its type here and the type that the
//! database gives it ([`CopyLayout`]).

mod decode;
mod encode;
mod layout;
mod rows;
mod stream;
mod wire;

pub use decode::{DecodePool, decode_chunk};
pub use encode::CopyEncoder;
pub use layout::CopyLayout;
pub use rows::{ChunkLimits, RowChunk, RowFinder};
pub use stream::decode_stream;
