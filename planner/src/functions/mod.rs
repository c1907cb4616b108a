//! The functions Kestrel knows, the same on the coordinator and on every datanode.
//!
//! Results are PostgreSQL's: where DataFusion's function differs in type, rounding or errors, one of
//! ours stands under its name. Fragments carry functions by name, so both ends must know the same
//! ones: [`FunctionRegistry::fingerprint`] is compared when they meet.

mod aggregate;
mod arithmetic;
mod array;
mod cast;
mod civil;
mod coalesce;
mod compare;
mod datetime;
mod decimal;
mod formats;
mod json;
mod known;
mod literal;
mod math;
mod nullable;
mod operand;
mod operators;
mod regex;
mod registry;
mod row;
mod series;
mod single_row;
mod string;
#[cfg(test)]
mod tests;
mod window;
mod zone;

pub(crate) use cast::is_cast;
pub use cast::{assign_to, assign_values, cast_to, output, read_text, read_texts};
pub(crate) use cast::{normal_interval, parse_timestamp_tz, text_of};
pub use decimal::field_overflow;
pub use formats::{
    ByteaOutput, DateOrder, DateStyle, DateStyleFormat, FORMAT_SETTINGS, IntervalStyle,
    SessionFormats,
};
pub use known::{ExactFunction, PlainAggregate};
pub use literal::narrow_integer_literal;
pub(crate) use nullable::{sql_held, sql_nullable};
pub use operators::{postgresql_expr, postgresql_plan, postgresql_syntax};
pub(crate) use operators::{row_call, sql_call};
pub use registry::FunctionRegistry;
pub(crate) use single_row::sql_single_row;
pub(crate) use window::row_number;
pub use zone::{Zone, ZoneFacts, time_zone_abbreviations, time_zone_setting, time_zones};

pub(crate) use arithmetic::{Arithmetic, Negate};

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{
    AggregateUDF, ScalarUDF, ScalarUDFImpl, WindowUDF, planner::ExprPlanner,
};

use self::{
    arithmetic::ArithmeticFunction,
    cast::{CastFunction, CastKind, ToNumeric},
};
use crate::catalog::SqlType;

/// Kestrel's scalar functions; each replaces DataFusion's of the same name.
fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions: Vec<Arc<ScalarUDF>> = vec![
        function(Negate::new()),
        function(CastFunction::new(CastKind::Explicit)),
        function(CastFunction::new(CastKind::Assignment)),
        function(ToNumeric::new()),
        function(nullable::Nullable::new()),
        function(coalesce::Coalesce::default()),
        function(single_row::SingleRow::new()),
    ];
    functions.extend(Arithmetic::ALL.map(|op| function(ArithmeticFunction::new(op))));
    functions.extend(compare::all());
    functions.extend(datetime::all());
    functions.extend(math::all());
    functions.extend(string::all());
    functions.extend(row::all());
    functions
}

fn function(implementation: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(implementation))
}

/// Kestrel's aggregate functions; each replaces DataFusion's of the same name.
fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    aggregate::all()
}

/// Kestrel's window functions; each replaces DataFusion's of the same name.
fn window_functions() -> Vec<Arc<WindowUDF>> {
    window::all()
}

/// What turns operators and special syntax into function calls; asked before DataFusion's own.
fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![Arc::new(operators::PostgresqlOperators)]
}

/// Is there a function of this name that is computed row by row?
pub(crate) fn is_row_function(name: &str) -> bool {
    row::named(name).is_some()
}

/// PostgreSQL's name of the type that an Arrow type holds, without modifiers.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    if *data_type == DataType::Null {
        return "unknown".into();
    }
    match SqlType::of_arrow(data_type) {
        Some(SqlType::Numeric(..)) => "numeric".into(),
        Some(sql_type) => sql_type.to_string(),
        None => data_type.to_string(),
    }
}
