//! A view's query, in the place of the view's name.

use datafusion::{
    common::Column,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder},
};
use kestrel_proto::{ErrorReport, Result};

use super::{BindContext, bind_names, provider::Names};
use crate::{
    catalog::ViewDef,
    error::report,
    parse::{StatementKind, parse},
};

/// The plan of a view: its columns, under its names for them. The passes that bring PostgreSQL's
/// types are yet to come: they are made over the whole statement.
pub(super) fn view_plan(view: &ViewDef, context: &BindContext) -> Result<LogicalPlan> {
    let parsed = parse(&view.query)?.into_iter().next();
    let Some(StatementKind::Query(query)) = parsed.map(|statement| statement.kind) else {
        return Err(ErrorReport::internal(format!("the query of view {} is none", view.name)));
    };
    let query = context.system_relations.plannable(*query);
    let bound = bind_names(query, Names::of_view(context, view), Vec::new())?;
    let fields = bound.plan.schema().iter().map(Column::from).collect::<Vec<_>>();
    let columns = view.columns.iter().map(|column| {
        // A column's id is its place in the query's output, also where a reader knows fewer.
        let at = (column.id as usize).checked_sub(1);
        let field = at.and_then(|at| fields.get(at)).ok_or_else(|| {
            ErrorReport::internal(format!("view {} lacks column {}", view.name, column.name))
        })?;
        Ok(Expr::Column(field.clone()).alias(column.name.clone()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(bound.plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)
}
