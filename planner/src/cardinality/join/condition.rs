//! What must hold of pairs besides equal keys.

use std::sync::Arc;

use datafusion::{
    common::JoinSide,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::BinaryExpr,
        utils::{collect_columns, split_conjunction},
    },
    physical_plan::joins::utils::JoinFilter,
};

use super::{
    super::{
        ColumnFacts,
        expression::facts_of,
        selectivity::{Comparison, Conditions, Test},
    },
    JoinSides,
};
use crate::statistics::Value;

/// The part of the pairs that passes what else must hold, and whether there is a guess among it, which
/// counts for nothing.
pub(super) fn filter_part(sides: &JoinSides<'_>) -> (f64, bool) {
    let Some(filter) = sides.filter else { return (1.0, false) };
    let columns = filter.column_indices().iter().map(|column| {
        let side = if column.side == JoinSide::Left { sides.left } else { sides.right };
        side.columns.get(column.index).cloned().unwrap_or_default()
    });
    let columns: Vec<_> = columns.collect();
    let (mut part, mut others) = (1.0, Vec::new());
    for conjunct in split_conjunction(filter.expression()) {
        match compared_across(conjunct, filter, &columns) {
            Some(fraction) => part *= fraction,
            None => others.push(Arc::clone(conjunct)),
        }
    }
    if others.is_empty() {
        return (part, false);
    }
    let others = Conditions::of(&others, &columns).selectivity(&columns);
    match others.is_guess {
        true => (part, true),
        false => (part * others.fraction, false),
    }
}

/// `a < b`, a of one side and b of the other: how many of b's values are above a's, by both histograms.
/// Values of different sides have nothing to do with each other. `None`: it is something else, or
/// nothing is known.
fn compared_across(
    conjunct: &Arc<dyn PhysicalExpr>,
    filter: &JoinFilter,
    columns: &[ColumnFacts],
) -> Option<f64> {
    let binary = conjunct.downcast_ref::<BinaryExpr>()?;
    let comparison = match binary.op() {
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Gt => Comparison::Greater,
        Operator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    };
    let side = |expr: &Arc<dyn PhysicalExpr>| -> Option<JoinSide> {
        let found = collect_columns(expr);
        let mut sides = found
            .iter()
            .filter_map(|column| Some(filter.column_indices().get(column.index())?.side));
        let first = sides.next()?;
        sides.all(|side| side == first).then_some(first)
    };
    if side(binary.left())? == side(binary.right())? {
        return None;
    }
    let (left, right) = (facts_of(binary.left(), columns), facts_of(binary.right(), columns));
    let mut part = 0.0;
    for (weight, value) in weighted(&right)? {
        let below = left.fraction(&[Test::Compare(comparison, Some(value))]);
        if below.is_guess {
            return None;
        }
        part += weight * below.fraction;
    }
    Some(part.clamp(0.0, 1.0))
}

/// Values that stand for all of a column, and for which part of its rows each does.
fn weighted(facts: &ColumnFacts) -> Option<Vec<(f64, Value)>> {
    let statistics = facts.statistics.as_ref()?;
    let common = statistics.common.iter();
    let mut weighted: Vec<_> = common.map(|c| (c.frequency, c.value.clone())).collect();
    let bounds = &statistics.histogram;
    let weight = statistics.rest_fraction() / bounds.len().max(1) as f64;
    weighted.extend(bounds.iter().map(|bound| (weight, bound.clone())));
    (!weighted.is_empty()).then_some(weighted)
}
