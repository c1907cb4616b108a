//! Conditions with another value whenever they are computed: `random() < 0.5`.

use std::{collections::HashSet, sync::Arc};

use datafusion::{
    common::{
        Column, DFSchema, JoinType,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{
        Expr, Filter, Join, LogicalPlan, Projection,
        utils::{conjunction, split_conjunction, split_conjunction_owned},
    },
};

use crate::functions::sql_held;

/// The column of what was drawn.
const DRAWN: &str = "kestrel_drawn";

/// Has such conditions asked of the rows they are written for. DataFusion pushes one that reads one
/// side of a join, or nothing, below the join, and one that reads keys, or nothing, below an
/// aggregate: there it would be drawn for other rows. It leaves above a projection what is drawn there:
///
/// ```text
///                                   Projection: a.x, b.y
///   Filter: random() < 0.5            Filter: kestrel_drawn
///     Cross Join              =>        Projection: a.x, b.y, random() < 0.5 AS kestrel_drawn
///       a                                 Cross Join
///       b                                   a
///                                           b
/// ```
///
/// What an inner join asks is asked above it; what another one asks needs columns of both sides.
pub(crate) fn draw_in_place(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(filter) if asks(&filter.predicate) && !is_of_a_scan(&filter.input) => {
            in_filter(filter).map(Transformed::yes)
        }
        LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(asks) => {
            in_join(join).map(Transformed::yes)
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn in_filter(Filter { predicate, mut input, .. }: Filter) -> Result<LogicalPlan> {
    let (drawn, others): (Vec<_>, Vec<_>) =
        split_conjunction_owned(predicate).into_iter().partition(is_drawn);
    if let Some(others) = conjunction(others) {
        input = Arc::new(LogicalPlan::Filter(Filter::try_new(others, input)?));
    }
    let columns: Vec<_> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let drawn = conjunction(drawn).into_iter().map(|drawn| drawn.alias(DRAWN));
    let with_drawn = Projection::try_new(columns.iter().cloned().chain(drawn).collect(), input)?;
    let with_drawn = Arc::new(LogicalPlan::Projection(with_drawn));
    let drawn = Expr::Column(Column::new_unqualified(DRAWN));
    let passing = Arc::new(LogicalPlan::Filter(Filter::try_new(drawn, with_drawn)?));
    Projection::try_new(columns, passing).map(LogicalPlan::Projection)
}

fn in_join(mut join: Join) -> Result<LogicalPlan> {
    let conjuncts = join.filter.take().map(split_conjunction_owned).unwrap_or_default();
    if join.join_type == JoinType::Inner {
        let (drawn, others): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(is_drawn);
        join.filter = conjunction(others);
        let join = Arc::new(LogicalPlan::Join(join));
        return match conjunction(drawn) {
            Some(drawn) => in_filter(Filter::try_new(drawn, join)?),
            None => Ok(Arc::unwrap_or_clone(join)),
        };
    }
    let needed = [one_of_each(join.left.schema()), one_of_each(join.right.schema())].concat();
    let held = conjuncts.into_iter().map(|conjunct| match is_drawn(&conjunct) {
        true => sql_held(conjunct, needed.clone()),
        false => conjunct,
    });
    join.filter = conjunction(held);
    Ok(LogicalPlan::Join(join))
}

/// A column of each relation.
fn one_of_each(schema: &DFSchema) -> Vec<Expr> {
    let mut relations = HashSet::new();
    let columns = schema.columns().into_iter();
    columns.filter(|c| relations.insert(c.relation.clone())).map(Expr::Column).collect()
}

fn asks(condition: &Expr) -> bool {
    split_conjunction(condition).into_iter().any(is_drawn)
}

/// `kestrel_nullable` is volatile by name only. What DataFusion makes joins of is left to it.
fn is_drawn(conjunct: &Expr) -> bool {
    let is_volatile = |expr: &Expr| {
        let is_nullable =
            matches!(expr, Expr::ScalarFunction(call) if call.name() == "kestrel_nullable");
        expr.is_volatile_node() && !is_nullable
    };
    let is_left_alone = |expr: &Expr| {
        matches!(
            expr,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        )
    };
    has(conjunct, is_volatile) && !has(conjunct, is_left_alone)
}

fn has(expr: &Expr, is_it: impl Fn(&Expr) -> bool) -> bool {
    expr.exists(|expr| Ok(is_it(expr))).unwrap_or(false)
}

/// A condition on rows that come from a scan one by one is the same anywhere above it.
fn is_of_a_scan(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_) => plan.inputs().into_iter().all(is_of_a_scan),
        _ => false,
    }
}
