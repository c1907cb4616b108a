//! A read-only query that has lost a datanode, and has shown nothing yet, runs once more if the
//! datanode is back in time.

use std::sync::Arc;

use chrono::Utc;
use datafusion::logical_expr::LogicalPlan;
use kestrel_planner::{catalog::Catalog, plan::PlanContext};
use kestrel_proto::{Datanode, ErrorReport, QueryId, Result, SqlState};

use super::{QueryEnvironment, RunningQuery, gather::canceled, run};
use crate::{cluster::Member, engine::Engine};

/// What a query needs to run once more. A plan runs once, so it is made again.
pub struct Again {
    /// Plans and runs.
    pub engine: Arc<Engine>,
    /// What was bound.
    pub plan: LogicalPlan,
    /// The snapshot it reads.
    pub view: Arc<Catalog>,
    /// The first run's.
    pub environment: QueryEnvironment,
}

impl Again {
    /// Waits for the datanode that was lost, and runs the query again.
    ///
    /// # Errors
    /// `lost` itself when it is of another kind, or the datanode does not come back in time.
    pub async fn after(self, lost: ErrorReport) -> Result<RunningQuery> {
        let cluster = &self.engine.cluster;
        let is_it = |member: &&Arc<Member>| Some(member.id().name()) == lost.datanode;
        let member = cluster.members.iter().find(is_it);
        let (Some(member), SqlState::DATANODE_LOST) = (member, lost.sqlstate) else {
            return Err(lost);
        };
        let is_back = tokio::select! {
            biased;
            () = self.environment.cancel.cancelled() => return Err(canceled("user request")),
            is_back = member.is_back_within(cluster.settings.retry_wait) => is_back,
        };
        if !is_back {
            return Err(lost);
        }
        tracing::info!(query = %self.environment.id, error = %lost, "once more");
        self.engine.metrics.query_retried();
        self.engine.metrics.query_retried();
        let context = PlanContext { catalog: Arc::clone(&self.view), now: Utc::now() };
        let plan = self.engine.planner.plan(&self.plan, &context).await?;
        let environment = QueryEnvironment { id: QueryId::random(), ..self.environment };
        run(cluster, &plan, &environment).await
    }
}
