//! Functions of dates, times, timestamps and intervals.

mod date_part;
mod date_trunc;
mod interval_pattern;
mod make;
mod now;
mod part;
mod pattern;
mod rows;
mod to_char;

pub(crate) use date_part::{DatePart, Extract};
pub(crate) use date_trunc::DateTrunc;
pub(crate) use now::of_word;
pub(crate) use rows::ROW_FUNCTIONS;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::function;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        function(Extract::new()),
        function(DatePart::new()),
        function(DateTrunc::new()),
        function(make::MakeDate::new()),
        function(make::Age::new()),
        function(make::AtTimeZone::new()),
        function(to_char::ToChar::new()),
        function(to_char::FromText::new(true)),
        function(to_char::FromText::new(false)),
    ];
    functions.extend(now::all());
    functions
}
