//! Lateral joins with what is computed from the left row alone.
//!
//! `FROM t, LATERAL (SELECT unnest(t.a) AS x) AS u` is planned as a join with a subquery over
//! one row that has no columns. That row can as well be t's: the subquery's operators are put on
//! top of t, and let its columns pass.
//!
//! ```text
//!   Join                              Projection: t.*, placeholder AS u.x
//!     t                                 Unnest: placeholder
//!     SubqueryAlias: u          =>        Projection: t.*, t.a AS placeholder
//!       Projection: placeholder AS x        t
//!         Unnest: placeholder
//!           Projection: outer(t.a) AS placeholder
//!             one row
//! ```

use std::sync::Arc;

use datafusion::{
    common::{
        JoinType, NullHandling, Result, ScalarValue, TableReference,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, Subquery, SubqueryAlias,
        Unnest, utils::conjunction,
    },
};

use super::unnest::free_references;

/// Rewrites the lateral joins that are of this form, in subqueries, too; others stay.
pub(super) fn lateral_joins(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => match grafted(&join)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// The join without one; `None`: it is not of this form.
fn grafted(join: &Join) -> Result<Option<LogicalPlan>> {
    let (subquery, alias) = match join.right.as_ref() {
        LogicalPlan::Subquery(subquery) => (subquery, None),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match input.as_ref() {
            LogicalPlan::Subquery(subquery) => (subquery, Some(alias)),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let is_left = |column| join.left.schema().has_column(column);
    if !free_references(&subquery.subquery)?.iter().all(is_left) {
        return Ok(None);
    }
    let keeps_left = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left if is_unconditional(join) && is_only_unnested(subquery) => true,
        _ => return Ok(None),
    };
    let graft = Graft { left: Arc::clone(&join.left), keeps_left };
    let Some(plan) = graft.node(&subquery.subquery, alias)? else { return Ok(None) };
    let conditions = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    match conjunction(conditions.chain(join.filter.clone()).filter(|c| !is_true(c))) {
        Some(condition) => LogicalPlanBuilder::from(plan).filter(condition)?.build().map(Some),
        None => Ok(Some(plan)),
    }
}

fn is_true(condition: &Expr) -> bool {
    matches!(condition, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

fn is_unconditional(join: &Join) -> bool {
    join.on.is_empty() && join.filter.as_ref().is_none_or(is_true)
}

/// Of a left row without a match all columns of the right side must be NULL: they are if they all
/// come from the arrays.
fn is_only_unnested(subquery: &Subquery) -> bool {
    match subquery.subquery.as_ref() {
        LogicalPlan::Projection(projection) => {
            let bare = |expr: &Expr| match expr.clone().unalias_nested().data {
                Expr::Cast(cast) => matches!(*cast.expr, Expr::Column(_)),
                other => matches!(other, Expr::Column(_)),
            };
            matches!(projection.input.as_ref(), LogicalPlan::Unnest(_))
                && projection.expr.iter().all(bare)
        }
        _ => false,
    }
}

/// The subquery's operators on top of the left side.
struct Graft {
    left: Arc<LogicalPlan>,
    /// Rows without a match stay.
    keeps_left: bool,
}

impl Graft {
    fn node(
        &self,
        node: &LogicalPlan,
        alias: Option<&TableReference>,
    ) -> Result<Option<LogicalPlan>> {
        match node {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => {
                Ok(Some(self.left.as_ref().clone()))
            }
            LogicalPlan::Projection(projection) => self.projection(projection, alias),
            LogicalPlan::Unnest(unnest) if alias.is_none() => self.unnest(unnest),
            LogicalPlan::Filter(filter) if alias.is_none() => self.filter(filter),
            _ => Ok(None),
        }
    }

    fn projection(
        &self,
        projection: &Projection,
        alias: Option<&TableReference>,
    ) -> Result<Option<LogicalPlan>> {
        let Some(input) = self.node(&projection.input, None)? else { return Ok(None) };
        let mut exprs: Vec<Expr> = self.left.schema().iter().map(Expr::from).collect();
        for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
            let expr = with_left_columns(expr.clone())?.unalias();
            exprs.push(match alias {
                Some(alias) => expr.alias_qualified(Some(alias.clone()), field.name()),
                None => expr.alias(field.name()),
            });
        }
        LogicalPlanBuilder::from(input).project(exprs)?.build().map(Some)
    }

    fn unnest(&self, unnest: &Unnest) -> Result<Option<LogicalPlan>> {
        let Some(input) = self.node(&unnest.input, None)? else { return Ok(None) };
        let mut options = unnest.options.clone();
        if self.keeps_left {
            options = options.with_null_handling(NullHandling::PreserveAndExpandEmpty);
        }
        let columns = unnest.exec_columns.clone();
        let plan = LogicalPlanBuilder::from(input).unnest_columns_with_options(columns, options)?;
        plan.build().map(Some)
    }

    fn filter(&self, filter: &Filter) -> Result<Option<LogicalPlan>> {
        let Some(input) = self.node(&filter.input, None)? else { return Ok(None) };
        let predicate = with_left_columns(filter.predicate.clone())?;
        LogicalPlanBuilder::from(input).filter(predicate)?.build().map(Some)
    }
}

/// What referred to the outer query refers to the input.
fn with_left_columns(expr: Expr) -> Result<Expr> {
    let rewritten = expr.transform(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}
