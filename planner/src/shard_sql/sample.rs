//! A sample of a table's rows, taken where they are: of a table with many blocks some of the blocks, and of
//! those some of the rows.
//!
//! ```text
//! SELECT "a" FROM "s"."t" TABLESAMPLE SYSTEM (12.5) WHERE (pg_catalog.random() < '0.08'::pg_catalog.float8)
//! ```
//!
//! This is what PostgreSQL's own ANALYZE reads (`acquire_sample_rows`, analyze.c): as many blocks as it wants
//! rows, and some rows of each. `SYSTEM` without the condition gives few blocks and all of their rows,
//! which are alike where rows were loaded in an order; `BERNOULLI` reads all blocks.

use kestrel_proto::message::RowSample;

/// Of a server as it is mostly built.
const BLOCK_BYTES: u64 = 8192;
/// So many times the rows that are wanted are read as they are: a sample that could have all of them is none
/// (`Sample` of `statistics::collect` keeps up to twice as many as it must).
const FEW_TIMES: u64 = 2;

/// How much of a table in databases is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleSize {
    /// Between 0 and 1: the part of the rows. It is the same on each datanode, so that each row is as likely
    /// as any other.
    part: f64,
    /// No more blocks than this are read in one database, unless there must be more for so many rows.
    blocks: u64,
}

impl SampleSize {
    /// About `wanted` of `rows` rows. `None`: that is most of them, and all are to be read.
    pub fn of(rows: u64, wanted: u64) -> Option<Self> {
        let is_large = rows > wanted.saturating_mul(FEW_TIMES) && wanted > 0;
        is_large.then(|| Self { part: wanted as f64 / rows as f64, blocks: wanted })
    }

    /// How many of so many rows are read.
    pub fn rows_of(self, rows: u64) -> u64 {
        (rows as f64 * self.part).ceil() as u64
    }

    /// What is read in a database where the table has so many bytes; 0: that is not known.
    pub fn on(self, bytes: u64) -> RowSample {
        let there = (bytes / BLOCK_BYTES).max(1);
        let blocks = (self.blocks as f64 / there as f64).max(self.part).min(1.0);
        RowSample { blocks, rows: (self.part / blocks).min(1.0) }
    }
}

/// What follows the table's name.
pub(super) fn clause(sample: &RowSample) -> String {
    match sample.blocks < 1.0 {
        true => format!(" TABLESAMPLE SYSTEM ({})", sample.blocks * 100.0),
        false => String::new(),
    }
}

/// The condition that its rows have; `None`: all of those blocks' rows are read.
pub(super) fn condition(sample: &RowSample) -> Option<String> {
    let rows = sample.rows;
    (rows < 1.0).then(|| format!("(pg_catalog.random() < '{rows}'::pg_catalog.float8)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows, those that are wanted, bytes: what is read.
    fn read(rows: u64, wanted: u64, bytes: u64) -> Option<(String, String)> {
        let sample = SampleSize::of(rows, wanted)?.on(bytes);
        Some((clause(&sample), condition(&sample).unwrap_or_default()))
    }

    fn texts(clause: &str, condition: &str) -> Option<(String, String)> {
        Some((clause.into(), condition.into()))
    }

    #[test]
    fn few_rows_are_read_as_they_are() {
        assert_eq!(read(0, 30_000, 0), None);
        assert_eq!(read(60_000, 30_000, 6_000_000), None);
        assert_eq!(read(1000, 0, 8192), None);
        assert_eq!(read(u64::MAX, u64::MAX, 8192), None);
    }

    #[test]
    fn rows_come_of_many_blocks() {
        let few_rows = "(pg_catalog.random() < '0.125'::pg_catalog.float8)";
        // All blocks are read where there are few, or nobody knows.
        assert_eq!(read(8000, 1000, 1000 * BLOCK_BYTES), texts("", few_rows));
        assert_eq!(read(8000, 1000, 0), texts("", few_rows));
        // Of the others an eighth of the rows that are wanted.
        assert_eq!(
            read(64_000, 1000, 8000 * BLOCK_BYTES),
            texts(" TABLESAMPLE SYSTEM (12.5)", few_rows)
        );
        // A row in a block, and most of it elsewhere.
        assert_eq!(read(8000, 1000, 16_000 * BLOCK_BYTES), texts(" TABLESAMPLE SYSTEM (12.5)", ""));
        // No exponents, however small.
        let (clause, condition) = read(1 << 40, 1 << 10, 1 << 50).unwrap();
        assert!(!clause.contains('e') && !condition.contains("e-"), "{clause} {condition}");
    }

    #[test]
    fn so_many_rows_are_expected() {
        let size = SampleSize::of(8000, 1000).unwrap();
        assert_eq!((size.rows_of(4000), size.rows_of(1), size.rows_of(0)), (500, 1, 0));
    }
}
