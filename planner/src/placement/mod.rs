//! Which bucket a row belongs to, and so which datanode.
//!
//! The hash is the one with which PostgreSQL places rows in hash partitions
//! (`compute_partition_hash_value` in `src/backend/partitioning/partbounds.c`), bit for bit, so
//! that a PostgreSQL or KingbaseES shard can check its own rows in SQL:
//!
//! ```sql
//! -- the bucket of a bigint key
//! SELECT ((hashint8extended(k, 8816678312871386365) & 4095) + 2275) & 4095 FROM t;
//! ```
//!
//! From a row to its datanode:
//!
//! 1. [`hash_column`] hashes each value with its type's hash function and folds it into the hash of
//!    its row, key column by key column. NULL leaves the row's hash as it was.
//! 2. [`buckets`] takes the row hashes modulo 4096.
//! 3. [`owners`] looks the buckets up in the bucket map.
//! 4. [`split`] cuts a batch into one batch per receiver.
//!
//! Values of one [`HashClass`](crate::catalog::HashClass) that are equal hash alike, whatever their
//! Arrow type: `smallint 1` and `bigint 1`, `numeric 1` and `numeric 1.00`. Values of different
//! classes do not: `integer 1` and `numeric 1` are in different buckets.

mod bucket;
mod column;
mod jenkins;
mod numeric;
mod scalar;
mod split;
#[cfg(test)]
mod tests;

pub use bucket::{bucket_of_hash, buckets, owners};
pub use column::hash_column;
pub use split::split;
