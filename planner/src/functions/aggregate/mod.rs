//! Aggregate functions with PostgreSQL's result types: exact or an error.
//!
//! All run in two phases: the state of one datanode is merged on another. `stddev` and `variance`
//! over integers and numerics are DataFusion's, and give double precision where PostgreSQL gives
//! numeric.

mod avg;
mod column_statistics;
mod distinct;
mod group_statistics;
mod min_max;
mod sum;
mod summand;

pub(super) use avg::Avg;
pub(super) use min_max::MinMax;
pub(super) use sum::Sum;

use std::sync::Arc;

use datafusion::{
    functions_aggregate::{
        bool_and_or::bool_and_udaf,
        min_max::{max_udaf, min_udaf},
        variance::var_samp_udaf,
    },
    logical_expr::AggregateUDF,
};

/// All of them.
pub(super) fn all() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(AggregateUDF::new_from_impl(sum::Sum::new())),
        Arc::new(AggregateUDF::new_from_impl(avg::Avg::new())),
        Arc::new(AggregateUDF::new_from_impl(min_max::MinMax::new(min_udaf()))),
        Arc::new(AggregateUDF::new_from_impl(min_max::MinMax::new(max_udaf()))),
        Arc::new(AggregateUDF::new_from_impl(column_statistics::ColumnStatisticsOf::new())),
        Arc::new(AggregateUDF::new_from_impl(group_statistics::GroupStatisticsOf::new())),
        Arc::new(bool_and_udaf().as_ref().clone().with_aliases(["every"])),
        Arc::new(var_samp_udaf().as_ref().clone().with_aliases(["variance"])),
    ]
}
