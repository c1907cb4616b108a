//! From the engine's errors to reports, and back.

pub(crate) use kestrel_planner::error::{report, to_datafusion};
