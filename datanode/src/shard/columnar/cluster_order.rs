//! Where a segment's rows are in the order of clustering columns, as its summary has it.

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::Schema,
    row::{RowConverter, SortField},
};
use kestrel_proto::{Result, message::ClusterOrder};

use super::sort_buffer::{ORDER, positions, types};
use crate::error::report;

/// Bytes of a key that are kept.
const KEY_BYTES_MAX: usize = 64;

/// Grows with the rows of a segment.
#[derive(Debug)]
pub(super) struct OrderWriter {
    /// Positions of the clustering columns.
    columns: Vec<usize>,
    converter: RowConverter,
    order: ClusterOrder,
    /// Of the last row that was seen; the whole key.
    previous: Option<Vec<u8>>,
    /// The greatest key.
    greatest: Vec<u8>,
}

impl OrderWriter {
    /// Of no rows yet; `None`: there are no clustering columns.
    ///
    /// # Errors
    /// XX000: a clustering column is none of the table's, or of a type without an order.
    pub(super) fn new(
        cluster_by: &[u32],
        schema: &Schema,
        column_ids: &[u32],
    ) -> Result<Option<Self>> {
        if cluster_by.is_empty() {
            return Ok(None);
        }
        let columns = positions(cluster_by, column_ids)?;
        let fields = columns.iter().filter_map(|at| schema.fields().get(*at));
        let fields =
            fields.map(|field| SortField::new_with_options(field.data_type().clone(), ORDER));
        let converter = RowConverter::new(fields.collect());
        let converter = converter.map_err(|error| report(error.into()))?;
        let order = ClusterOrder {
            column_ids: cluster_by.to_vec(),
            types: types(&columns, schema),
            is_sorted: true,
            ..ClusterOrder::default()
        };
        Ok(Some(Self { columns, converter, order, previous: None, greatest: Vec::new() }))
    }

    /// Rows of the table, which are in order among themselves.
    ///
    /// # Errors
    /// XX000: they are not of the table.
    pub(super) fn note(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some(last) = rows.num_rows().checked_sub(1) else { return Ok(()) };
        let (first, last) = (self.key(rows, 0)?, self.key(rows, last)?);
        match &self.previous {
            None => self.order.first = cut(&first).to_vec().into(),
            Some(previous) if *previous <= first => {}
            Some(_) => {
                self.order.is_sorted = false;
                let least = self.order.first.as_ref().min(cut(&first));
                self.order.first = least.to_vec().into();
            }
        }
        self.greatest = last.clone().max(std::mem::take(&mut self.greatest));
        self.previous = Some(last);
        Ok(())
    }

    fn key(&self, rows: &RecordBatch, row: usize) -> Result<Vec<u8>> {
        let columns = self.columns.iter().filter_map(|at| rows.columns().get(*at));
        let columns: Vec<ArrayRef> = columns.map(|column| column.slice(row, 1)).collect();
        let keys = self.converter.convert_columns(&columns);
        let keys = keys.map_err(|error| report(error.into()))?;
        Ok(keys.row(0).as_ref().to_vec())
    }

    /// As the summary holds it.
    pub(super) fn finish(&self) -> ClusterOrder {
        ClusterOrder { last: cut(&self.greatest).to_vec().into(), ..self.order.clone() }
    }
}

fn cut(key: &[u8]) -> &[u8] {
    key.get(..KEY_BYTES_MAX).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int32Array, StringViewArray},
        datatypes::{DataType, Field},
    };

    use super::*;

    /// The order of a segment that was written in these batches, by its second column and its first.
    fn order(batches: &[&[(Option<i32>, &str)]]) -> ClusterOrder {
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int32, true),
            Field::new("b", DataType::Utf8View, false),
        ]));
        let mut writer = OrderWriter::new(&[9, 4], &schema, &[4, 9]).unwrap().unwrap();
        for rows in batches {
            let a: Int32Array = rows.iter().map(|(a, _)| *a).collect();
            let b: StringViewArray = rows.iter().map(|(_, b)| Some(*b)).collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(a), Arc::new(b)];
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
            writer.note(&batch).unwrap();
        }
        writer.finish()
    }

    #[test]
    fn keys_compare_as_rows_do() {
        let one = order(&[&[(Some(-5), "a"), (Some(7), "a")], &[(None, "a"), (Some(0), "b")]]);
        assert_eq!((one.column_ids.as_slice(), one.is_sorted), (&[9, 4][..], true));
        assert_eq!(one.types, ["Utf8View", "Int32"]);
        let next = order(&[&[(Some(0), "b"), (Some(1), "b")]]);
        assert!(one.first < one.last);
        assert_eq!(one.last, next.first);
        assert!(next.first < next.last);
        // Behind all values.
        let null = order(&[&[(None, "a")]]);
        assert!(one.first < null.first && null.first < one.last);
        assert!(order(&[&[(Some(i32::MAX), "a")]]).first < null.first);
    }

    #[test]
    fn runs_are_no_order() {
        let runs = order(&[&[(Some(5), "m"), (Some(9), "x")], &[(Some(3), "b"), (Some(4), "n")]]);
        assert!(!runs.is_sorted);
        let sorted = order(&[&[(Some(3), "b"), (Some(9), "x")]]);
        assert_eq!((runs.first, runs.last), (sorted.first, sorted.last));
        assert!(OrderWriter::new(&[], &Schema::empty(), &[]).unwrap().is_none());
        // A long key is cut; it still is where it was.
        let long = "x".repeat(500);
        let long = order(&[&[(Some(0), "b"), (Some(0), &long)]]);
        assert_eq!(long.last.len(), KEY_BYTES_MAX);
        assert!(long.first < long.last);
    }
}
