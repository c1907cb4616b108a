//! What a file's footer says of the values in its row groups.

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::{footer::Footer, layout};

/// Bounds of a column's values, in the table's type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnBounds {
    /// No value is less; of strings it may be a prefix. NULL: all values are NULL.
    pub(crate) min: ScalarValue,
    /// No value is greater; of strings it may be longer than any.
    pub(crate) max: ScalarValue,
    /// How many are NULL; `None`: unknown.
    pub(crate) nulls: Option<u64>,
}

/// The bounds of a row group's column at `position` in the file, which is `field` in the table.
/// `None`: the footer has none that hold.
pub(super) fn of_row_group(
    footer: &Footer,
    row_group: usize,
    position: usize,
    field: &Field,
) -> Option<ColumnBounds> {
    // NaN is no part of the statistics, and the greatest value; of intervals there are none.
    if field.data_type().is_floating() || layout::is_interval(field.data_type()) {
        return None;
    }
    let group = footer.parquet().row_groups().get(row_group)?;
    let in_file = footer.reader.schema().fields().get(position)?;
    let statistics =
        StatisticsConverter::from_column_index(position, in_file, footer.reader.parquet_schema())
            .ok()?
            .with_missing_null_counts_as_zero(false);
    let nulls = statistics.row_group_null_counts([group]).ok()?;
    let nulls = nulls.iter().next().flatten();
    let min = value(&statistics.row_group_mins([group]).ok()?, field.data_type())?;
    let max = value(&statistics.row_group_maxes([group]).ok()?, field.data_type())?;
    let all_null = nulls == u64::try_from(group.num_rows()).ok();
    let is_known =
        if all_null { min.is_null() && max.is_null() } else { !min.is_null() && !max.is_null() };
    is_known.then_some(ColumnBounds { min, max, nulls })
}

fn value(array: &arrow::array::ArrayRef, data_type: &DataType) -> Option<ScalarValue> {
    ScalarValue::try_from_array(array, 0).ok()?.cast_to(data_type).ok()
}
