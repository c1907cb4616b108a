//! From a plan to a region.

use std::sync::Arc;

use datafusion::{
    common::{DataFusionError, JoinSide, JoinType, NullEquality, Result},
    physical_expr::{expressions::Column, utils::split_conjunction},
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        ExecutionPlan,
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, JoinOnRef, NestedLoopJoinExec, utils::JoinFilter},
        projection::ProjectionExec,
    },
};

use super::{
    Condition, JoinTree, Region, RegionColumn, RelationSet, Written,
    condition::{column, renumbered},
    equalities::with_classes,
};
use crate::{
    distribute::is_join,
    join_order::{JoinNode, Operator, Predicates},
};

/// A part of the plan: its joins, and the number of each output column.
struct Part {
    tree: JoinTree,
    output: Vec<usize>,
    written: Written,
}

/// A join, whichever of the operators it is.
struct Join<'a> {
    join_type: JoinType,
    on: JoinOnRef<'a>,
    filter: Option<&'a JoinFilter>,
    projection: Option<&'a [usize]>,
}

/// The region under a plan that leads to a join. `None`: it has more relations than sets hold.
pub(super) fn flatten(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Region>> {
    let mut flattening = Flattening::default();
    let part = flattening.part(plan)?;
    let Flattening { relations, columns, conditions } = flattening;
    if relations.len() > RelationSet::MAX {
        return Ok(None);
    }
    let (tree, output, written) = (part.tree, part.output, part.written);
    let classes = Vec::new();
    let region = Region { relations, columns, conditions, classes, tree, output, written };
    Ok(Some(with_classes(region)))
}

#[derive(Default)]
struct Flattening {
    relations: Vec<Arc<dyn ExecutionPlan>>,
    columns: Vec<RegionColumn>,
    conditions: Vec<Condition>,
}

impl Flattening {
    fn part(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Result<Part> {
        if let Some(join) = movable_join(plan) {
            return self.join(plan, &join);
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>()
            && let Some(columns) = plain_columns(projection)
            && leads_to_join(projection.input())
        {
            let input = self.part(projection.input())?;
            return input.under(plan, |output| picked(output, &columns));
        }
        if let Some(filter) = plan.downcast_ref::<FilterExec>()
            && is_movable_filter(filter)
        {
            return self.filter(plan, filter);
        }
        Ok(self.relation(plan))
    }

    fn relation(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Part {
        let relation = self.relations.len();
        self.relations.push(Arc::clone(plan));
        let first = self.columns.len();
        let schema = plan.schema();
        let fields = schema.fields().iter().map(Arc::clone);
        self.columns.extend(fields.map(|field| RegionColumn { relation, field }));
        Part {
            tree: JoinTree::Relation(relation),
            output: (first..self.columns.len()).collect(),
            written: Written::Relation(relation),
        }
    }

    /// Its conjuncts are as good as those of the inner join below.
    fn filter(&mut self, plan: &Arc<dyn ExecutionPlan>, filter: &FilterExec) -> Result<Part> {
        let mut input = self.part(filter.input())?;
        let conjuncts = split_conjunction(filter.predicate()).into_iter();
        let conjuncts = conjuncts.map(|conjunct| {
            let conjunct = renumbered(conjunct, |at| self.column(&input.output, at))?;
            Ok(Condition::of_conjunct(&conjunct))
        });
        let conjuncts = conjuncts.collect::<Result<Vec<_>>>()?;
        let added = self.add(conjuncts);
        match &mut input.tree {
            JoinTree::Join(join) if join.operator == Operator::Inner => {
                join.predicates.extend(added);
            }
            _ => return Err(missing()),
        }
        let kept = filter.projection().as_deref().map(<[usize]>::to_vec);
        input.under(plan, |output| match kept {
            Some(kept) => picked(output, &kept),
            None => Ok(output),
        })
    }

    fn join(&mut self, plan: &Arc<dyn ExecutionPlan>, join: &Join<'_>) -> Result<Part> {
        let inputs = plan.children();
        let [left, right] = inputs.as_slice() else { return Ok(self.relation(plan)) };
        let (left, right) = (self.part(left)?, self.part(right)?);
        let mut conditions = Vec::new();
        for (l, r) in join.on {
            let l = renumbered(l, |at| self.column(&left.output, at))?;
            let r = renumbered(r, |at| self.column(&right.output, at))?;
            conditions.push(Condition::Equal(l, r));
        }
        if let Some(filter) = join.filter {
            for conjunct in split_conjunction(filter.expression()) {
                let of_filter = |at| self.of_filter(filter, at, (&left.output, &right.output));
                conditions.push(Condition::of_conjunct(&renumbered(conjunct, of_filter)?));
            }
        }
        let predicates = self.add(conditions);
        let (operator, is_mirrored) = operator(join.join_type);
        let both = || left.output.iter().chain(&right.output).copied().collect();
        let output: Vec<usize> = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left.output.clone(),
            JoinType::RightSemi | JoinType::RightAnti => right.output.clone(),
            _ => both(),
        };
        let output = match join.projection {
            Some(kept) => picked(output, kept)?,
            None => output,
        };
        let inputs = vec![left.written, right.written];
        let (left, right) = match is_mirrored {
            true => (right.tree, left.tree),
            false => (left.tree, right.tree),
        };
        let predicates = match operator {
            Operator::Inner => predicates,
            _ => vec![together(predicates)],
        };
        let node = JoinNode { operator, predicates, left, right };
        Ok(Part {
            tree: JoinTree::Join(Box::new(node)),
            output,
            written: Written::Operator { plan: Arc::clone(plan), inputs },
        })
    }

    /// The region's column that a part has at this position.
    fn column(&self, output: &[usize], at: usize) -> Result<Column> {
        let number = number_of(output, at)?;
        let column = self.columns.get(number).ok_or_else(missing)?;
        Ok(Column::new(column.field.name(), number))
    }

    fn of_filter(
        &self,
        filter: &JoinFilter,
        at: usize,
        (left, right): (&[usize], &[usize]),
    ) -> Result<Column> {
        let column = filter.column_indices().get(at).ok_or_else(missing)?;
        match column.side {
            JoinSide::Left => self.column(left, column.index),
            JoinSide::Right => self.column(right, column.index),
            JoinSide::None => Err(missing()),
        }
    }

    /// Numbers conditions.
    fn add(&mut self, conditions: Vec<Condition>) -> Vec<Predicates> {
        let added = conditions.into_iter().map(|condition| {
            let predicates = predicates(self.conditions.len(), &condition, &self.columns);
            self.conditions.push(condition);
            predicates
        });
        added.collect()
    }
}

impl Part {
    /// The same joins, with an operator above them.
    fn under(
        self,
        plan: &Arc<dyn ExecutionPlan>,
        output: impl FnOnce(Vec<usize>) -> Result<Vec<usize>>,
    ) -> Result<Self> {
        let output = output(self.output)?;
        let written = Written::Operator { plan: Arc::clone(plan), inputs: vec![self.written] };
        Ok(Self { tree: self.tree, output, written })
    }
}

/// A condition, as the search knows it.
pub(super) fn predicates(id: usize, condition: &Condition, columns: &[RegionColumn]) -> Predicates {
    let relation = |at: usize| columns.get(at).map(|column| column.relation);
    Predicates {
        ids: vec![id],
        relations: condition.columns().into_iter().filter_map(relation).collect(),
        rejects_nulls: condition.strict_columns().into_iter().filter_map(relation).collect(),
    }
}

fn together(parts: Vec<Predicates>) -> Predicates {
    parts.into_iter().fold(Predicates::default(), |mut all, part| {
        all.ids.extend(part.ids);
        all.relations = all.relations.union(part.relations);
        all.rejects_nulls = all.rejects_nulls.union(part.rejects_nulls);
        all
    })
}

/// What a join does, and whether its sides are the other way round.
fn operator(join_type: JoinType) -> (Operator, bool) {
    match join_type {
        JoinType::Inner => (Operator::Inner, false),
        JoinType::Left => (Operator::Left, false),
        JoinType::Right => (Operator::Left, true),
        JoinType::Full => (Operator::Full, false),
        JoinType::LeftSemi | JoinType::LeftMark => (Operator::Semi, false),
        JoinType::RightSemi | JoinType::RightMark => (Operator::Semi, true),
        JoinType::LeftAnti => (Operator::Anti, false),
        JoinType::RightAnti => (Operator::Anti, true),
    }
}

/// A join that may change places: not NOT IN, whose answer is that of all rows together, nor one
/// whose NULLs are equal, or whose result is a mark.
fn movable_join(plan: &Arc<dyn ExecutionPlan>) -> Option<Join<'_>> {
    let join = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let nulls_equal = join.null_equality() == NullEquality::NullEqualsNull;
        if join.null_aware || nulls_equal || join.fetch().is_some() {
            return None;
        }
        Join {
            join_type: *join.join_type(),
            on: join.on(),
            filter: join.filter(),
            projection: join.projection.as_deref(),
        }
    } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        Join {
            join_type: *join.join_type(),
            on: &[],
            filter: join.filter(),
            projection: join.projection().as_deref(),
        }
    } else {
        plan.downcast_ref::<CrossJoinExec>()?;
        Join { join_type: JoinType::Inner, on: &[], filter: None, projection: None }
    };
    let is_mark = matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark);
    let keys_are_volatile = join.on.iter().any(|(l, r)| is_volatile(l) || is_volatile(r));
    let filter_is_volatile = join.filter.is_some_and(|filter| is_volatile(filter.expression()));
    (!is_mark && !keys_are_volatile && !filter_is_volatile).then_some(join)
}

/// The positions of the columns that a projection of nothing else passes on.
fn plain_columns(projection: &ProjectionExec) -> Option<Vec<usize>> {
    projection.expr().iter().map(|output| column(&output.expr)).collect()
}

/// Is a join below, and nothing between that it could not pass?
pub(super) fn leads_to_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if is_join(plan) {
        return movable_join(plan).is_some();
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return plain_columns(projection).is_some() && leads_to_join(projection.input());
    }
    plan.downcast_ref::<FilterExec>().is_some_and(is_movable_filter)
}

/// A filter over an inner join.
fn is_movable_filter(filter: &FilterExec) -> bool {
    !is_volatile(filter.predicate())
        && filter.fetch().is_none()
        && leads_to_join(filter.input())
        && is_over_inner_join(filter.input())
}

fn is_over_inner_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match movable_join(plan) {
        Some(join) => join.join_type == JoinType::Inner,
        None => match plan.children().as_slice() {
            [input] => is_over_inner_join(input),
            _ => false,
        },
    }
}

pub(super) fn picked(output: Vec<usize>, positions: &[usize]) -> Result<Vec<usize>> {
    positions.iter().map(|at| number_of(&output, *at)).collect()
}

fn number_of(output: &[usize], at: usize) -> Result<usize> {
    output.get(at).copied().ok_or_else(missing)
}

fn missing() -> DataFusionError {
    DataFusionError::Internal("a join is about a column that its sides do not have".into())
}
