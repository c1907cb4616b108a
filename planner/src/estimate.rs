//! How many rows and bytes, as far as row counts alone tell. Until a table is analyzed these are
//! rules of thumb, those of PostgreSQL's selfuncs.h where it has one.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, InListExpr, IsNullExpr, LikeExpr, NotExpr},
        utils::split_conjunction,
    },
};

/// DEFAULT_EQ_SEL is 0.005; our tables have fewer distinct values where people filter.
const EQUALITY: f64 = 0.05;
/// DEFAULT_INEQ_SEL.
const INEQUALITY: f64 = 1.0 / 3.0;
/// DEFAULT_MATCH_SEL is 0.005; TPC-H-like patterns keep more.
const MATCH: f64 = 0.1;
/// Anything else.
const OTHER: f64 = 0.25;
/// Bytes assumed for a string, with its view.
const STRING_WIDTH: usize = 32;

/// The size of an operator's output over all datanodes; of one copy, where there are several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Rows.
    pub rows: f64,
    /// Rows of the largest table below, without its filters: what a key of it can have of
    /// distinct values.
    pub base_rows: f64,
    /// Bytes per row.
    pub width: usize,
}

impl Estimate {
    /// Rows times width.
    pub fn bytes(&self) -> f64 {
        self.rows * self.width as f64
    }

    /// The same source, with other rows and another width.
    pub fn with(self, rows: f64, schema: &Schema) -> Self {
        Self { rows: rows.max(1.0), base_rows: self.base_rows, width: row_width(schema) }
    }

    /// An inner join on equality: a key of the smaller base is taken for unique there.
    pub fn equi_join(self, other: Self, schema: &Schema) -> Self {
        let distinct = self.base_rows.min(other.base_rows).max(1.0);
        Self {
            rows: (self.rows * other.rows / distinct).max(1.0),
            base_rows: self.base_rows.max(other.base_rows),
            width: row_width(schema),
        }
    }
}

/// Bytes of a row in memory.
pub fn row_width(schema: &Schema) -> usize {
    let widths = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Boolean => 1,
        other => other.primitive_width().unwrap_or(STRING_WIDTH),
    });
    widths.sum::<usize>().max(1)
}

/// Rows that pass all conjuncts.
pub fn filtered_rows(rows: f64, filters: &[Arc<dyn PhysicalExpr>]) -> f64 {
    let all = filters.iter().flat_map(|f| split_conjunction(f));
    let kept = all.fold(rows, |kept, conjunct| kept * selectivity(conjunct.as_ref()));
    kept.max(1.0).min(rows.max(1.0))
}

fn selectivity(expr: &dyn PhysicalExpr) -> f64 {
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        let (left, right) = (binary.left().as_ref(), binary.right().as_ref());
        return match binary.op() {
            Operator::And => selectivity(left) * selectivity(right),
            Operator::Or => {
                let (a, b) = (selectivity(left), selectivity(right));
                a + b - a * b
            }
            Operator::Eq | Operator::IsNotDistinctFrom => EQUALITY,
            Operator::NotEq | Operator::IsDistinctFrom => 1.0 - EQUALITY,
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => INEQUALITY,
            _ => OTHER,
        };
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        let within = (list.list().len() as f64 * EQUALITY).min(0.5);
        return if list.negated() { 1.0 - within } else { within };
    }
    if let Some(like) = expr.downcast_ref::<LikeExpr>() {
        return if like.negated() { 1.0 - MATCH } else { MATCH };
    }
    if let Some(not) = expr.downcast_ref::<NotExpr>() {
        return 1.0 - selectivity(not.arg().as_ref());
    }
    if expr.downcast_ref::<IsNullExpr>().is_some() { EQUALITY } else { OTHER }
}
