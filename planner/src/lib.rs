//! SQL text to fragments. Pure: no IO, no clock, no tasks.

pub mod catalog;
pub mod ddl;
pub mod error;
pub mod functions;
pub mod operators;
pub mod parse;
pub mod placement;
