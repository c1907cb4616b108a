//! Functions of dates, times, timestamps and intervals.

mod date_part;
mod date_trunc;
mod part;

pub(crate) use date_part::{DatePart, Extract};
pub(crate) use date_trunc::DateTrunc;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::function;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![function(Extract::new()), function(DatePart::new()), function(DateTrunc::new())]
}
