//! One batch into one batch per receiver.

use arrow::{
    array::{RecordBatch, RecordBatchOptions, UInt32Array},
    compute::take,
    error::ArrowError,
};
use kestrel_proto::{ErrorReport, Result};

/// Cuts `batch` into one batch for each of `receivers`, by the receiver number of each row; `None`
/// for a receiver without rows. Rows keep their order.
///
/// ```text
/// rows       a b c d e      receiver 0: a d
/// receivers  0 2 2 0 2      receiver 1: None
///                           receiver 2: b c e
/// ```
///
/// A batch that goes to one receiver as a whole is not copied. String views of the parts share the
/// buffers of `batch`: whoever encodes or keeps a part compacts it first.
///
/// # Errors
///
/// Internal errors (XX000): not one receiver per row, or a receiver number that is too high.
pub fn split(
    batch: &RecordBatch,
    receiver_of_row: &[u32],
    receivers: usize,
) -> Result<Vec<Option<RecordBatch>>> {
    if receiver_of_row.len() != batch.num_rows() {
        return Err(ErrorReport::internal(format!(
            "{} receivers are given for {} rows",
            receiver_of_row.len(),
            batch.num_rows()
        )));
    }
    let mut rows_of = vec![Vec::new(); receivers];
    for (row, receiver) in receiver_of_row.iter().enumerate() {
        let Some(rows) = rows_of.get_mut(*receiver as usize) else {
            return Err(ErrorReport::internal(format!(
                "a row goes to receiver {receiver} of {receivers}"
            )));
        };
        rows.push(row as u32);
    }
    rows_of.into_iter().map(|rows| part(batch, rows)).collect()
}

fn part(batch: &RecordBatch, rows: Vec<u32>) -> Result<Option<RecordBatch>> {
    if rows.is_empty() {
        return Ok(None);
    }
    if rows.len() == batch.num_rows() {
        return Ok(Some(batch.clone()));
    }
    take_rows(batch, rows)
        .map(Some)
        .map_err(|e| ErrorReport::internal(format!("cannot split a batch: {e}")))
}

/// As arrow's `take_record_batch`, which fails on a batch without columns.
fn take_rows(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let rows = UInt32Array::from(rows);
    let columns = batch.columns().iter().map(|column| take(column, &rows, None));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, AsArray, Int32Array, StringViewArray},
        datatypes::{Int32Type, Schema},
    };
    use kestrel_proto::SqlState;

    use super::*;

    fn batch() -> RecordBatch {
        let names: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b", "c", "d", "e"]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![0, 1, 2, 3, 4]));
        RecordBatch::try_from_iter([("name", names), ("number", numbers)]).unwrap()
    }

    #[test]
    fn every_row_goes_to_its_receiver_in_order() {
        let cases: [(&[u32], &[&[i32]]); 4] = [
            (&[0, 2, 2, 0, 2], &[&[0, 3], &[], &[1, 2, 4]]),
            (&[1, 1, 1, 1, 1], &[&[], &[0, 1, 2, 3, 4], &[]]),
            (&[4, 3, 2, 1, 0], &[&[4], &[3], &[2], &[1], &[0]]),
            (&[0, 0, 0, 0, 0], &[&[0, 1, 2, 3, 4]]),
        ];
        for (receiver_of_row, expected) in cases {
            let parts = split(&batch(), receiver_of_row, expected.len()).unwrap();
            let rows =
                |part: &RecordBatch| part["number"].as_primitive::<Int32Type>().values().to_vec();
            let found: Vec<_> = parts.iter().map(|p| p.as_ref().map_or(vec![], rows)).collect();
            assert_eq!(found, expected);
            for part in parts.iter().flatten() {
                let names: Vec<_> = part["name"].as_string_view().iter().flatten().collect();
                let all = ["a", "b", "c", "d", "e"];
                assert_eq!(names, rows(part).iter().map(|n| all[*n as usize]).collect::<Vec<_>>());
                assert_eq!(part.schema(), batch().schema());
            }
            // An empty batch is a message without content: it must not be sent.
            assert!(parts.iter().flatten().all(|part| part.num_rows() > 0));
        }
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let parts = split(&batch, &[1, 0, 1], 2).unwrap();
        let rows: Vec<_> = parts.iter().flatten().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [1, 2]);
    }

    #[test]
    fn receivers_that_do_not_fit_the_batch_are_a_bug() {
        let cases: [(&[u32], &str); 3] = [
            (&[0, 0, 0, 0], "4 receivers are given for 5 rows"),
            (&[0, 0, 0, 0, 0, 0], "6 receivers are given for 5 rows"),
            (&[0, 1, 2, 3, 0], "receiver 3 of 3"),
        ];
        for (receiver_of_row, message) in cases {
            let error = split(&batch(), receiver_of_row, 3).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::INTERNAL_ERROR);
            assert!(error.message.contains(message), "{error}");
        }
    }
}
