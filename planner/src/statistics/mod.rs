//! What ANALYZE has found out about tables: types that the catalog stores and estimates read.
//!
//! A table's statistics are those of the rows that were there when it was analyzed. Whoever
//! estimates takes the rows that the catalog counts now ([`crate::catalog::TableDef::size`]) and
//! scales: fractions stay, [`ColumnStatistics::distinct_of`] grows where it grew with the rows.

pub(crate) mod collect;
mod column;
mod group;
mod table;
mod text;
mod value;

/// The aggregate function that describes a column: `f(column, sample_rows << 16 | target)` is the
/// JSON of its [`ColumnStatistics`], `f(column, sample_rows << 16 | target, rows)` that of a table of so many
/// rows, of which those that come are a sample.
pub const COLUMN_FUNCTION: &str = "kestrel_column_statistics";

/// The aggregate function that describes columns together: `f(sample_rows, column, …)` is the JSON of
/// a [`ColumnGroup`] whose columns are positions, from 0.
pub const GROUP_FUNCTION: &str = "kestrel_group_statistics";

pub use column::{ColumnStatistics, CommonValue};
pub use group::{ColumnGroup, Dependency, GroupDistinct};
pub use table::{ShardStatistics, TableStatistics};
pub use value::{Digits, Value};
