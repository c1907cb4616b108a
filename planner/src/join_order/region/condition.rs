//! What joins join by, over the columns of their region.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, CastExpr, Column},
    },
};

/// A conjunct.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Two columns of a class of equal ones: one such condition of each class is enough to join by.
    Same { class: usize, left: usize, right: usize },
    /// An equality that a hash join may use; NULLs are not equal.
    Equal(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    /// Anything else.
    Other(Arc<dyn PhysicalExpr>),
}

impl Condition {
    /// A conjunct of a filter.
    pub(super) fn of_conjunct(expr: &Arc<dyn PhysicalExpr>) -> Self {
        match expr.downcast_ref::<BinaryExpr>() {
            Some(binary) if *binary.op() == Operator::Eq => {
                Self::Equal(Arc::clone(binary.left()), Arc::clone(binary.right()))
            }
            _ => Self::Other(Arc::clone(expr)),
        }
    }

    /// The columns it is about.
    pub(super) fn columns(&self) -> BTreeSet<usize> {
        match self {
            Self::Same { left, right, .. } => [*left, *right].into(),
            Self::Equal(left, right) => &columns_of(left) | &columns_of(right),
            Self::Other(expr) => columns_of(expr),
        }
    }

    /// Columns of which one that is NULL makes it not true.
    pub(super) fn strict_columns(&self) -> BTreeSet<usize> {
        match self {
            Self::Same { left, right, .. } => [*left, *right].into(),
            Self::Equal(left, right) => {
                [left, right].into_iter().filter_map(column_under_casts).collect()
            }
            Self::Other(expr) => match expr.downcast_ref::<BinaryExpr>() {
                Some(binary) if is_strict(*binary.op()) => {
                    let sides = [binary.left(), binary.right()];
                    sides.into_iter().filter_map(column_under_casts).collect()
                }
                _ => BTreeSet::new(),
            },
        }
    }
}

fn is_strict(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
    )
}

/// The number of a column, which may be cast.
fn column_under_casts(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) => column_under_casts(cast.expr()),
        None => column(expr),
    }
}

/// The number of a column.
pub(super) fn column(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

/// All columns of an expression.
pub(super) fn columns_of(expr: &Arc<dyn PhysicalExpr>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    // It cannot fail.
    let _ = expr.apply(|node| {
        found.extend(column(node));
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The expression over other columns, which `column` gives for their numbers. A column that was
/// renamed on its way has the name again that it has there: joins find their keys by both.
///
/// # Errors
/// What `column` fails with.
pub(super) fn renumbered(
    expr: &Arc<dyn PhysicalExpr>,
    column: impl Fn(usize) -> Result<Column>,
) -> Result<Arc<dyn PhysicalExpr>> {
    Arc::clone(expr)
        .transform(|node| match node.downcast_ref::<Column>() {
            Some(old) => {
                let new: Arc<dyn PhysicalExpr> = Arc::new(column(old.index())?);
                Ok(Transformed::yes(new))
            }
            None => Ok(Transformed::no(node)),
        })
        .data()
}
