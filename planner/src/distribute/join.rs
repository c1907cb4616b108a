//! Joins: both sides to one place, then the smaller side is built.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::{JoinType, NullEquality},
    error::Result,
    physical_expr::{
        PhysicalExpr,
        expressions::{CastExpr, Column},
    },
    physical_plan::{
        ExecutionPlan,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode},
        projection::ProjectionExec,
    },
};

use super::{
    Distributor, JoinKey, JoinPlace, JoinShape, JoinSideFacts, Move, Placed, join_motions,
    join_motions::hash_of, pipeline::positions_of, placed,
};
use crate::{
    cardinality::{self, Estimate, JoinSides},
    catalog::{HashClass, SqlType},
    locus::{HashedLocus, Locus, LocusKey},
    motion::{HashKey, Motion},
};

type On = [(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)];

impl Distributor {
    /// A join on equalities.
    pub(super) fn hash_join(&self, join: &HashJoinExec, children: Vec<Placed>) -> Result<Placed> {
        let (left, right) = two(children)?;
        let shape = JoinShape {
            join_type: *join.join_type(),
            null_aware: join.null_aware,
            nulls_equal: join.null_equality() == NullEquality::NullEqualsNull,
            keys: join.on().iter().map(|on| join_key(on, &left, &right)).collect(),
            skews: self.skews(join.on(), &left, &right),
            datanodes: self.datanodes,
        };
        let (left, right, locus) = self.bring_together(left, right, &shape, join.on());
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
        build_smaller(join, left, right, locus, estimate)
    }

    /// A join on anything else.
    pub(super) fn nested_loop_join(
        &self,
        join: &NestedLoopJoinExec,
        plan: &Arc<dyn ExecutionPlan>,
        children: Vec<Placed>,
    ) -> Result<Placed> {
        let kept = join.projection().as_deref().map(<[usize]>::to_vec);
        self.join_without_keys(plan, children, *join.join_type(), kept)
    }

    /// All pairs.
    pub(super) fn cross_join(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        children: Vec<Placed>,
    ) -> Result<Placed> {
        self.join_without_keys(plan, children, JoinType::Inner, None)
    }

    fn join_without_keys(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        children: Vec<Placed>,
        join_type: JoinType,
        kept: Option<Vec<usize>>,
    ) -> Result<Placed> {
        let (left, right) = two(children)?;
        let shape = JoinShape {
            join_type,
            null_aware: false,
            nulls_equal: false,
            keys: Vec::new(),
            skews: Vec::new(),
            datanodes: self.datanodes,
        };
        let (left, right, locus) = self.bring_together(left, right, &shape, &[]);
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
            Some(kept) => (locus.project(|column| positions_of(&kept, column)), pairs.kept(&kept)),
            None => (locus, pairs),
        };
        let smaller_left = left.estimate.bytes() <= right.estimate.bytes();
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

    /// Applies what [`join_motions`] decides; the locus is that of the joined row, before any
    /// embedded projection.
    fn bring_together(
        &self,
        left: Placed,
        right: Placed,
        shape: &JoinShape,
        on: &On,
    ) -> (Placed, Placed, Locus) {
        let facts = |side: &Placed| side.estimate.bytes();
        let motions = join_motions(
            JoinSideFacts { locus: &left.locus, bytes: facts(&left) },
            JoinSideFacts { locus: &right.locus, bytes: facts(&right) },
            shape,
        );
        let lefts: Vec<_> = on.iter().map(|on| Arc::clone(&on.0)).collect();
        let rights: Vec<_> = on.iter().map(|on| Arc::clone(&on.1)).collect();
        let left = self.apply(left, &motions.left, shape, &lefts);
        let right = self.apply(right, &motions.right, shape, &rights);
        let locus = joined_locus(motions.place, &left, &right, shape);
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
                let schema = side.plan.schema();
                let keys = positions.iter().filter_map(|at| {
                    let key = &shape.keys[*at];
                    let expr = match key.column_class {
                        Some(_) => without_casts(&exprs[*at], &schema),
                        None => Arc::clone(&exprs[*at]),
                    };
                    Some(HashKey { expr, class: hash_of(key)? })
                });
                self.redistribute(side, keys.collect())
            }
        }
    }

    /// How unevenly each side would come to the datanodes by each key alone.
    fn skews(&self, on: &On, left: &Placed, right: &Placed) -> Vec<(f64, f64)> {
        let of_side = |expr: &Arc<dyn PhysicalExpr>, side: &Placed| {
            let bare = without_casts(expr, &side.plan.schema());
            let Some(class) = hash_class(&bare, side) else { return 1.0 };
            let key = std::iter::once((&bare, class));
            cardinality::redistribution(&side.estimate, key, &self.bucket_map, self.datanodes)
        };
        on.iter().map(|(l, r)| (of_side(l, left), of_side(r, right))).collect()
    }

    /// Rows to the owners of their keys' buckets.
    pub(crate) fn redistribute(&self, rows: Placed, keys: Vec<HashKey>) -> Placed {
        let columns: Option<Vec<_>> = keys
            .iter()
            .map(|key| Some((key.expr.downcast_ref::<Column>()?.index(), key.class)))
            .collect();
        let locus = columns.map_or(Locus::Strewn, Locus::hashed);
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
                let class = hash_class(expr, &rows)?;
                Some(HashKey { expr: Arc::clone(expr), class })
            })
            .collect();
        if keys.is_empty() { rows.to_single() } else { self.redistribute(rows, keys) }
    }
}

fn two(mut children: Vec<Placed>) -> Result<(Placed, Placed)> {
    let right = children.pop();
    let left = placed::only(children)?;
    match right {
        Some(right) => Ok((left, right)),
        None => placed::only(Vec::new()).map(|never| (never.clone(), never)),
    }
}

fn join_key(
    on: &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    left: &Placed,
    right: &Placed,
) -> JoinKey {
    let bare_left = without_casts(&on.0, &left.plan.schema());
    let bare_right = without_casts(&on.1, &right.plan.schema());
    let column = |e: &Arc<dyn PhysicalExpr>| e.downcast_ref::<Column>().map(Column::index);
    let classes = (hash_class(&bare_left, left), hash_class(&bare_right, right));
    let as_they_stand = (hash_class(&on.0, left), hash_class(&on.1, right));
    JoinKey {
        left: column(&bare_left),
        right: column(&bare_right),
        column_class: classes.0.filter(|class| Some(*class) == classes.1),
        class: as_they_stand.0.filter(|class| Some(*class) == as_they_stand.1),
    }
}

/// How the values of an expression hash. char(n) is held without trailing blanks, so that it
/// hashes like text.
fn hash_class(expr: &Arc<dyn PhysicalExpr>, rows: &Placed) -> Option<HashClass> {
    let field = expr.return_field(&rows.plan.schema()).ok()?;
    let sql_type = SqlType::of_field(&field)?;
    if !sql_type.arrow().equals_datatype(field.data_type()) {
        return None;
    }
    match sql_type.hash_class()? {
        HashClass::Char => Some(HashClass::Text),
        other => Some(other),
    }
}

/// The expression under casts that do not change the placement hash: to a wider integer, another
/// scale, another form of text.
pub(super) fn without_casts(
    expr: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Arc<dyn PhysicalExpr> {
    let Some(cast) = expr.downcast_ref::<CastExpr>() else { return Arc::clone(expr) };
    let Ok(from) = cast.expr().data_type(schema) else { return Arc::clone(expr) };
    if keeps_hash(&from, cast.cast_type()) {
        without_casts(cast.expr(), schema)
    } else {
        Arc::clone(expr)
    }
}

fn keeps_hash(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Decimal128(_, from), Decimal128(_, to)) => from <= to,
        _ => from == to,
    }
}

fn joined_locus(place: JoinPlace, left: &Placed, right: &Placed, shape: &JoinShape) -> Locus {
    let width = left.plan.schema().fields().len();
    let shifted = || right.locus.project(|column| vec![column + width]);
    match (place, shape.join_type) {
        (JoinPlace::Single, _) => Locus::Single,
        (_, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
        | (JoinPlace::Left, JoinType::Inner | JoinType::Left) => left.locus.clone(),
        (_, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark) => right.locus.clone(),
        (JoinPlace::Right, JoinType::Inner | JoinType::Right) => shifted(),
        (JoinPlace::Both, JoinType::Left) => left.locus.clone(),
        (JoinPlace::Both, JoinType::Right) => shifted(),
        (JoinPlace::Both, JoinType::Inner) => both(&left.locus, &shifted(), false),
        (JoinPlace::Both, JoinType::Full) => both(&left.locus, &shifted(), true),
        // Copies of both sides: each datanode has the whole result.
        (JoinPlace::Left, JoinType::Right | JoinType::Full) => left.locus.clone(),
        (JoinPlace::Right, JoinType::Left | JoinType::Full) => right.locus.clone(),
    }
}

/// Both sides are placed by the same keys: either column finds the row.
fn both(left: &Locus, right: &Locus, nulls_anywhere: bool) -> Locus {
    match (left, right) {
        (Locus::Hashed(l), Locus::Hashed(r)) if l.keys.len() == r.keys.len() => {
            let keys = l.keys.iter().zip(&r.keys).map(|(l, r)| LocusKey {
                columns: l.columns.union(&r.columns).copied().collect(),
                class: l.class,
            });
            let nulls_anywhere = nulls_anywhere || l.nulls_anywhere || r.nulls_anywhere;
            Locus::Hashed(HashedLocus { keys: keys.collect(), nulls_anywhere })
        }
        // A key that is an expression has no column to find it by.
        (Locus::Hashed(hashed), _) | (_, Locus::Hashed(hashed)) => {
            let nulls_anywhere = nulls_anywhere || hashed.nulls_anywhere;
            Locus::Hashed(HashedLocus { keys: hashed.keys.clone(), nulls_anywhere })
        }
        _ => Locus::Strewn,
    }
}

/// DataFusion builds the left side. Which one that is, is decided here: datanodes do not swap.
fn build_smaller(
    join: &HashJoinExec,
    left: Placed,
    right: Placed,
    locus: Locus,
    estimate: Estimate,
) -> Result<Placed> {
    let inputs = vec![Arc::clone(&left.plan), Arc::clone(&right.plan)];
    let rebuilt = join.builder().with_new_children(inputs)?.recompute_properties().build()?;
    let swap = !join.null_aware && right.estimate.bytes() < left.estimate.bytes();
    let swapped_plan = if swap { Some(rebuilt.swap_inputs(PartitionMode::Auto)?) } else { None };
    let joined = Placed { plan: Arc::new(rebuilt), locus, estimate, children: vec![left, right] };
    match swapped_plan {
        Some(plan) => swapped(plan, joined),
        None => Ok(joined),
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
