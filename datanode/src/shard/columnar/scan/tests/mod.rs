//! Scans of tables with random rows, against DataFusion's filter over the same rows.

mod conjuncts;
mod limits;
mod partitions;
mod pruning;
mod raw;
mod runtime_filters;
mod sharing;
mod table;
