//! The functions Kestrel knows, the same on the coordinator and on every datanode.
//!
//! Results are PostgreSQL's: where DataFusion's function differs in type, rounding or errors, one of
//! ours stands under its name. Fragments carry functions by name, so both ends must know the same
//! ones: [`FunctionRegistry::fingerprint`] is compared when they meet.

mod registry;

pub use registry::FunctionRegistry;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF, planner::ExprPlanner};

/// Kestrel's scalar functions; each replaces DataFusion's of the same name.
fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    vec![]
}

/// Kestrel's aggregate functions; each replaces DataFusion's of the same name.
fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![]
}

/// Kestrel's window functions; each replaces DataFusion's of the same name.
fn window_functions() -> Vec<Arc<WindowUDF>> {
    vec![]
}

/// What turns operators and special syntax into function calls; asked before DataFusion's own.
fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![]
}
