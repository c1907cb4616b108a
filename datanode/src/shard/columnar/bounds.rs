//! What a file's footer says of the values in its row groups.

use datafusion::common::ScalarValue;

/// What is known of a column's values in a piece.
#[derive(Clone, Debug)]
pub(crate) struct ColumnBounds {
    pub(crate) min: ScalarValue,
    pub(crate) max: ScalarValue,
    pub(crate) nulls: Option<u64>,
}
