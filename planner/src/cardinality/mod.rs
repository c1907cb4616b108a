//! Cardinality: how many rows an operator gives, and what is known of their values.
//!
//! A scan begins with what ANALYZE has found out ([`crate::statistics`]), or what the catalog counts
//! and segments' summaries tell. Every operator makes of its inputs' [`Estimate`]s its own: rows with a
//! lower and an upper bound, and [`ColumnFacts`] per column. Where nothing is known of a column, rules of
//! thumb stand for it, and the estimate says so ([`Estimate::is_guess`]).
//!
//! | What | How | After |
//! |---|---|---|
//! | `=`, IN, `<>` | common values, else the rest's distinct values | PostgreSQL, `var_eq_const` |
//! | `<`, BETWEEN | common values and the histogram, as one range per column | `scalarineqsel` |
//! | LIKE | common values and bounds of the histogram, tried; its fixed characters | `patternsel` |
//! | AND | exponential back-off, dependencies | SQL Server 2014; `dependencies.c` |
//! | joins | per equivalence class, common values of both sides, several keys damped | `eqjoinsel`, Trino |
//! | joins of what one condition has chosen | the values that both sides were found among | |
//! | `x = min(x)` of the row's group | one of the group's values | the coupon collector |
//! | groups | product that saturates at the rows; CREATE STATISTICS | Axiom; `estimate_num_groups` |
//! | sums, counts, averages of groups | normal, by the spread of what is summed | the law of total variance |
//! | `<` of one side and the other | each of one side's values, in the other's histogram | |
//! | partial groups | coupon collector, per datanode | |

mod column;
mod estimate;
mod expression;
mod groups;
mod join;
mod results;
mod selectivity;
mod skew;
mod table;
mod value_set;

pub use column::{ColumnFacts, Origin};
pub use estimate::{Estimate, row_width};
pub use groups::Groups;
pub use join::{JoinSides, On, join, pairs};
pub use selectivity::Selectivity;
pub use skew::redistribution;
pub(crate) use skew::scalar;
pub use table::TableFacts;

/// How many of `distinct` values so many rows have that take any of them (the coupon collector's
/// `d · (1 - (1 - 1/d)^n)`).
pub(crate) fn distinct_taken(distinct: f64, rows: f64) -> f64 {
    if distinct <= 1.0 { 1.0 } else { distinct * (1.0 - (1.0 - 1.0 / distinct).powf(rows)) }
}

/// How many of `distinct` values are left when `kept` of `rows` rows are, chosen without regard to
/// them (Yao 1977, as in PostgreSQL's `estimate_num_groups`, selfuncs.c).
pub(crate) fn distinct_left(distinct: f64, rows: f64, kept: f64) -> f64 {
    if distinct <= 1.0 || rows <= 0.0 || kept >= rows {
        return distinct.min(kept.max(1.0));
    }
    let per_value = (rows / distinct).max(1.0);
    let left = distinct * (1.0 - (1.0 - kept / rows).powf(per_value));
    left.clamp(1.0, kept.max(1.0))
}
