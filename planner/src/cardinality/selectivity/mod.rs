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
use crate::statistics::Value;

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
        Operator::Or if Test::of(condition, columns).is_none() => {
            return of_disjuncts(condition, columns);
        }
        _ => {}
    }
    if let Some((operand, test)) = Test::of(condition, columns) {
        return facts_of(operand, columns).fraction(&[test]);
    }
    let of_columns = |equal: f64| match distinct_of_either(left, right, columns) {
        Some((distinct, values)) => {
            let equals = values / distinct;
            Selectivity::known(if equal > 0.5 { values - equals } else { equals })
        }
        None => Selectivity::guess(equal),
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

/// `a + b - a · b`, but values that one column may have exclude each other: they are one IN.
fn of_disjuncts(condition: &Arc<dyn PhysicalExpr>, columns: &[ColumnFacts]) -> Selectivity {
    let mut lists: Vec<(&Arc<dyn PhysicalExpr>, Vec<Value>)> = Vec::new();
    let mut parts = Vec::new();
    for disjunct in split_disjunction(condition) {
        let test = Test::of(disjunct, columns);
        let listed = test.and_then(|(operand, test)| Some((operand, test.listed()?)));
        let Some((operand, values)) = listed else {
            parts.push(Selectivity::of(disjunct, columns));
            continue;
        };
        if facts_of(operand, columns).domain.is_none() {
            parts.push(Selectivity::of(disjunct, columns));
            continue;
        }
        match lists.iter_mut().find(|(known, _)| known.eq(&operand)) {
            Some((_, list)) => list.extend(values),
            None => lists.push((operand, values)),
        }
    }
    parts.extend(lists.into_iter().map(|(operand, mut values)| {
        values.sort();
        values.dedup();
        facts_of(operand, columns).fraction(&[Test::In { values, unknown: 0, negated: false }])
    }));
    let none = Selectivity::known(0.0);
    parts.into_iter().fold(none, |a, b| {
        let fraction = a.fraction + b.fraction - a.fraction * b.fraction;
        Selectivity { fraction, is_guess: a.is_guess || b.is_guess }
    })
}

fn split_disjunction(condition: &Arc<dyn PhysicalExpr>) -> Vec<&Arc<dyn PhysicalExpr>> {
    match condition.downcast_ref::<BinaryExpr>() {
        Some(binary) if *binary.op() == Operator::Or => {
            let mut all = split_disjunction(binary.left());
            all.extend(split_disjunction(binary.right()));
            all
        }
        _ => vec![condition],
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
