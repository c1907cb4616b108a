//! The columns of tables that a query's outputs are, unchanged (PostgreSQL's
//! `markTargetListOrigins`, parse_target.c).

use datafusion::{
    common::{Column, JoinType},
    datasource::source_as_provider,
    logical_expr::{Distinct, Expr, Join, LogicalPlan},
};

use super::ShardTable;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The table's OID.
    pub table_oid: u32,
    /// The column's number in it, from 1.
    pub column_number: i16,
}

/// For each output of a bound query's plan the column that it is; `None`: it is computed.
pub fn origins(plan: &LogicalPlan) -> Vec<Option<Origin>> {
    (0..plan.schema().fields().len()).map(|at| origin(plan, at)).collect()
}

fn origin(plan: &LogicalPlan, at: usize) -> Option<Origin> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let table = provider.downcast_ref::<ShardTable>()?.table();
            let position = match &scan.projection {
                Some(projection) => *projection.get(at)?,
                None => at,
            };
            let column = table.columns.get(position)?;
            let table_oid = u32::try_from(table.id).ok()?;
            Some(Origin { table_oid, column_number: i16::try_from(column.id).ok()? })
        }
        LogicalPlan::Projection(projection) => {
            origin_of_expr(projection.expr.get(at)?, &projection.input)
        }
        // GROUPING SETS show NULL for a column that is not of the set.
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.get(at)? {
            Expr::GroupingSet(_) => None,
            key => origin_of_expr(key, &aggregate.input),
        },
        LogicalPlan::Window(window) => {
            let inputs = window.input.schema().fields().len();
            (at < inputs).then(|| origin(&window.input, at)).flatten()
        }
        LogicalPlan::Join(join) => origin_of_join(join, at),
        LogicalPlan::Distinct(Distinct::All(input)) => origin(input, at),
        LogicalPlan::Distinct(Distinct::On(on)) => {
            origin_of_expr(on.select_expr.get(at)?, &on.input)
        }
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, at),
        LogicalPlan::Filter(filter) => origin(&filter.input, at),
        LogicalPlan::Sort(sort) => origin(&sort.input, at),
        LogicalPlan::Limit(limit) => origin(&limit.input, at),
        _ => None,
    }
}

fn origin_of_expr(expr: &Expr, input: &LogicalPlan) -> Option<Origin> {
    match expr {
        Expr::Alias(alias) => origin_of_expr(&alias.expr, input),
        Expr::Column(column) => origin(input, position(column, input)?),
        _ => None,
    }
}

fn position(column: &Column, input: &LogicalPlan) -> Option<usize> {
    input.schema().maybe_index_of_column(column)
}

fn origin_of_join(join: &Join, at: usize) -> Option<Origin> {
    let of_left = join.left.schema().fields().len();
    match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            match at.checked_sub(of_left) {
                None => origin(&join.left, at),
                Some(at) => origin(&join.right, at),
            }
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (at < of_left).then(|| origin(&join.left, at)).flatten()
        }
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            let of_right = join.right.schema().fields().len();
            (at < of_right).then(|| origin(&join.right, at)).flatten()
        }
    }
}
