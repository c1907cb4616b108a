//! What the rules ask of a scan of columnar segments.

use std::{fmt, sync::Arc};

use arrow::array::StringViewArray;
use datafusion::{error::Result, physical_plan::ExecutionPlan};

use crate::{error::to_datafusion, shard};

pub(crate) use crate::shard::{ColumnarScanExec, Raw};

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

    /// Rows of all execution partitions together.
    fn row_count(&self) -> RowCount;

    /// A copy with the columns in these forms; one entry per column.
    ///
    /// # Errors
    /// XX000: a column has no such form.
    fn with_raw(&self, raw: &[Option<Raw>]) -> Result<RawOutput>;
}

/// How many rows come out of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowCount {
    /// Never more.
    pub(crate) most: u64,
    /// So many pass the filters, as the planner thinks.
    pub(crate) expected: u64,
}

/// How a rule recognizes a scan.
pub(crate) type FindScan = fn(&Arc<dyn ExecutionPlan>) -> Option<&dyn RawScan>;

/// The scan that an operator is.
pub(super) fn find_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<&dyn RawScan> {
    plan.downcast_ref::<ColumnarScanExec>().map(|scan| scan as &dyn RawScan)
}

impl RawScan for ColumnarScanExec {
    fn value_bounds(&self, column: usize) -> Option<(i64, i64)> {
        self.value_bounds(column)
    }

    fn has_few_strings(&self, column: usize) -> bool {
        self.has_few_strings(column)
    }

    fn row_count(&self) -> RowCount {
        RowCount { most: self.most_rows(), expected: self.estimated_rows() }
    }

    fn with_raw(&self, raw: &[Option<Raw>]) -> Result<RawOutput> {
        let (scan, codebooks) = self.with_raw(raw.to_vec()).map_err(to_datafusion)?;
        let codebooks = codebooks.into_iter();
        let codebooks = codebooks.map(|codebook| codebook.map(|c| c as Arc<dyn Codebook>));
        Ok((Arc::new(scan), codebooks.collect()))
    }
}

impl Codebook for shard::Codebook {
    fn strings(&self) -> StringViewArray {
        self.strings()
    }
}
