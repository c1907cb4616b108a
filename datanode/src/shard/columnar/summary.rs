//! What is known of a segment's values without its file: the catalog keeps it with the segment.

use std::collections::HashSet;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array},
    datatypes::{DataType, Schema},
};
use bytes::Bytes;
use kestrel_proto::message::{ColumnSummary, SegmentRef, ZoneSummary};
use prost::Message;

use super::chunk::Zone;

/// Of a column with more strings than this nobody asks how many there are.
const DISTINCT_MAX: usize = 256;

/// Grows with the rows of a segment.
#[derive(Debug)]
pub(super) struct SummaryWriter {
    columns: Vec<Column>,
}

/// A column of which something is known.
#[derive(Debug)]
struct Column {
    position: usize,
    id: u32,
    seen: Seen,
}

#[derive(Debug)]
enum Seen {
    Integers(Zone),
    Strings { nulls: usize, distinct: HashSet<String> },
}

impl Seen {
    /// Of no rows yet; `None`: nothing is noted of such columns.
    fn nothing(data_type: &DataType) -> Option<Self> {
        if *data_type == DataType::Utf8View {
            return Some(Self::Strings { nulls: 0, distinct: HashSet::new() });
        }
        Zone::of(&new_empty_array(data_type)).map(Self::Integers)
    }

    /// Whether it still tells something.
    fn note(&mut self, values: &ArrayRef) -> bool {
        match self {
            Self::Integers(zone) => {
                let seen = Zone::of(values);
                *zone = seen.map_or(*zone, |seen| zone.merge(seen));
                seen.is_some()
            }
            Self::Strings { nulls, distinct } => {
                let Some(strings) = values.as_string_view_opt() else { return false };
                *nulls += strings.null_count();
                for string in strings.iter().flatten() {
                    if !distinct.contains(string) {
                        distinct.insert(string.to_string());
                    }
                    if distinct.len() > DISTINCT_MAX {
                        return false;
                    }
                }
                true
            }
        }
    }
}

impl SummaryWriter {
    /// Of no rows yet.
    pub(super) fn new(schema: &Schema, column_ids: &[u32]) -> Self {
        let columns = schema.fields().iter().zip(column_ids).enumerate();
        let columns = columns.filter_map(|(position, (field, id))| {
            Some(Column { position, id: *id, seen: Seen::nothing(field.data_type())? })
        });
        Self { columns: columns.collect() }
    }

    /// Rows of the table.
    pub(super) fn note(&mut self, rows: &RecordBatch) {
        self.columns.retain_mut(|column| {
            rows.columns().get(column.position).is_some_and(|values| column.seen.note(values))
        });
    }

    /// As `SegmentRef.zone_summary` holds it.
    pub(super) fn finish(&self) -> Bytes {
        let columns = self.columns.iter().map(|column| match &column.seen {
            Seen::Integers(zone) => ColumnSummary {
                column_id: column.id,
                min: zone.min,
                max: zone.max,
                nulls: zone.nulls as u64,
                distinct: None,
            },
            Seen::Strings { nulls, distinct } => ColumnSummary {
                column_id: column.id,
                min: i64::MAX,
                max: i64::MIN,
                nulls: *nulls as u64,
                distinct: u32::try_from(distinct.len()).ok(),
            },
        });
        ZoneSummary { columns: columns.collect() }.encode_to_vec().into()
    }
}

/// How many different strings a column has in these segments, at most. `None`: not known of every
/// segment, or too many in one.
pub(crate) fn distinct_strings(segments: &[SegmentRef], column_id: u32) -> Option<usize> {
    let mut distinct = 0;
    for segment in segments {
        let summary = ZoneSummary::decode(segment.zone_summary.as_ref()).ok()?;
        let column = summary.columns.iter().find(|column| column.column_id == column_id)?;
        distinct += column.distinct? as usize;
    }
    Some(distinct)
}

/// Least and greatest value of a column in these segments, as chunks have them: decimals unscaled.
/// `None`: not known of every segment, or there is no value.
pub(crate) fn bounds(segments: &[SegmentRef], column_id: u32) -> Option<(i64, i64)> {
    let mut bounds = (i64::MAX, i64::MIN);
    for segment in segments {
        let summary = ZoneSummary::decode(segment.zone_summary.as_ref()).ok()?;
        let column = summary.columns.iter().find(|column| column.column_id == column_id)?;
        bounds = (bounds.0.min(column.min), bounds.1.max(column.max));
    }
    (bounds.0 <= bounds.1).then_some(bounds)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Decimal128Array, Float64Array, Int32Array, StringViewArray},
        datatypes::Field,
    };

    use super::*;

    /// A segment of one column with id 7 that is written in these batches.
    fn segment(batches: Vec<ArrayRef>) -> SegmentRef {
        let field = Field::new("a", batches[0].data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let mut summary = SummaryWriter::new(&schema, &[7]);
        for column in batches {
            summary.note(&RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap());
        }
        SegmentRef { zone_summary: summary.finish(), ..SegmentRef::default() }
    }

    fn integers(values: &[Option<i32>]) -> ArrayRef {
        Arc::new(Int32Array::from(values.to_vec()))
    }

    #[test]
    fn bounds_are_those_of_all_segments() {
        let one = segment(vec![integers(&[Some(3), None]), integers(&[Some(-9), Some(2)])]);
        let two = segment(vec![integers(&[Some(40)])]);
        let nulls = segment(vec![integers(&[None, None])]);
        let of = |segments: &[&SegmentRef]| {
            bounds(&segments.iter().map(|s| (*s).clone()).collect::<Vec<_>>(), 7)
        };
        assert_eq!(of(&[&one]), Some((-9, 3)));
        assert_eq!(of(&[&one, &two]), Some((-9, 40)));
        assert_eq!(of(&[&two, &nulls]), Some((40, 40)));
        assert_eq!(of(&[&nulls]), None);
        assert_eq!(of(&[]), None);
        // Written before there were summaries; another column; not what a summary looks like.
        assert_eq!(of(&[&one, &SegmentRef::default()]), None);
        assert_eq!(bounds(std::slice::from_ref(&one), 8), None);
        let garbage = SegmentRef { zone_summary: vec![0xff; 9].into(), ..one.clone() };
        assert_eq!(of(&[&one, &garbage]), None);
        let counted = ZoneSummary::decode(one.zone_summary.as_ref()).unwrap();
        assert_eq!(counted.columns[0].nulls, 1);
    }

    #[test]
    fn decimals_are_unscaled_and_other_types_have_none() {
        let decimals = |precision, values: Vec<i128>| -> ArrayRef {
            let array = Decimal128Array::from(values);
            Arc::new(array.with_precision_and_scale(precision, 2).unwrap())
        };
        let of = |array| bounds(&[segment(vec![array])], 7);
        assert_eq!(of(decimals(15, vec![-150, 99_999])), Some((-150, 99_999)));
        assert_eq!(of(decimals(19, vec![1])), None);
        // More digits than the type says: nothing is known any more, whatever comes later.
        let wide = decimals(18, vec![i128::MAX]);
        assert_eq!(bounds(&[segment(vec![wide, decimals(18, vec![1])])], 7), None);
        assert_eq!(of(Arc::new(StringViewArray::from(vec!["a"]))), None);
        assert_eq!(of(Arc::new(Float64Array::from(vec![1.0]))), None);
        assert_eq!(of(Arc::new(arrow::array::Date32Array::from(vec![9, 7]))), Some((7, 9)));
        assert_eq!(Zone::of(&arrow::array::new_empty_array(&DataType::Utf8View)), None);
    }

    #[test]
    fn few_strings_are_counted() {
        let strings = |from: usize, to: usize| -> ArrayRef {
            let strings = (from..to).map(|n| (n % 7 > 0).then(|| n.to_string()));
            Arc::new(strings.collect::<StringViewArray>())
        };
        let of = |segments: &[&SegmentRef]| {
            distinct_strings(&segments.iter().map(|s| (*s).clone()).collect::<Vec<_>>(), 7)
        };
        let few = segment(vec![strings(0, 14), strings(1, 15)]);
        let most = segment(vec![strings(0, 299)]);
        let many = segment(vec![strings(0, 200), strings(200, 400)]);
        assert_eq!(of(&[&few]), Some(12));
        assert_eq!(of(&[&few, &most]), Some(12 + 256));
        assert_eq!(of(&[&few, &many]), None);
        assert_eq!(of(&[&few, &SegmentRef::default()]), None);
        assert_eq!(of(&[&segment(vec![integers(&[Some(1)])])]), None);
        assert_eq!(bounds(&[few], 7), None);
    }
}
