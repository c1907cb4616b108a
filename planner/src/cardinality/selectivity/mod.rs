//! Which part of the rows passes a condition.

mod conditions;
mod fraction;
mod pattern;
mod test;

use std::sync::Arc;

use datafusion::{
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, InListExpr, LikeExpr, Literal, NotExpr},
    },
};

pub(super) use conditions::Conditions;
pub(super) use test::{Comparison, Test};

use super::{ColumnFacts, expression::facts_of};

/// DEFAULT_EQ_SEL is 0.005; our tables have fewer distinct values where people filter.
pub(super) const EQUALITY: f64 = 0.05;
/// DEFAULT_INEQ_SEL.
pub(super) const INEQUALITY: f64 = 1.0 / 3.0;
/// DEFAULT_MATCH_SEL is 0.005; TPC-H-like patterns keep more.
pub(super) const MATCH: f64 = 0.1;
/// Anything else.
const OTHER: f64 = 0.25;

/// The part of the rows for which a condition is true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selectivity {
    /// 0 … 1
    pub fraction: f64,
    /// Is it a rule of thumb?
    pub is_guess: bool,
}

impl Selectivity {
    pub(super) fn known(fraction: f64) -> Self {
        Self { fraction: fraction.clamp(0.0, 1.0), is_guess: false }
    }

    pub(super) fn guess(fraction: f64) -> Self {
        Self { fraction: fraction.clamp(0.0, 1.0), is_guess: true }
    }

    /// Of a condition over columns of which these facts are known.
    pub fn of(condition: &Arc<dyn PhysicalExpr>, columns: &[ColumnFacts]) -> Self {
        if let Some(binary) = condition.downcast_ref::<BinaryExpr>() {
            return of_binary(condition, binary, columns);
        }
        if let Some(not) = condition.downcast_ref::<NotExpr>()
            && Test::of(condition, columns).is_none()
        {
            let inner = Self::of(not.arg(), columns);
            return Self { fraction: 1.0 - inner.fraction, ..inner };
        }
        if let Some(literal) = condition.downcast_ref::<Literal>() {
            use datafusion::common::ScalarValue::Boolean;
            return Self::known(f64::from(u8::from(*literal.value() == Boolean(Some(true)))));
        }
        match Test::of(condition, columns) {
            Some((operand, test)) => facts_of(operand, columns).fraction(&[test]),
            None => Self::guess(of_unknown(condition)),
        }
    }
}

/// A rule of thumb by the condition's form alone.
fn of_unknown(condition: &Arc<dyn PhysicalExpr>) -> f64 {
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        let within = (list.list().len() as f64 * EQUALITY).min(0.5);
        return if list.negated() { 1.0 - within } else { within };
    }
    if let Some(like) = condition.downcast_ref::<LikeExpr>() {
        return if like.negated() { 1.0 - MATCH } else { MATCH };
    }
    OTHER
}

fn of_binary(
    condition: &Arc<dyn PhysicalExpr>,
    binary: &BinaryExpr,
    columns: &[ColumnFacts],
) -> Selectivity {
    let (left, right) = (binary.left(), binary.right());
    match binary.op() {
        Operator::And => {
            let conjuncts = [Arc::clone(condition)];
            return Conditions::of(&conjuncts, columns).selectivity(columns);
        }
        Operator::Or => {
            let (a, b) = (Selectivity::of(left, columns), Selectivity::of(right, columns));
            let fraction = a.fraction + b.fraction - a.fraction * b.fraction;
            return Selectivity { fraction, is_guess: a.is_guess || b.is_guess };
        }
        _ => {}
    }
    if let Some((operand, test)) = Test::of(condition, columns) {
        return facts_of(operand, columns).fraction(&[test]);
    }
    let of_columns = |equal: f64| {
        match distinct_of_either(left, right, columns) {
            Some((distinct, values)) => {
                let equals = values / distinct;
                Selectivity::known(if equal > 0.5 { values - equals } else { equals })
            }
            None => Selectivity::guess(equal),
        }
    };
    match binary.op() {
        Operator::Eq | Operator::IsNotDistinctFrom => of_columns(EQUALITY),
        Operator::NotEq | Operator::IsDistinctFrom => of_columns(1.0 - EQUALITY),
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
            Selectivity::guess(INEQUALITY)
        }
        _ => Selectivity::guess(OTHER),
    }
}

/// Of two columns: the values of the one that has more, and the part of rows that has both (PostgreSQL's
/// `eqjoinsel_inner` without common values).
fn distinct_of_either(
    left: &Arc<dyn PhysicalExpr>,
    right: &Arc<dyn PhysicalExpr>,
    columns: &[ColumnFacts],
) -> Option<(f64, f64)> {
    let (left, right) = (facts_of(left, columns), facts_of(right, columns));
    let distinct = left.distinct?.max(right.distinct?).max(1.0);
    Some((distinct, left.values_fraction() * right.values_fraction()))
}

/// Whether an expression has a column in it.
fn has_column(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<Column>() || expr.children().into_iter().any(has_column)
}
