//! Partitioned tables and their partitions. The rules and messages are PostgreSQL's (`DefineRelation`,
//! `transformPartitionSpec`, commands/tablecmds.c; partitioning/partbounds.c); lists of partitions, and
//! what ALTER TABLE does with a partition by its short name, are Greenplum's.

mod alter;
mod attach;
mod bound;
mod create;
mod follow;
mod hash;
mod leaf;
mod parts;
#[cfg(test)]
mod tests;

use datafusion::common::ScalarValue;
use kestrel_proto::Result;

pub(super) use alter::alter;
pub(super) use create::{create_partition, declare};
pub(super) use follow::spread;

use crate::catalog::SqlType;

/// Computes an expression of a bound, in the type of its column.
pub type BoundValues<'a> = &'a dyn Fn(&str, SqlType) -> Result<ScalarValue>;
