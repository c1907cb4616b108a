//! One join of two sets of relations, over the columns that their plans have.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    common::{DataFusionError, JoinSide, JoinType, NullEquality, Result},
    logical_expr::{self, utils::can_hash},
    physical_expr::{
        PhysicalExpr, conjunction,
        expressions::{BinaryExpr, Column},
    },
    physical_plan::{
        ExecutionPlan,
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode,
            utils::{ColumnIndex, JoinFilter},
        },
        projection::ProjectionExec,
    },
};

use super::{
    Condition, Region,
    condition::{columns_of, renumbered},
};
use crate::join_order::{Operator, Step};

/// An equality, each side of it over its own side of the join.
type Key = (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>);

/// What a join is made of.
#[derive(Clone, Debug)]
pub(super) struct LocalJoin {
    pub join_type: JoinType,
    /// The equalities, each over its own side.
    pub on: Vec<Key>,
    /// What else must hold.
    pub filter: Option<JoinFilter>,
    /// The columns of the joined rows, by their numbers in the region.
    pub columns: Vec<usize>,
}

impl LocalJoin {
    /// The join of a step; `left` and `right` are the sides' columns.
    pub(super) fn new(
        region: &Region,
        step: &Step,
        left: &[usize],
        right: &[usize],
    ) -> Result<Self> {
        let join_type = match step.operator {
            Operator::Inner => JoinType::Inner,
            Operator::Left => JoinType::Left,
            Operator::Full => JoinType::Full,
            Operator::Semi => JoinType::LeftSemi,
            Operator::Anti => JoinType::LeftAnti,
        };
        let columns = match step.operator {
            Operator::Semi | Operator::Anti => left.to_vec(),
            _ => left.iter().chain(right).copied().collect(),
        };
        let mut join = Self { join_type, on: Vec::new(), filter: None, columns };
        let mut rest = Vec::new();
        let mut classes = Vec::new();
        for id in &step.predicates {
            match region.conditions.get(*id) {
                Some(Condition::Same { class, .. }) => {
                    if !classes.contains(class) {
                        classes.push(*class);
                        join.on.push(same(region, *class, left, right)?);
                    }
                }
                Some(Condition::Equal(a, b)) => match sides(region, a, b, left, right)? {
                    Some(on) => join.on.push(on),
                    None => rest.push(equality(a, b)),
                },
                Some(Condition::Other(expr)) => rest.push(Arc::clone(expr)),
                None => return Err(lost()),
            }
        }
        if !rest.is_empty() {
            join.filter = Some(filter(region, &conjunction(rest), left, right)?);
        }
        Ok(join)
    }

    /// The operator over its sides, with these of the joined columns.
    pub(super) fn plan(
        &self,
        left: &Arc<dyn ExecutionPlan>,
        right: &Arc<dyn ExecutionPlan>,
        kept: &[usize],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (left, right) = (Arc::clone(left), Arc::clone(right));
        let is_all = kept.iter().copied().eq(0..self.columns.len());
        let projection = (!is_all).then(|| kept.to_vec());
        if !self.on.is_empty() {
            return Ok(Arc::new(HashJoinExec::try_new(
                left,
                right,
                self.on.clone(),
                self.filter.clone(),
                &self.join_type,
                projection,
                PartitionMode::Auto,
                NullEquality::NullEqualsNothing,
                false,
            )?));
        }
        if self.filter.is_none() && self.join_type == JoinType::Inner && is_all {
            return Ok(Arc::new(CrossJoinExec::new(left, right)));
        }
        let (filter, join_type) = (self.filter.clone(), &self.join_type);
        Ok(Arc::new(NestedLoopJoinExec::try_new(left, right, filter, join_type, projection)?))
    }
}

/// The region's columns as a plan's schema. Any may be NULL, for all that is computed from it.
pub(super) fn schema_of(region: &Region, columns: &[usize]) -> SchemaRef {
    let fields = columns.iter().filter_map(|at| region.columns.get(*at));
    let fields = fields.map(|column| Field::clone(&column.field).with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A column of a plan that has these columns.
fn local_column(region: &Region, columns: &[usize], at: usize) -> Result<Column> {
    let position = position(columns, at)?;
    let column = region.columns.get(at).ok_or_else(lost)?;
    Ok(Column::new(column.field.name(), position))
}

/// Of a class, one column on each side.
fn same(region: &Region, class: usize, left: &[usize], right: &[usize]) -> Result<Key> {
    let class = region.classes.get(class).ok_or_else(lost)?;
    let of = |side: &[usize]| -> Result<Arc<dyn PhysicalExpr>> {
        let column = class.iter().find(|at| side.contains(at)).ok_or_else(lost)?;
        Ok(Arc::new(local_column(region, side, *column)?))
    };
    Ok((of(left)?, of(right)?))
}

/// An equality whose sides are those of the join, if they can be hashed.
fn sides(
    region: &Region,
    a: &Arc<dyn PhysicalExpr>,
    b: &Arc<dyn PhysicalExpr>,
    left: &[usize],
    right: &[usize],
) -> Result<Option<Key>> {
    let is_of = |expr: &Arc<dyn PhysicalExpr>, side: &[usize]| {
        let columns = columns_of(expr);
        !columns.is_empty() && columns.iter().all(|at| side.contains(at))
    };
    let (l, r) = match (is_of(a, left) && is_of(b, right), is_of(b, left) && is_of(a, right)) {
        (true, _) => (a, b),
        (_, true) => (b, a),
        (false, false) => return Ok(None),
    };
    let local = |expr, side: &[usize]| renumbered(expr, |at| local_column(region, side, at));
    let (l, r) = (local(l, left)?, local(r, right)?);
    let data_type = l.data_type(&schema_of(region, left))?;
    let is_fit = data_type == r.data_type(&schema_of(region, right))? && can_hash(&data_type);
    Ok(is_fit.then_some((l, r)))
}

fn equality(a: &Arc<dyn PhysicalExpr>, b: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(Arc::clone(a), logical_expr::Operator::Eq, Arc::clone(b)))
}

fn filter(
    region: &Region,
    expr: &Arc<dyn PhysicalExpr>,
    left: &[usize],
    right: &[usize],
) -> Result<JoinFilter> {
    let columns: Vec<usize> = columns_of(expr).into_iter().collect();
    let indices = columns.iter().map(|at| match position(left, *at) {
        Ok(index) => Ok(ColumnIndex { index, side: JoinSide::Left }),
        Err(_) => Ok(ColumnIndex { index: position(right, *at)?, side: JoinSide::Right }),
    });
    let indices = indices.collect::<Result<Vec<_>>>()?;
    let expr = renumbered(expr, |at| local_column(region, &columns, at))?;
    Ok(JoinFilter::new(expr, indices, schema_of(region, &columns)))
}

pub(super) fn position(columns: &[usize], at: usize) -> Result<usize> {
    columns.iter().position(|column| *column == at).ok_or_else(lost)
}

fn lost() -> DataFusionError {
    DataFusionError::Internal("an order of joins has lost a column".into())
}

/// The columns of `plan` in another order, under the names that `like` has for them.
pub(super) fn renamed(
    plan: &Arc<dyn ExecutionPlan>,
    positions: &[usize],
    like: &Schema,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let outputs = positions.iter().zip(like.fields()).map(|(at, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(*at).name(), *at));
        (column, field.name().clone())
    });
    Ok(Arc::new(ProjectionExec::try_new(outputs.collect::<Vec<_>>(), Arc::clone(plan))?))
}
