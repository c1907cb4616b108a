//! SQL text to fragments. Pure: no IO, no clock, no tasks.
//!
//! The life of a query, here:
//!
//! 1. [`parse::parse`] makes statements of the text.
//! 2. [`bind::bind_query`] gives names and types their meaning over one [`catalog::Catalog`].
//! 3. [`plan::Planner::plan`] lets DataFusion rewrite the logical plan and make an initial
//!    physical one,
//! 4. is rewritten where that makes it cheaper,
//! 5. puts every operator on a [`locus::Locus`] with [`distribute::Distributor`], with a
//!    [`motion::Motion`] wherever rows are not where an operator needs them,
//! 6. proves that again with [`distribute::check`],
//! 7. and cuts the plan at the motions: [`slice::slice`].
//! 8. [`codec::encode_plan`] makes the bytes of a slice for one datanode;
//!    [`codec::decode_plan`] reads them there.
//!
//! [`access`] decides whether a role may do that.
//!
//! [`advice`] says what of a plan, its tables and its run could be better.
//!
//! DDL is a value: [`ddl::plan`] tells what changes in the catalog.

pub mod access;
pub mod advice;
pub mod bind;
pub mod cardinality;
pub mod catalog;
mod change_plan;
pub mod codec;
pub mod compaction;
pub mod copy;
pub mod ddl;
mod direct;
pub mod distribute;
mod drawn_conditions;
mod equality;
pub mod error;
pub mod explain;
mod finished_plan;
pub mod functions;
mod generic_plan;
mod group_keys;
mod join_keys;
pub mod join_order;
pub mod locus;
pub mod memory;
pub mod motion;
pub mod operators;
pub mod parse;
pub mod partition;
pub mod placement;
pub mod plan;
pub mod redistribution;
mod rewrite;
mod row_change_plan;
pub mod row_set;
pub mod rule_switches;
pub mod shard_sql;
pub mod slice;
pub mod statistics;
#[cfg(test)]
mod tests;
pub mod wire_binary;
