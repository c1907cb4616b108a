//! Strings in chunks: as codes when few are distinct, else without what their buffers waste.

use arrow::{
    array::{Array, StringViewArray},
    buffer::ScalarBuffer,
};
use datafusion::common::HashMap;

use super::Values;

/// Codes are bytes.
const DISTINCT_MAX: usize = 256;
/// A dictionary for fewer rows than this per string is not worth it.
const ROWS_PER_STRING_MIN: usize = 4;

/// The strings as codes; `None`: too many are distinct.
pub(super) fn coded(array: &StringViewArray) -> Option<Values> {
    let distinct_max = DISTINCT_MAX.min(array.len() / ROWS_PER_STRING_MIN);
    let mut known: HashMap<&str, u8> = HashMap::new();
    let mut strings = Vec::new();
    let mut codes = Vec::with_capacity(array.len());
    // What the row before was: runs of one string are looked up once.
    let mut last = None;
    for (row, view) in array.views().iter().enumerate() {
        if array.is_null(row) {
            codes.push(0);
            continue;
        }
        if let Some((last_view, code)) = last
            && last_view == view
        {
            codes.push(code);
            continue;
        }
        let string = array.value(row);
        let code = match known.get(string) {
            Some(code) => *code,
            None => {
                let code = u8::try_from(strings.len()).ok()?;
                if strings.len() >= distinct_max {
                    return None;
                }
                known.insert(string, code);
                strings.push(string);
                code
            }
        };
        last = Some((view, code));
        codes.push(code);
    }
    // In one buffer of the right size.
    let dictionary = StringViewArray::from_iter_values(&strings).gc();
    Some(Values::Coded { dictionary, codes: ScalarBuffer::from(codes) })
}

/// The strings in buffers of which at least half is used: Parquet's pages hold the lengths, and the
/// short strings that views have themselves.
pub(super) fn compact(array: &StringViewArray) -> StringViewArray {
    let held: usize = array.data_buffers().iter().map(|buffer| buffer.capacity()).sum();
    if array.total_buffer_bytes_used() < held / 2 { array.gc() } else { array.clone() }
}
