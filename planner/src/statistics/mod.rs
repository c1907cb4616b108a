//! What ANALYZE has found out about tables: types that the catalog stores and estimates read.
//!
//! A table's statistics are those of the rows that were there when it was analyzed. Whoever
//! estimates takes the rows that the catalog counts now ([`crate::catalog::TableDef::size`]) and
//! scales: fractions stay, [`ColumnStatistics::distinct_of`] grows where it grew with the rows.

mod column;
mod group;
mod table;
mod value;

pub use column::{ColumnStatistics, CommonValue};
pub use group::{ColumnGroup, Dependency, GroupDistinct};
pub use table::{ShardStatistics, TableStatistics};
pub use value::{Digits, Value};
