//! COPY … FROM STDIN: bytes to rows.
//!
//! [`Records`] cuts the client's bytes, which come cut anywhere, into records and their values;
//! [`CopyRows`] makes batches of them, with the line, the column and the value of the first one
//! that is wrong.

mod records;
mod rows;

pub use records::{RecordFormat, Records};
pub use rows::CopyRows;
