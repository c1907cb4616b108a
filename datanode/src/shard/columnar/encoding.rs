//! How columns are encoded in segment files.
//!
//! Few different values are a dictionary. Of others, integers (and what a file holds as integers) are
//! their differences, in as many bits as these need; the lengths of strings are apart from their
//! bytes, which then compress better.

use arrow::datatypes::DataType;
use kestrel_planner::operators::SegmentTarget;
use parquet::{
    basic::{self, Encoding},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{ColumnarSettings, footer, layout, settings::Compression};

/// A larger dictionary is given up: its positions would need nearly as many bits as the values.
const DICTIONARY_BYTES_MAX: usize = 64 << 10;
/// Files hold decimals of so many digits as integers.
const DIGITS_OF_INTEGERS: u8 = 18;

/// How a segment of `target` is written.
pub(super) fn properties(settings: &ColumnarSettings, target: &SegmentTarget) -> WriterProperties {
    let compression = match settings.compression {
        Compression::None => basic::Compression::UNCOMPRESSED,
        Compression::Lz4 => basic::Compression::LZ4_RAW,
    };
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(settings.row_group_rows.max(1)))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        // Scans read whole row groups.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(footer::entries(target, &target.schema)));
    for field in target.schema.fields() {
        let column = || ColumnPath::new(vec![field.name().clone()]);
        if let Some(encoding) = without_dictionary(field.data_type()) {
            properties = properties.set_column_encoding(column(), encoding);
        }
        // The order of the encoded bytes is not that of intervals.
        if layout::is_interval(field.data_type()) {
            properties =
                properties.set_column_statistics_enabled(column(), EnabledStatistics::None);
        }
    }
    properties.build()
}

/// The encoding of what has no dictionary; `None`: values as they are.
fn without_dictionary(data_type: &DataType) -> Option<Encoding> {
    match data_type {
        DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Date32
        | DataType::Time64(_)
        | DataType::Timestamp(..) => Some(Encoding::DELTA_BINARY_PACKED),
        DataType::Decimal128(precision, _) if *precision <= DIGITS_OF_INTEGERS => {
            Some(Encoding::DELTA_BINARY_PACKED)
        }
        DataType::Utf8View | DataType::BinaryView => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        _ => None,
    }
}
