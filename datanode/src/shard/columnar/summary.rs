//! What is known of a segment's values without its file: the catalog keeps it with the segment.

use std::collections::{HashMap, HashSet};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array},
    datatypes::{DataType, Schema},
};
use bytes::Bytes;
use kestrel_proto::message::{ClusterOrder, ColumnSummary, SegmentRef, ZoneSummary};
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
    pub(super) fn finish(&self, order: Option<ClusterOrder>) -> Bytes {
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
        ZoneSummary { columns: columns.collect(), order }.encode_to_vec().into()
    }
}

/// What a segment's summary says of its columns, by their ids: of integers, and of strings that are all
/// NULL. Of a segment with so many rows.
pub(super) fn zones(segment: &SegmentRef, rows: usize) -> HashMap<u32, Zone> {
    let summary = ZoneSummary::decode(segment.zone_summary.as_ref()).unwrap_or_default();
    let zone = |column: &ColumnSummary| {
        let nulls = usize::try_from(column.nulls).ok()?;
        let zone = Zone { min: column.min, max: column.max, nulls, rows };
        (zone.min <= zone.max || nulls == rows).then_some((column.column_id, zone))
    };
    summary.columns.iter().filter_map(zone).collect()
}

/// What the summaries of some segments say of their columns together.
#[derive(Debug, Default)]
pub(crate) struct Summaries {
    /// By column id; of columns that every segment has a summary of.
    columns: HashMap<u32, Summary>,
}

#[derive(Debug)]
struct Summary {
    min: i64,
    max: i64,
    distinct: Option<usize>,
}

impl Summaries {
    /// Reads all summaries. One that cannot be read tells nothing of any column.
    pub(crate) fn of<'a>(segments: impl IntoIterator<Item = &'a SegmentRef>) -> Self {
        let mut together: Option<HashMap<u32, Summary>> = None;
        for segment in segments {
            let Ok(summary) = ZoneSummary::decode(segment.zone_summary.as_ref()) else {
                return Self::default();
            };
            let columns = summary.columns.into_iter();
            let columns = columns.map(|column| (column.column_id, Summary::of(&column)));
            let mut columns: HashMap<_, _> = columns.collect();
            if let Some(before) = together {
                columns.retain(|id, column| {
                    before.get(id).map(|before| column.merge(before)).is_some()
                });
            }
            together = Some(columns);
        }
        Self { columns: together.unwrap_or_default() }
    }

    /// Least and greatest value of a column, as chunks have them: decimals unscaled. `None`: not
    /// known, or there is no value.
    pub(crate) fn bounds(&self, column_id: u32) -> Option<(i64, i64)> {
        let column = self.columns.get(&column_id)?;
        (column.min <= column.max).then_some((column.min, column.max))
    }

    /// How many different strings a column has, at most. `None`: not known, or too many in one
    /// segment.
    pub(crate) fn distinct_strings(&self, column_id: u32) -> Option<usize> {
        self.columns.get(&column_id)?.distinct
    }
}

impl Summary {
    fn of(column: &ColumnSummary) -> Self {
        let distinct = column.distinct.map(|distinct| distinct as usize);
        Self { min: column.min, max: column.max, distinct }
    }

    fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        let distinct = self.distinct.zip(other.distinct);
        self.distinct = distinct.map(|(one, other)| one.saturating_add(other));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Decimal128Array, Float64Array, Int32Array, StringViewArray},
        datatypes::Field,
    };

    use super::*;

    fn bounds(segments: &[SegmentRef], column_id: u32) -> Option<(i64, i64)> {
        Summaries::of(segments).bounds(column_id)
    }

    /// A segment of one column with id 7 that is written in these batches.
    fn segment(batches: Vec<ArrayRef>) -> SegmentRef {
        let field = Field::new("a", batches[0].data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let mut summary = SummaryWriter::new(&schema, &[7]);
        for column in batches {
            summary.note(&RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap());
        }
        SegmentRef { zone_summary: summary.finish(None), ..SegmentRef::default() }
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
        let of =
            |segments: &[&SegmentRef]| Summaries::of(segments.iter().copied()).distinct_strings(7);
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
