//! The domain of a subquery: the distinct values that it reads of the outer query's rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::{
    common::{
        Column, JoinType, NullEquality, Result, ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::{Expr, Join, JoinConstraint, LogicalPlan, LogicalPlanBuilder, lit, when},
};
use kestrel_proto::ErrorReport;

use super::{
    Names,
    references::{free_references, is_same},
    reproducible::check_reproducible,
};
use crate::error::to_datafusion;

/// Which columns of which rows a subquery reads.
pub(super) struct Domain {
    rows: Arc<LogicalPlan>,
    columns: Vec<Column>,
    fields: Vec<FieldRef>,
}

impl Domain {
    /// What `subquery` reads of `rows`. What it reads of queries further out is not among it.
    ///
    /// Errors: 0A000 where the rows may be others when they are computed again.
    pub(super) fn of(subquery: &LogicalPlan, rows: &Arc<LogicalPlan>) -> Result<Self> {
        let mut columns = free_references(subquery)?;
        columns.retain(|column| rows.schema().has_column(column));
        let field =
            |column: &Column| Ok(Arc::clone(rows.schema().qualified_field_from_column(column)?.1));
        let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
        let rows = match columns.is_empty() {
            true => Arc::clone(rows),
            false => source(rows, &columns)?,
        };
        Ok(Self { rows, columns, fields })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Does this plan, or a subquery within, read one of the columns?
    pub(super) fn is_read_by(&self, plan: &LogicalPlan) -> Result<bool> {
        let read = free_references(plan)?;
        Ok(self.columns.iter().any(|column| read.iter().any(|read| is_same(read, column))))
    }

    /// The distinct values, and the columns that they are in.
    pub(super) fn values(&self, names: &Names) -> Result<(LogicalPlan, Vec<Column>)> {
        let named: Vec<_> = self.columns.iter().map(|_| names.fresh("outer")).collect();
        let columns = self.columns.iter().zip(&named);
        let columns = columns.map(|(column, name)| Expr::Column(column.clone()).alias(name));
        let plan = LogicalPlanBuilder::new_from_arc(Arc::clone(&self.rows));
        let plan = plan.project(columns.collect::<Vec<_>>())?.distinct()?.build()?;
        Ok((plan, named.into_iter().map(Column::from_name).collect()))
    }

    /// The expression with `keys`, which hold the domain's columns, for what it reads of them.
    pub(super) fn bound(&self, expr: Expr, keys: &[Column]) -> Result<Expr> {
        let bound = expr.transform(|expr| {
            let Expr::OuterReferenceColumn(_, column) = &expr else {
                return Ok(Transformed::no(expr));
            };
            let mut known = self.columns.iter().zip(keys);
            match known.find(|(known, _)| is_same(known, column)) {
                Some((_, key)) => Ok(Transformed::yes(Expr::Column(key.clone()))),
                None => Ok(Transformed::no(expr)),
            }
        });
        bound.data()
    }

    /// Equalities of two plans' keys, as a join takes them. NULL equals NULL.
    ///
    /// A join for which NULL equals NULL in all its equalities is no way: DataFusion makes further
    /// ones of the conditions above it, for which that is wrong.
    pub(super) fn equalities(
        &self,
        left: &[Column],
        right: &[Column],
    ) -> Result<Vec<(Expr, Expr)>> {
        let mut equalities = Vec::new();
        for ((left, right), field) in left.iter().zip(right).zip(&self.fields) {
            let (left, right) = (Expr::Column(left.clone()), Expr::Column(right.clone()));
            if !field.is_nullable() {
                equalities.push((left, right));
                continue;
            }
            equalities.push((left.clone().is_null(), right.clone().is_null()));
            if *field.data_type() != DataType::Null {
                let value = ScalarValue::new_default(field.data_type()).map_err(|_| no_key())?;
                equalities.push((known(left, &value)?, known(right, &value)?));
            }
        }
        Ok(equalities)
    }

    /// The domain's own rows, each with what was found for its values, or with NULLs.
    pub(super) fn left_join(
        &self,
        rows: LogicalPlan,
        found: LogicalPlan,
        keys: &[Column],
    ) -> Result<LogicalPlan> {
        joined_left(rows, found, self.equalities(&self.columns, keys)?)
    }

    /// The columns of the rows.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }
}

/// The rows that the columns come from: no more of the plan than has to be computed again.
fn source(rows: &Arc<LogicalPlan>, columns: &[Column]) -> Result<Arc<LogicalPlan>> {
    let preserved = narrowed(rows, columns, &[JoinType::Left]);
    let Err(refused) = check_reproducible(&preserved) else { return Ok(preserved) };
    // One side of an inner join has all the values, and perhaps more.
    let side = narrowed(&preserved, columns, &[JoinType::Left, JoinType::Inner]);
    match check_reproducible(&side) {
        Ok(()) => Ok(side),
        Err(_) => Err(refused),
    }
}

/// Below what lets the columns pass: projections, and joins of these types on their left side.
fn narrowed(
    rows: &Arc<LogicalPlan>,
    columns: &[Column],
    join_types: &[JoinType],
) -> Arc<LogicalPlan> {
    let has_all = |plan: &LogicalPlan| columns.iter().all(|c| plan.schema().has_column(c));
    match rows.as_ref() {
        LogicalPlan::Projection(projection) => {
            let passes = |column: &Column| {
                let is_it = |expr: &Expr| matches!(expr, Expr::Column(c) if is_same(c, column));
                projection.expr.iter().any(is_it)
            };
            if columns.iter().all(passes) {
                return narrowed(&projection.input, columns, join_types);
            }
        }
        LogicalPlan::Join(join) if join_types.contains(&join.join_type) && has_all(&join.left) => {
            return narrowed(&join.left, columns, join_types);
        }
        _ => {}
    }
    Arc::clone(rows)
}

/// A left join on these equalities.
pub(super) fn joined_left(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
) -> Result<LogicalPlan> {
    let filter = on.is_empty().then(|| lit(true));
    let join = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        filter,
        JoinType::Left,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(LogicalPlan::Join(join))
}

fn known(key: Expr, otherwise: &ScalarValue) -> Result<Expr> {
    when(key.clone().is_null(), lit(otherwise.clone())).otherwise(key)
}

fn no_key() -> datafusion::error::DataFusionError {
    let message = "a subquery that reads a column of this type of the outer query";
    to_datafusion(ErrorReport::unsupported(message))
}
