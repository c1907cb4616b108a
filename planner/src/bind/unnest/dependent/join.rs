//! Joins: a side is pushed into if it reads the outer query, or if its rows are kept.

use std::sync::Arc;

use datafusion::{
    common::{Column, JoinType, NullEquality, Result},
    logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, utils::conjunction, when},
};

use super::{Push, Pushed, columns, unsupported};

/// The sides of a join, pushed into or as they were.
struct Sides {
    left: Arc<LogicalPlan>,
    left_keys: Option<Vec<Column>>,
    right: Arc<LogicalPlan>,
    right_keys: Option<Vec<Column>>,
}

/// A join's equalities, and its other condition.
type Conditions = (Vec<(Expr, Expr)>, Option<Expr>);

impl Push<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Pushed> {
        let sides = self.sides(join)?;
        let keys = match (join.join_type, &sides.left_keys, &sides.right_keys) {
            (JoinType::Right, _, Some(keys)) => keys.clone(),
            (_, Some(keys), _) | (_, None, Some(keys)) => keys.clone(),
            (_, None, None) => return Err(unsupported()),
        };
        let (on, filter) = self.conditions(join, &sides, &keys)?;
        let joined = Join::try_new(
            Arc::clone(&sides.left),
            Arc::clone(&sides.right),
            on,
            filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            false,
        )?;
        self.with_one_set_of_keys(join, joined, sides, keys)
    }

    fn sides(&mut self, join: &Join) -> Result<Sides> {
        let left_reads = self.domain.is_read_by(&join.left)?;
        let right_reads = self.domain.is_read_by(&join.right)?;
        let (left_pushed, right_pushed) = match join.join_type {
            JoinType::Inner => (left_reads || !right_reads, right_reads),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                (true, right_reads)
            }
            JoinType::Right => (left_reads, true),
            JoinType::Full => (true, true),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                return Err(unsupported());
            }
        };
        if join.null_aware {
            return Err(unsupported());
        }
        let (left, left_keys) = self.side(&join.left, left_pushed)?;
        let (right, right_keys) = self.side(&join.right, right_pushed)?;
        Ok(Sides { left, left_keys, right, right_keys })
    }

    fn side(
        &mut self,
        side: &Arc<LogicalPlan>,
        is_pushed: bool,
    ) -> Result<(Arc<LogicalPlan>, Option<Vec<Column>>)> {
        if !is_pushed {
            return Ok((Arc::clone(side), None));
        }
        let Pushed { plan, keys } = self.node(side)?;
        Ok((Arc::new(plan), Some(keys)))
    }

    /// The join's conditions, and that the keys of both sides are equal.
    fn conditions(&self, join: &Join, sides: &Sides, keys: &[Column]) -> Result<Conditions> {
        let mut on = Vec::new();
        let mut filters = Vec::new();
        for (left, right) in &join.on {
            match left.contains_outer() || right.contains_outer() {
                false => on.push((left.clone(), right.clone())),
                true => filters.push(left.clone().eq(right.clone())),
            }
        }
        filters.extend(join.filter.clone());
        if let (Some(left), Some(right)) = (&sides.left_keys, &sides.right_keys) {
            on.extend(match join.null_equality {
                NullEquality::NullEqualsNull => {
                    columns(left).zip(columns(right)).collect::<Vec<_>>()
                }
                NullEquality::NullEqualsNothing => self.domain.equalities(left, right)?,
            });
        }
        let filter = match conjunction(filters) {
            Some(filter) => Some(self.domain.bound(filter, keys)?),
            None => None,
        };
        Ok((on, filter))
    }

    /// The join's own columns and the keys, where both sides have them.
    fn with_one_set_of_keys(
        &mut self,
        join: &Join,
        joined: Join,
        sides: Sides,
        keys: Vec<Column>,
    ) -> Result<Pushed> {
        let plan = LogicalPlan::Join(joined);
        let (Some(left), Some(right)) = (sides.left_keys, sides.right_keys) else {
            return Ok(Pushed { plan, keys });
        };
        let mut exprs: Vec<Expr> = join.schema.iter().map(Expr::from).collect();
        let mut kept = keys;
        if join.join_type == JoinType::Full {
            kept = Vec::new();
            for (left, right) in columns(&left).zip(columns(&right)) {
                let name = self.names.fresh("outer");
                let key = when(left.clone().is_null(), right).otherwise(left)?;
                exprs.push(key.alias(&name));
                kept.push(Column::from_name(name));
            }
        } else {
            exprs.extend(columns(&kept));
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
        Ok(Pushed { plan, keys: kept })
    }
}
