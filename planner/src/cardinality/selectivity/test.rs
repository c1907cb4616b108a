//! A condition on one value.

use std::{cmp::Ordering, sync::Arc};

use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{
            BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
        },
    },
};

use super::{
    super::{
        ColumnFacts,
        expression::{cast_of, facts_of, keeps_values},
    },
    has_column,
    pattern::Pattern,
    split_disjunction,
};
use crate::statistics::Value;

/// How a value compares with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cardinality) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cardinality) enum Test {
    /// Compared with a constant; `None`: one that is not known before the query runs.
    Compare(Comparison, Option<Value>),
    /// One of some constants, or none of them; `unknown`: how many are not known.
    In { values: Vec<Value>, unknown: usize, negated: bool },
    /// LIKE, ILIKE
    Like { pattern: Pattern, negated: bool },
    /// IS NULL
    IsNull,
    /// IS NOT NULL
    IsNotNull,
}

impl Comparison {
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Eq | Operator::IsNotDistinctFrom => Self::Equal,
            Operator::NotEq | Operator::IsDistinctFrom => Self::NotEqual,
            Operator::Lt => Self::Less,
            Operator::LtEq => Self::LessOrEqual,
            Operator::Gt => Self::Greater,
            Operator::GtEq => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// With its sides swapped.
    fn swapped(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Test {
    /// A condition as a test of an expression over columns.
    pub(in crate::cardinality) fn of<'a>(
        condition: &'a Arc<dyn PhysicalExpr>,
        columns: &[ColumnFacts],
    ) -> Option<(&'a Arc<dyn PhysicalExpr>, Self)> {
        if let Some(binary) = condition.downcast_ref::<BinaryExpr>() {
            if *binary.op() == Operator::Or {
                return Self::one_of_several(condition, columns);
            }
            let comparison = Comparison::of(*binary.op())?;
            let (left, right) = (binary.left(), binary.right());
            return match (has_column(left), has_column(right)) {
                (true, false) => Some((left, Self::compare(comparison, right))),
                (false, true) => Some((right, Self::compare(comparison.swapped(), left))),
                _ => None,
            };
        }
        if let Some(list) = condition.downcast_ref::<InListExpr>() {
            let is_constant = list.list().iter().all(|value| !has_column(value));
            let test = Self::in_list(list);
            return (is_constant && has_column(list.expr())).then_some((list.expr(), test));
        }
        if let Some(like) = condition.downcast_ref::<LikeExpr>() {
            let text = like.pattern().downcast_ref::<Literal>()?.value().try_as_str()??;
            let pattern = Pattern::new(text, like.case_insensitive());
            let test = Self::Like { pattern, negated: like.negated() };
            return has_column(like.expr()).then_some((like.expr(), test));
        }
        if let Some(null) = condition.downcast_ref::<IsNullExpr>() {
            return Some((null.arg(), Self::IsNull));
        }
        if let Some(null) = condition.downcast_ref::<IsNotNullExpr>() {
            return Some((null.arg(), Self::IsNotNull));
        }
        let (operand, value) = match condition.downcast_ref::<NotExpr>() {
            Some(not) => (not.arg(), false),
            None => (condition, true),
        };
        Self::column(operand, columns)?;
        Some((operand, Self::Compare(Comparison::Equal, Some(Value::Boolean(value)))))
    }

    /// The column whose values an expression has.
    pub(in crate::cardinality) fn column(
        expr: &Arc<dyn PhysicalExpr>,
        columns: &[ColumnFacts],
    ) -> Option<usize> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return Some(column.index());
        }
        let (inner, to) = cast_of(expr)?;
        let column = Self::column(inner, columns)?;
        let from = columns.get(column)?.data_type.as_ref()?;
        keeps_values(from, to).then_some(column)
    }

    fn compare(comparison: Comparison, constant: &Arc<dyn PhysicalExpr>) -> Self {
        Self::Compare(comparison, value_of(constant))
    }

    fn in_list(list: &InListExpr) -> Self {
        let mut values: Vec<_> = list.list().iter().filter_map(value_of).collect();
        let unknown = list.list().len() - values.len();
        values.sort();
        values.dedup();
        Self::In { values, unknown, negated: list.negated() }
    }

    /// `x = 1 OR x = 2`, where something is known of x: one IN.
    fn one_of_several<'a>(
        disjunction: &'a Arc<dyn PhysicalExpr>,
        columns: &[ColumnFacts],
    ) -> Option<(&'a Arc<dyn PhysicalExpr>, Self)> {
        let mut found: Option<(&Arc<dyn PhysicalExpr>, Vec<Value>)> = None;
        for disjunct in split_disjunction(disjunction) {
            let (operand, test) = Self::of(disjunct, columns)?;
            let listed = test.listed()?;
            match &mut found {
                Some((known, values)) if (**known).eq(operand) => values.extend(listed),
                Some(_) => return None,
                None => found = Some((operand, listed)),
            }
        }
        let (operand, mut values) = found?;
        facts_of(operand, columns).domain?;
        values.sort();
        values.dedup();
        Some((operand, Self::In { values, unknown: 0, negated: false }))
    }

    /// The only values that pass.
    pub(super) fn listed(self) -> Option<Vec<Value>> {
        match self {
            Self::Compare(Comparison::Equal, Some(value)) => Some(vec![value]),
            Self::In { values, unknown: 0, negated: false } => Some(values),
            _ => None,
        }
    }

    /// Is it true of this value? Of constants that are not known, nobody knows: true.
    pub(in crate::cardinality) fn passes(&self, value: &Value) -> bool {
        match self {
            Self::Compare(comparison, Some(constant)) => comparison.holds(value.cmp(constant)),
            Self::In { values, unknown, negated } => {
                let is_in = values.binary_search(value).is_ok();
                if *negated { !is_in } else { is_in || *unknown > 0 }
            }
            Self::Like { pattern, negated } => match value {
                Value::Text(text) => pattern.matches(text) != *negated,
                _ => true,
            },
            Self::IsNull => false,
            Self::Compare(_, None) | Self::IsNotNull => true,
        }
    }

    /// The bounds of the values that pass.
    pub(in crate::cardinality) fn clip(&self, (low, high): (Value, Value)) -> (Value, Value) {
        let Self::Compare(comparison, Some(value)) = self else { return (low, high) };
        if *value < low || *value > high {
            return (low, high);
        }
        match comparison {
            Comparison::Equal => (value.clone(), value.clone()),
            Comparison::NotEqual => (low, high),
            Comparison::Less | Comparison::LessOrEqual => (low, value.clone()),
            Comparison::Greater | Comparison::GreaterOrEqual => (value.clone(), high),
        }
    }
}

/// `None`: not known before the query runs, NULL, or a type whose values are not kept. An integral
/// float is taken for the integer that it is compared with.
fn value_of(constant: &Arc<dyn PhysicalExpr>) -> Option<Value> {
    let constant: &ScalarValue = constant.downcast_ref::<Literal>()?.value();
    Value::of(constant)
}
