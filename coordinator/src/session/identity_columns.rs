//! Identity columns in INSERT: who gives them their values (PostgreSQL's `rewriteTargetListIU`,
//! rewrite/rewriteHandler.c).

use datafusion::{
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder},
    sql::sqlparser::ast,
};
use kestrel_planner::{
    catalog::{Identity, TableDef},
    error::report,
    parse::Overriding,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::serial::is_default;

/// Settles it for `VALUES`, whose columns go to `columns` of the table (empty: to the first ones).
/// Where the sequence decides, the values become DEFAULT.
///
/// Errors: 428C9 for a value that only the sequence may give.
pub(super) fn settle_values(
    values: &mut ast::Values,
    table: &TableDef,
    columns: &[usize],
    overriding: Option<Overriding>,
) -> Result<()> {
    for row in &mut values.rows {
        for (at, expr) in row.iter_mut().enumerate() {
            let position = if columns.is_empty() { Some(&at) } else { columns.get(at) };
            let column = position.and_then(|position| table.columns.get(*position));
            let Some((column, identity)) = column.and_then(|c| Some((c, c.identity?))) else {
                continue;
            };
            if is_default(expr) {
                continue;
            }
            match (overriding, identity) {
                (Some(Overriding::User), _) => *expr = default(),
                (None, Identity::Always) => return Err(not_default(&column.name)),
                (None, Identity::ByDefault) | (Some(Overriding::System), _) => {}
            }
        }
    }
    Ok(())
}

/// Settles it for the rows of a query: its plan and its columns' places without those that the
/// sequences decide.
///
/// Errors: 428C9 for a column that only its sequence may give.
pub(super) fn settle_query(
    plan: LogicalPlan,
    table: &TableDef,
    columns: Vec<usize>,
    overriding: Option<Overriding>,
) -> Result<(LogicalPlan, Vec<usize>)> {
    let identity = |at: &usize| table.columns.get(*at).and_then(|column| column.identity);
    match overriding {
        Some(Overriding::System) => Ok((plan, columns)),
        None => match columns.iter().find(|at| identity(at) == Some(Identity::Always)) {
            Some(at) => Err(not_default(&table.columns[*at].name)),
            None => Ok((plan, columns)),
        },
        Some(Overriding::User) if columns.iter().all(|at| identity(at).is_none()) => {
            Ok((plan, columns))
        }
        Some(Overriding::User) => {
            let fields = plan.schema().columns().into_iter().zip(columns);
            let kept = fields.filter(|(_, at)| identity(at).is_none());
            let (kept, places): (Vec<_>, Vec<_>) =
                kept.map(|(field, at)| (Expr::Column(field), at)).unzip();
            let plan = LogicalPlanBuilder::from(plan)
                .project(kept)
                .and_then(LogicalPlanBuilder::build)
                .map_err(report)?;
            Ok((plan, places))
        }
    }
}

fn default() -> ast::Expr {
    ast::Expr::Identifier(ast::Ident::new("DEFAULT"))
}

pub(super) fn not_default(column: &str) -> ErrorReport {
    let message = format!("cannot insert a non-DEFAULT value into column \"{column}\"");
    ErrorReport::new(SqlState::GENERATED_ALWAYS, message)
        .detail(format!("Column \"{column}\" is an identity column defined as GENERATED ALWAYS."))
        .hint("Use OVERRIDING SYSTEM VALUE to override.")
}
