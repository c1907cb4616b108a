//! Joins: both sides to one place, then the smaller side is built.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::{
    common::{JoinType, NullEquality},
    error::Result,
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode},
        projection::ProjectionExec,
    },
};

use super::{
    Distributor, JoinMotions, JoinShape, JoinSideFacts, Move, Placed,
    join_key::{hash_class, join_key, without_casts},
    join_locus::{joined_locus, locus_by, moving_keys},
    join_motions,
    pipeline::{downcast, positions_of},
    placed,
    reproducible::draws,
};
use crate::{
    cardinality::{self, Estimate, JoinSides, On},
    locus::Locus,
    motion::{HashKey, Motion},
};

/// Is this a join?
pub(crate) fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>() || plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>()
}

impl Distributor {
    /// A join of two placed sides. `motions`: those that were decided on for it; `None`: the
    /// cheapest.
    pub(crate) fn join(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        children: Vec<Placed>,
        motions: Option<&JoinMotions>,
    ) -> Result<Placed> {
        let sides = two(children)?;
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            return self.hash_join(join, sides, motions);
        }
        let (join_type, kept) = match plan.downcast_ref::<NestedLoopJoinExec>() {
            Some(join) => (*join.join_type(), join.projection().as_deref()),
            None => {
                downcast::<CrossJoinExec>(plan)?;
                (JoinType::Inner, None)
            }
        };
        self.join_without_keys(plan, sides, (join_type, kept), motions)
    }

    /// A join on equalities.
    fn hash_join(
        &self,
        join: &HashJoinExec,
        (left, right): (Placed, Placed),
        motions: Option<&JoinMotions>,
    ) -> Result<Placed> {
        let (left_schema, right_schema) = (left.plan.schema(), right.plan.schema());
        let key = |on| join_key(on, &left_schema, &right_schema);
        let shape = JoinShape {
            join_type: *join.join_type(),
            null_aware: join.null_aware,
            nulls_equal: join.null_equality() == NullEquality::NullEqualsNull,
            keys: join.on().iter().map(key).collect(),
            skews: self.skews(join.on(), &left, &right),
            datanodes: self.datanodes,
        };
        let (left, right, locus) = self.bring_together((left, right), &shape, join.on(), motions);
        let locus = once_if_drawn(join, locus)?;
        let locus = match join.projection.as_deref() {
            Some(kept) => locus.project(|column| positions_of(kept, column)),
            None => locus,
        };
        let joined = cardinality::join(JoinSides {
            left: &left.estimate,
            right: &right.estimate,
            on: join.on(),
            filter: join.filter(),
            join_type: shape.join_type,
            nulls_equal: shape.nulls_equal,
        });
        let estimate = match join.projection.as_deref() {
            Some(kept) => joined.kept(kept),
            None => joined,
        };
        self.build_smaller(join, left, right, locus, estimate)
    }

    /// A join on anything else, or of all pairs.
    fn join_without_keys(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        (left, right): (Placed, Placed),
        (join_type, kept): (JoinType, Option<&[usize]>),
        motions: Option<&JoinMotions>,
    ) -> Result<Placed> {
        let shape = JoinShape {
            join_type,
            null_aware: false,
            nulls_equal: false,
            keys: Vec::new(),
            skews: Vec::new(),
            datanodes: self.datanodes,
        };
        let (left, right, locus) = self.bring_together((left, right), &shape, &[], motions);
        let locus = once_if_drawn(plan.as_ref(), locus)?;
        let filter = plan.downcast_ref::<NestedLoopJoinExec>().and_then(|join| join.filter());
        let pairs = cardinality::pairs(JoinSides {
            left: &left.estimate,
            right: &right.estimate,
            on: &[],
            filter,
            join_type,
            nulls_equal: false,
        });
        let (locus, estimate) = match kept {
            Some(kept) => (locus.project(|column| positions_of(kept, column)), pairs.kept(kept)),
            None => (locus, pairs),
        };
        let smaller_left = self.bytes_here(&left) <= self.bytes_here(&right);
        let joined = Placed::new(plan, vec![left, right], locus, estimate)?;
        if smaller_left {
            return Ok(joined);
        }
        if let Some(join) = joined.plan.downcast_ref::<CrossJoinExec>() {
            return swapped(join.swap_inputs()?, joined);
        }
        match joined.plan.downcast_ref::<NestedLoopJoinExec>() {
            Some(join) => swapped(join.swap_inputs()?, joined),
            None => Ok(joined),
        }
    }

    /// Applies what was decided, or what [`join_motions`] decides; the locus is that of the joined
    /// row, before any embedded projection.
    fn bring_together(
        &self,
        (left, right): (Placed, Placed),
        shape: &JoinShape,
        on: &On,
        motions: Option<&JoinMotions>,
    ) -> (Placed, Placed, Locus) {
        let motions = motions.cloned().unwrap_or_else(|| {
            let facts = |side: &Placed| side.estimate.bytes();
            join_motions(
                JoinSideFacts { locus: &left.locus, bytes: facts(&left) },
                JoinSideFacts { locus: &right.locus, bytes: facts(&right) },
                shape,
            )
        });
        let lefts: Vec<_> = on.iter().map(|on| Arc::clone(&on.0)).collect();
        let rights: Vec<_> = on.iter().map(|on| Arc::clone(&on.1)).collect();
        let left = self.apply(left, &motions.left, shape, &lefts);
        let right = self.apply(right, &motions.right, shape, &rights);
        let width = left.plan.schema().fields().len();
        let locus = joined_locus(motions.place, (&left.locus, width), &right.locus, shape);
        (left, right, locus)
    }

    fn apply(
        &self,
        side: Placed,
        motion: &Move,
        shape: &JoinShape,
        exprs: &[Arc<dyn PhysicalExpr>],
    ) -> Placed {
        match motion {
            Move::Stay => side,
            Move::Single => side.to_single(),
            Move::Broadcast => side.to_replicated(),
            Move::Redistribute(positions) => {
                let keys = moving_keys(positions, shape, exprs, &side.plan.schema());
                self.redistribute(side, keys)
            }
        }
    }

    /// How unevenly each side would come to the datanodes by each key alone.
    fn skews(&self, on: &On, left: &Placed, right: &Placed) -> Vec<(f64, f64)> {
        let of_side = |expr: &Arc<dyn PhysicalExpr>, side: &Placed| {
            self.skew_by(expr, &side.plan.schema(), &side.estimate)
        };
        on.iter().map(|(l, r)| (of_side(l, left), of_side(r, right))).collect()
    }

    /// How many times the average the largest datanode's rows would be, redistributed by this.
    pub(crate) fn skew_by(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        schema: &Schema,
        estimate: &Estimate,
    ) -> f64 {
        let bare = without_casts(expr, schema);
        let Some(class) = hash_class(&bare, schema) else { return 1.0 };
        let key = std::iter::once((&bare, class));
        cardinality::redistribution(estimate, key, &self.bucket_map, self.datanodes)
    }

    /// Bytes of a side that the largest datanode has.
    fn bytes_here(&self, side: &Placed) -> f64 {
        match side.locus.is_partitioned() {
            true => side.estimate.largest_part(self.datanodes) * side.estimate.width as f64,
            false => side.estimate.bytes(),
        }
    }

    /// DataFusion builds the left side. Which one that is, is decided here: datanodes do not swap.
    fn build_smaller(
        &self,
        join: &HashJoinExec,
        left: Placed,
        right: Placed,
        locus: Locus,
        estimate: Estimate,
    ) -> Result<Placed> {
        let inputs = vec![Arc::clone(&left.plan), Arc::clone(&right.plan)];
        let rebuilt = join.builder().with_new_children(inputs)?.recompute_properties().build()?;
        let swap = !join.null_aware && self.bytes_here(&right) < self.bytes_here(&left);
        let swapped_plan =
            if swap { Some(rebuilt.swap_inputs(PartitionMode::Auto)?) } else { None };
        let children = vec![left, right];
        let joined = Placed { plan: Arc::new(rebuilt), locus, estimate, children };
        match swapped_plan {
            Some(plan) => swapped(plan, joined),
            None => Ok(joined),
        }
    }

    /// Rows to the owners of their keys' buckets.
    pub(crate) fn redistribute(&self, rows: Placed, keys: Vec<HashKey>) -> Placed {
        let locus = locus_by(&keys);
        let hashed = keys.iter().map(|key| (&key.expr, key.class));
        let skew =
            cardinality::redistribution(&rows.estimate, hashed, &self.bucket_map, self.datanodes);
        let bucket_map = Arc::clone(&self.bucket_map);
        let mut moved = rows.moved(Motion::Redistribute { keys, bucket_map }, locus);
        moved.estimate.skew = skew;
        moved
    }

    /// Redistributed by those of `exprs` that can be hashed; to one process if none can.
    pub(super) fn redistribute_or_single(
        &self,
        rows: Placed,
        exprs: &[Arc<dyn PhysicalExpr>],
    ) -> Placed {
        let keys: Vec<_> = exprs
            .iter()
            .filter_map(|expr| {
                let class = hash_class(expr, &rows.plan.schema())?;
                Some(HashKey { expr: Arc::clone(expr), class })
            })
            .collect();
        if keys.is_empty() { rows.to_single() } else { self.redistribute(rows, keys) }
    }
}

/// A pair that matches in one copy must not be none in another.
fn once_if_drawn(join: &dyn ExecutionPlan, locus: Locus) -> Result<Locus> {
    Ok(if draws(join)? { locus.once() } else { locus })
}

fn two(mut children: Vec<Placed>) -> Result<(Placed, Placed)> {
    let right = children.pop();
    let left = placed::only(children)?;
    match right {
        Some(right) => Ok((left, right)),
        None => placed::only(Vec::new()).map(|never| (never.clone(), never)),
    }
}

/// The join with its sides swapped, placed as `joined` was.
fn swapped(plan: Arc<dyn ExecutionPlan>, joined: Placed) -> Result<Placed> {
    let Placed { locus, estimate, mut children, .. } = joined;
    children.reverse();
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else {
        return Ok(Placed { plan, locus, estimate, children });
    };
    // The swap put a projection on top that restores the column order: a node of its own.
    let inner_plan = Arc::clone(projection.input());
    let original_of: Vec<usize> = projection
        .expr()
        .iter()
        .filter_map(|e| e.expr.downcast_ref::<Column>())
        .map(Column::index)
        .collect();
    let inner_locus =
        locus.project(|column| original_of.get(column).copied().into_iter().collect());
    let width = inner_plan.schema().fields().len();
    // Wherever a column is not kept, the first stands for it.
    let of_inner = (0..width).map(|at| original_of.iter().position(|of| *of == at).unwrap_or(0));
    let inner_estimate = estimate.kept(&of_inner.collect::<Vec<_>>());
    let inner = Placed { plan: inner_plan, locus: inner_locus, estimate: inner_estimate, children };
    Ok(Placed { plan, locus, estimate, children: vec![inner] })
}
