//! UPDATE and DELETE of a table in segments: a query finds the rows, by their addresses, and what
//! takes their place; an operator on top of it changes them.
//!
//! ```text
//!   a table in parts                         a replicated one
//!   Gather                                   Gather
//!     RowChange                                RowChange        each copy, where it is
//!       Redistribute (the new rows' keys)        the query      over all rows, on each datanode
//!         the query
//! ```

use std::{cell::Cell, sync::Arc};

use datafusion::{
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder},
    physical_plan::ExecutionPlan,
};
use kestrel_proto::{ErrorReport, Result};

use crate::{
    catalog::{Distribution, TableDef},
    distribute::{Distributor, Placed, is_on_coordinator, row_change},
    error::report,
    locus::Locus,
    operators::{Address, RowChangeExec, RowChangeKind},
    plan::{Plan, PlanContext, Planner, finish, to_table},
};

/// What is to be changed.
#[derive(Clone, Copy, Debug)]
pub struct RowChange<'a> {
    /// The table.
    pub table: &'a TableDef,
    /// What becomes of its rows.
    pub kind: RowChangeKind,
    /// Its rows are joined to others, so that one may be found more than once: it is changed once.
    pub is_joined: bool,
    /// The distribution key gets new values.
    pub moves_rows: bool,
    /// Only the coordinator knows where the new rows belong: in which partitions.
    pub is_routed: bool,
    /// The statement gives back its rows, with what the query has behind their columns. Of a
    /// replicated table they are asked for besides: [`Planner::plan_changed_rows`].
    pub is_returned: bool,
}

/// How the rows are changed.
#[derive(Clone, Debug)]
pub enum RowChangePlan {
    /// The datanodes do it: the result is [`crate::operators::row_change_schema`].
    Distributed(Plan),
    /// The coordinator has the rows, and what takes their place.
    Here(Plan),
}

impl Planner {
    /// Plans the change of the rows whose addresses are the first columns of `query`; for UPDATE the
    /// table's columns stand behind them.
    ///
    /// # Errors
    /// 0A000 for a replicated table whose copies could come to differ.
    pub async fn plan_row_change(
        &self,
        query: &LogicalPlan,
        change: &RowChange<'_>,
        context: &PlanContext,
    ) -> Result<RowChangePlan> {
        let is_replicated = change.is_replicated();
        let physical = match change.needs_first_match() {
            true => self.physical_plan(&first_match(query, is_replicated)?, context).await?,
            false => self.physical_plan(query, context).await?,
        };
        let is_on_coordinator = is_on_coordinator(&physical).map_err(report)?;
        if is_on_coordinator && is_replicated {
            return Err(change.refused());
        }
        let is_here = Cell::new(
            is_on_coordinator || change.is_routed || (change.is_returned && !is_replicated),
        );
        let plan = finish(physical, context, &|distributor, plan| {
            let rows = change.found(distributor, plan)?;
            if is_here.get() || rows.is_local() {
                is_here.set(true);
                return Ok(rows.gather_at_root());
            }
            change.place(distributor, rows)
        })?;
        Ok(match is_here.get() {
            true => RowChangePlan::Here(plan),
            false => RowChangePlan::Distributed(plan),
        })
    }

    /// Plans for the coordinator the rows that [`Self::plan_row_change`] changes, of which one copy may
    /// be asked: behind the columns of `change` the query may have others.
    ///
    /// # Errors
    /// Those of planning a query.
    pub async fn plan_changed_rows(
        &self,
        query: &LogicalPlan,
        change: &RowChange<'_>,
        context: &PlanContext,
    ) -> Result<Plan> {
        match change.needs_first_match() {
            true => self.plan(&first_match(query, change.is_replicated())?, context).await,
            false => self.plan(query, context).await,
        }
    }
}

impl RowChange<'_> {
    /// Rows that are found more than once must come together before they are changed, and in all
    /// copies the same one must be taken. Where they come to their key's place, which they all have,
    /// the operator that changes them takes the first.
    fn needs_first_match(&self) -> bool {
        let come_together = match self.table.distribution {
            Distribution::Hash(_) => !self.moves_rows,
            Distribution::Replicated | Distribution::Random => false,
        };
        self.kind == RowChangeKind::Update && self.is_joined && !come_together
    }

    fn is_replicated(&self) -> bool {
        self.table.distribution == Distribution::Replicated
    }

    /// The rows, placed: those of a replicated table wherever it is.
    fn found(&self, distributor: &Distributor, plan: &Arc<dyn ExecutionPlan>) -> Result<Placed> {
        let everywhere = self.is_replicated();
        Distributor { everywhere, ..distributor.clone() }.place(plan).map_err(report)
    }

    /// What changes them, over them.
    fn place(&self, distributor: &Distributor, rows: Placed) -> Result<Placed> {
        let rows = match (self.is_replicated(), self.kind) {
            (true, _) if rows.locus != Locus::Replicated => return Err(self.refused()),
            (true, _) | (false, RowChangeKind::Delete) => rows,
            (false, RowChangeKind::Update) => {
                to_table(distributor, rows, self.table, Address::ALL.len())?
            }
        };
        let changed = RowChangeExec::new(
            (self.table.table_id(), self.table.name.clone()),
            self.table.arrow_schema(),
            self.table.column_ids(),
            self.kind,
            Arc::clone(&rows.plan),
        );
        let changed: Arc<dyn ExecutionPlan> =
            Arc::new(changed.clustered(self.table.cluster_by.clone()));
        row_change(&changed, rows).map(Placed::gather_at_root).map_err(report)
    }

    fn refused(&self) -> ErrorReport {
        let verb = match self.kind {
            RowChangeKind::Delete => "DELETE",
            RowChangeKind::Update => "UPDATE",
        };
        let message = format!(
            "{verb} of replicated table \"{}\" by what may differ when computed again",
            self.table.name
        );
        ErrorReport::unsupported(message)
            .detail("Each datanode changes its own copy.")
            .hint("Store the rows or values in a temporary table first, and use that.")
    }
}

/// Of rows with the same address, one: any, or the least where all datanodes must take the same.
fn first_match(query: &LogicalPlan, alike: bool) -> Result<LogicalPlan> {
    let columns: Vec<_> = query.schema().columns().into_iter().map(Expr::Column).collect();
    let address = columns.iter().take(Address::ALL.len()).cloned().collect();
    let order = alike.then(|| columns.iter().map(|c| c.clone().sort(true, false)).collect());
    LogicalPlanBuilder::from(query.clone())
        .distinct_on(address, columns, order)
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)
}
