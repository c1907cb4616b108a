//! Reads a table's segments: exactly the rows that pass the filters, and of them the columns asked
//! for.
//!
//! ```text
//!   segments pruned by what the catalog says       not opened; a whole partition's at once
//!   pieces (row groups) of the others              a cursor that the execution partitions share
//!     pruned by the files' statistics              nothing is read
//!     conjuncts' columns from the cache            narrow, decoded
//!       zones (8192 rows) pruned by least and greatest
//!       deleted rows are left out                  the first mask
//!       conjuncts on what is left, cheapest first  mask or positions; nothing is copied
//!     output columns, if a row is left             widened where rows are left
//!       batches
//! ```
//!
//! Runtime filters of joins are conjuncts that may arrive later, while the scan runs.

mod address;
mod codebook;
mod coded;
mod conjuncts;
mod cursor;
mod evaluate;
mod exec;
mod integers;
mod morsel;
mod order;
mod output;
mod partition;
mod plan;
mod prune;
mod rows;
mod segments;
mod selection;
mod spec;

pub(crate) use codebook::{Codebook, Raw};
pub(crate) use exec::ColumnarScanExec;
pub(super) use plan::{plan, plan_in_order};

#[cfg(test)]
mod tests;
