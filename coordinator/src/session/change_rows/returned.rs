//! UPDATE and DELETE with RETURNING: where the rows are gathered that they give back.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use kestrel_planner::{
    catalog::{Catalog, Distribution, TableDef},
    error::report,
    operators::{Address, ChangedRows, RowChangeKind},
    plan::{Plan, PlanContext, RowChange, RowChangePlan},
};
use kestrel_proto::Result;

use super::super::{ClientSession, returning::Gathered};

/// What a change gives back.
pub(super) struct Returned {
    /// Of the query that finds the rows.
    schema: SchemaRef,
    /// Of a replicated table: asks one copy for the rows, since each is changed where it is.
    of_copy: Option<Plan>,
}

impl Returned {
    /// Are the rows kept on their way through the coordinator?
    pub(super) fn keeps_rows(&self) -> bool {
        self.of_copy.is_none()
    }
}

impl ClientSession {
    /// Plans a change by a query that has what RETURNING wants behind the columns of the change.
    pub(super) async fn plan_returned(
        &self,
        query: LogicalPlan,
        change: &RowChange<'_>,
        context: &PlanContext,
    ) -> Result<(RowChangePlan, Returned)> {
        let planner = &self.engine.planner;
        let schema = Arc::clone(query.schema().inner());
        if change.table.distribution != Distribution::Replicated {
            let plan = planner.plan_row_change(&query, change, context).await?;
            return Ok((plan, Returned { schema, of_copy: None }));
        }
        let changed = changed_columns(query.clone(), change.kind, change.table)?;
        let plan = planner.plan_row_change(&changed, change, context).await?;
        let of_copy = Some(planner.plan_changed_rows(&query, change, context).await?);
        Ok((plan, Returned { schema, of_copy }))
    }

    /// Where the rows that a change gives back are kept: of a replicated table those of one copy, which
    /// are asked for.
    pub(super) async fn gathered(
        &mut self,
        returned: &Returned,
        view: &Arc<Catalog>,
        text: &str,
    ) -> Result<Gathered> {
        let mut gathered = Gathered::new(Arc::clone(&returned.schema), Address::ALL.len());
        if let Some(plan) = &returned.of_copy {
            // EXPLAIN ANALYZE shows the change.
            let analysis = self.analysis.take();
            let environment = self.environment(view, self.cancel.clone());
            let (mut rows, mut noted) = self.start(plan, &environment, text).await?;
            self.analysis = analysis;
            // One that is found twice is changed once.
            let mut found = ChangedRows::default();
            while let Some(batch) = rows.next().await {
                let batch = noted.part(batch)?;
                gathered.push(noted.part(found.note(batch))?);
            }
            noted.finish();
        }
        Ok(gathered)
    }
}

/// The query without what RETURNING alone wants.
fn changed_columns(
    query: LogicalPlan,
    kind: RowChangeKind,
    table: &TableDef,
) -> Result<LogicalPlan> {
    let of_rows = match kind {
        RowChangeKind::Update => table.columns.len(),
        RowChangeKind::Delete => 0,
    };
    let columns = query.schema().columns().into_iter().take(Address::ALL.len() + of_rows);
    let columns: Vec<_> = columns.map(Expr::Column).collect();
    LogicalPlanBuilder::from(query)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)
}
