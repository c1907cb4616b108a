//! What the rules ask of a scan of columnar segments.

use std::{fmt, sync::Arc};

use arrow::array::StringViewArray;
use datafusion::{error::Result, physical_plan::ExecutionPlan};

/// How a column comes out of a scan that does not widen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// `Int64`: integers and dates by their values, decimals of up to 18 digits unscaled.
    Integers,
    /// `UInt16`: codes of strings, which the column's [`Codebook`] has.
    Codes,
}

/// The strings of a column, by their codes. It only grows: who has seen a code finds its string.
pub(crate) trait Codebook: fmt::Debug + Send + Sync {
    /// All strings so far, by code.
    fn strings(&self) -> StringViewArray;
}

/// A scan whose output has other forms of some columns, and the codebooks of those that are codes.
pub(crate) type RawOutput = (Arc<dyn ExecutionPlan>, Vec<Option<Arc<dyn Codebook>>>);

/// A leaf that can give columns as they are in memory. Columns are those of its output.
pub(crate) trait RawScan: ExecutionPlan {
    /// Least and greatest value that is not NULL: dates by their days, decimals unscaled. `None`:
    /// unknown.
    fn value_bounds(&self, column: usize) -> Option<(i64, i64)>;

    /// Whether a column has so few different strings that each is sure to find a code.
    fn has_few_strings(&self, column: usize) -> bool;

    /// A copy with the columns in these forms; one entry per column.
    ///
    /// # Errors
    /// XX000: a column has no such form.
    fn with_raw(&self, raw: &[Option<Raw>]) -> Result<RawOutput>;
}

/// How a rule recognizes a scan.
pub(crate) type FindScan = fn(&Arc<dyn ExecutionPlan>) -> Option<&dyn RawScan>;

/// The scan that an operator is.
pub(super) fn find_scan(_: &Arc<dyn ExecutionPlan>) -> Option<&dyn RawScan> {
    None
}
