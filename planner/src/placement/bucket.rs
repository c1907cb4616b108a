//! From key columns to buckets, from buckets to datanodes.

use arrow::array::{Array, ArrayRef};
use kestrel_proto::{BUCKET_COUNT, BucketMap, ErrorReport, Result};

use super::hash_column;
use crate::catalog::HashClass;

/// The bucket of every row of a key: PostgreSQL's remainder of the key in a table partitioned by
/// hash with modulus 4096 (`satisfies_hash_partition` in `partbounds.c`).
///
/// One class per column, in the order of the key; the order matters.
///
/// # Errors
///
/// Internal errors (XX000): no columns, as many classes as columns are not given, or an error of
/// [`hash_column`].
pub fn buckets(columns: &[ArrayRef], classes: &[HashClass]) -> Result<Vec<u16>> {
    let Some(first) = columns.first() else {
        return Err(ErrorReport::internal("a distribution key has no columns"));
    };
    if columns.len() != classes.len() {
        return Err(ErrorReport::internal(format!(
            "a distribution key of {} columns is hashed as one of {}",
            columns.len(),
            classes.len()
        )));
    }
    let mut rows = vec![0; first.len()];
    for (column, class) in columns.iter().zip(classes) {
        hash_column(column, *class, &mut rows)?;
    }
    Ok(rows.into_iter().map(bucket_of_hash).collect())
}

/// The bucket of a row whose key's columns have been folded into this hash.
pub fn bucket_of_hash(hash: u64) -> u16 {
    (hash % BUCKET_COUNT as u64) as u16
}

/// The datanode that owns each bucket, as the receiver numbers that [`split`](super::split) takes.
pub fn owners(buckets: &[u16], map: &BucketMap) -> Vec<u32> {
    buckets.iter().map(|bucket| map.owner(*bucket).0).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, NullArray, StringArray, UInt64Array};
    use kestrel_proto::{DatanodeId, SqlState};

    use super::*;

    #[test]
    fn a_key_that_is_all_null_is_in_bucket_0() {
        let untyped: ArrayRef = Arc::new(NullArray::new(2));
        let typed: ArrayRef = Arc::new(Int32Array::from(vec![None, None]));
        let found = buckets(&[untyped, typed], &[HashClass::Text, HashClass::Integer]);
        assert_eq!(found, Ok(vec![0, 0]));
    }

    #[test]
    fn no_rows_have_no_buckets() {
        let none: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
        assert_eq!(buckets(&[none], &[HashClass::Text]), Ok(vec![]));
    }

    #[test]
    fn mixed_up_columns_are_a_bug() {
        let number: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
        let two: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let cases: [(&[&ArrayRef], &[HashClass], &str); 6] = [
            (&[], &[], "no columns"),
            (&[&number], &[], "1 columns is hashed as one of 0"),
            (&[&number], &[HashClass::Integer; 2], "1 columns is hashed as one of 2"),
            (&[&number, &two], &[HashClass::Integer; 2], "2 rows where 1 are hashed"),
            (&[&number], &[HashClass::Numeric], "class Numeric is held as Int32"),
            (&[&unsigned], &[HashClass::Integer], "class Integer is held as UInt64"),
        ];
        for (columns, classes, message) in cases {
            let columns: Vec<ArrayRef> = columns.iter().map(|column| Arc::clone(column)).collect();
            let error = buckets(&columns, classes).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::INTERNAL_ERROR);
            assert!(error.message.contains(message), "{error}");
        }
    }

    #[test]
    fn owners_are_the_maps() {
        let map = BucketMap::even(1, 3);
        let found = owners(&[0, 1365, 1366, 4095], &map);
        assert_eq!(found, [0, 0, 1, 2]);
        assert_eq!(map.owner(1366), DatanodeId(1));
    }
}
