//! Which columns of outer queries a subquery reads.
//!
//! A reference has no depth, only its name: it means the innermost query around it that has such a
//! column.

use datafusion::{
    common::{Column, Result, tree_node::TreeNode, tree_node::TreeNodeRecursion},
    logical_expr::{
        Expr, LogicalPlan, Subquery,
        expr::{Exists, InSubquery, SetComparison},
    },
};

/// The columns of queries around `plan` that it reads, each once; those that a subquery within reads
/// of the plan itself are not among them.
pub(in crate::bind) fn free_references(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    let inputs = plan.inputs();
    plan.apply_expressions(|expr| {
        add_all(&mut found, free_in(expr, &inputs)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    match plan {
        // What a lateral subquery reads of the left side is bound here.
        LogicalPlan::Join(join) => {
            add_all(&mut found, free_references(&join.left)?);
            let right = free_references(&join.right)?;
            add_all(&mut found, unbound(right, &[&join.left]));
        }
        _ => {
            for input in inputs {
                add_all(&mut found, free_references(input)?);
            }
        }
    }
    Ok(found)
}

/// What an expression over `inputs` reads of queries around it.
pub(super) fn free_in(expr: &Expr, inputs: &[&LogicalPlan]) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    expr.apply(|expr| {
        match expr {
            Expr::OuterReferenceColumn(_, column) => add_all(&mut found, vec![column.clone()]),
            other => {
                if let Some(subquery) = subquery_of(other) {
                    let free = free_references(&subquery.subquery)?;
                    add_all(&mut found, unbound(free, inputs));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The subquery that an expression is.
pub(super) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// The same column, wherever it stands in the text.
pub(super) fn is_same(left: &Column, right: &Column) -> bool {
    left.relation == right.relation && left.name == right.name
}

fn unbound(columns: Vec<Column>, inputs: &[&LogicalPlan]) -> Vec<Column> {
    let is_bound = |column: &Column| inputs.iter().any(|i| i.schema().has_column(column));
    columns.into_iter().filter(|column| !is_bound(column)).collect()
}

fn add_all(found: &mut Vec<Column>, columns: Vec<Column>) {
    for column in columns {
        if !found.iter().any(|known| is_same(known, &column)) {
            found.push(column);
        }
    }
}
