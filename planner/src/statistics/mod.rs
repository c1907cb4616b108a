//! What ANALYZE has found out about tables: types that the catalog stores and estimates read.
//!
//! A table's statistics are those of the rows that were there when it was analyzed. Whoever
//! estimates takes the rows that the catalog counts now ([`crate::catalog::TableDef::size`]) and
//! scales: fractions stay, [`ColumnStatistics::distinct_of`] grows where it grew with the rows.

pub(crate) mod collect;
mod column;
mod group;
mod table;
mod value;

/// The aggregate function that describes a column: `f(column, sample_rows << 16 | target)` is the
/// JSON of its [`ColumnStatistics`].
pub const COLUMN_FUNCTION: &str = "kestrel_column_statistics";

pub use column::{ColumnStatistics, CommonValue};
pub use group::{ColumnGroup, Dependency, GroupDistinct};
pub use table::{ShardStatistics, TableStatistics};
pub use value::{Digits, Value};
