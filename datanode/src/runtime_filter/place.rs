//! The rule that gives joins their filters.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        JoinType, NullEquality,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions,
        aggregates::{AggregateExec, AggregateOutputMode},
        filter::FilterExec,
        joins::HashJoinExec,
        recursive_query::RecursiveQueryExec,
        statistics::{StatisticsArgs, StatisticsContext},
    },
};

use super::{
    KeySet, RuntimeFilter,
    collect::{Key, KeyCollectorExec},
    filter::KeyFilterExec,
    passage::{passages, position},
};

/// What the rule must know of the operators that read tables: those without inputs.
pub(crate) trait Scans {
    /// The scan that also drops the rows that a filter says cannot join; `column`: position among its
    /// output columns. `None`: it cannot.
    fn filtered(
        &self,
        scan: &Arc<dyn ExecutionPlan>,
        column: usize,
        filter: &Arc<RuntimeFilter>,
    ) -> Option<Arc<dyn ExecutionPlan>>;

    /// Whether it may leave out rows of its table, or is no scan of a table.
    fn is_selective(&self, scan: &Arc<dyn ExecutionPlan>) -> bool;
}

/// Lets every hash join whose keys are columns, and that needs only those rows of its right side that
/// have partners, filter the scans below that side. Joins come from above to below, so that the scans
/// of a build side know the filters of the joins above it.
pub(crate) fn with_runtime_filters(
    plan: Arc<dyn ExecutionPlan>,
    scans: &dyn Scans,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_down(|plan| {
        if plan.is::<RecursiveQueryExec>() {
            // Its build sides are read in each round, and have other rows then.
            return Ok(Transformed::new(plan, false, TreeNodeRecursion::Jump));
        }
        let Some(join) = plan.downcast_ref::<HashJoinExec>() else {
            return Ok(Transformed::no(plan));
        };
        Ok(match filtering(join, scans)? {
            Some(children) => Transformed::yes(replaced(plan, children)?),
            None => Transformed::no(plan),
        })
    })
    .data()
}

/// The children of a join that filters its right side; `None`: it does not.
fn filtering(
    join: &HashJoinExec,
    scans: &dyn Scans,
) -> Result<Option<Vec<Arc<dyn ExecutionPlan>>>> {
    if !needs_only_partners(join) || !is_worthwhile(join, scans) {
        return Ok(None);
    }
    let schema = join.left().schema();
    let mut right = Arc::clone(join.right());
    let mut keys = Vec::new();
    for (left_key, right_key) in join.on() {
        let (Some(column), Some(right_column)) = (position(left_key), position(right_key)) else {
            continue;
        };
        let data_type = schema.field(column).data_type();
        if !KeySet::supports(data_type) {
            continue;
        }
        let filter = RuntimeFilter::new();
        let placing = Placing { filter: &filter, data_type, scans };
        if let Some(placed) = placing.place(&right, right_column)? {
            right = placed;
            keys.push(Key { column, filter });
        }
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let left = Arc::new(KeyCollectorExec::new(keys, Arc::clone(join.left())));
    Ok(Some(vec![left, right]))
}

/// Whether rows of the right side that have no partner on the left change nothing in a join's output.
fn needs_only_partners(join: &HashJoinExec) -> bool {
    // `NOT IN` asks whether the right side has a NULL, or any row at all; and where NULLs are equal,
    // they are keys.
    !join.null_aware
        && join.null_equality() == NullEquality::NullEqualsNothing
        && match join.join_type() {
            JoinType::Inner
            | JoinType::Left
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
            | JoinType::RightSemi => true,
            JoinType::Right | JoinType::Full | JoinType::RightAnti | JoinType::RightMark => false,
        }
}

/// Not when the build side is whole tables with more rows than the probe side: it has all the keys
/// then, since it is what the others refer to.
fn is_worthwhile(join: &HashJoinExec, scans: &dyn Scans) -> bool {
    let is_larger = match (rows(join.left()), rows(join.right())) {
        (Some(left), Some(right)) => left >= right,
        _ => false,
    };
    !is_larger || is_selective(join.left(), scans)
}

/// Rows that come out, as DataFusion thinks.
fn rows(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    statistics.ok()?.num_rows.get_value().copied()
}

/// Whether anything in a plan may leave out rows, other than joins that look up what their rows refer
/// to.
fn is_selective(plan: &Arc<dyn ExecutionPlan>, scans: &dyn Scans) -> bool {
    let children = plan.children();
    if children.is_empty() {
        return scans.is_selective(plan);
    }
    let leaves_out = plan.fetch().is_some()
        || plan.is::<FilterExec>()
        || plan.downcast_ref::<HashJoinExec>().is_some_and(|join| match join.join_type() {
            JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftAnti | JoinType::RightAnti => {
                true
            }
            JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::Full
            | JoinType::LeftMark
            | JoinType::RightMark => false,
        });
    leaves_out || children.into_iter().any(|child| is_selective(child, scans))
}

/// A filter on its way down.
struct Placing<'a> {
    filter: &'a Arc<RuntimeFilter>,
    /// Of its keys.
    data_type: &'a DataType,
    scans: &'a dyn Scans,
}

impl Placing<'_> {
    /// The plan with the filter in all scans that it gets to from a column of the output; `None`: it
    /// gets to none.
    fn place(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        column: usize,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mut children: Vec<_> = plan.children().into_iter().cloned().collect();
        if children.is_empty() {
            let schema = plan.schema();
            let field = schema.fields().get(column);
            let is_of_type = field.is_some_and(|field| field.data_type() == self.data_type);
            return Ok(match is_of_type {
                true => self.scans.filtered(plan, column, self.filter),
                false => None,
            });
        }
        let mut is_placed = false;
        for passage in passages(plan, column) {
            let Some(child) = children.get_mut(passage.child) else { continue };
            if let Some(placed) = self.place(child, passage.column)? {
                *child = placed;
                is_placed = true;
            }
        }
        if !is_placed {
            return Ok(None);
        }
        let plan = replaced(Arc::clone(plan), children)?;
        Ok(Some(match gives_groups(&plan) {
            true => Arc::new(KeyFilterExec::new(column, Arc::clone(self.filter), plan)),
            false => plan,
        }))
    }
}

/// Whether an operator gives the results of groups: not what others go on aggregating.
fn gives_groups(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<AggregateExec>().is_some_and(|aggregate| {
        match aggregate.mode().output_mode() {
            AggregateOutputMode::Final => true,
            AggregateOutputMode::Partial => false,
        }
    })
}

fn replaced(
    plan: Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}
