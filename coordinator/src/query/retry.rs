//! A read-only query that has lost a datanode, and has shown nothing yet, runs once more if the
//! datanode is back in time.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use datafusion::logical_expr::LogicalPlan;
use kestrel_planner::{catalog::Catalog, plan::PlanContext};
use kestrel_proto::{Datanode, ErrorReport, QueryId, Result, SqlState};

use super::{
    QueryEnvironment, RunningQuery,
    gather::{canceled, until},
    run,
};
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
    /// `lost` itself when it is of another kind, or the datanode does not come back in time; 57014
    /// when the query may not wait so long.
    pub async fn after(self, lost: ErrorReport) -> Result<RunningQuery> {
        let cluster = &self.engine.cluster;
        let is_it = |member: &&Arc<Member>| Some(member.id().name()) == lost.datanode;
        let member = cluster.members.iter().find(is_it);
        let (Some(member), SqlState::DATANODE_LOST) = (member, lost.sqlstate) else {
            return Err(lost);
        };
        if !is_back(member, cluster.settings.retry_wait, &self.environment).await? {
            return Err(lost);
        }
        tracing::info!(query = %self.environment.id, error = %lost, "once more");
        self.engine.metrics.query_retried();
        let context = PlanContext {
            catalog: Arc::clone(&self.view),
            now: Utc::now(),
            formats: self.environment.formats()?,
            rules: self.environment.rules()?,
            join_order: self.environment.join_order()?,
        };
        let plan = self.engine.planner.plan(&self.plan, &context).await?;
        let environment = QueryEnvironment { id: QueryId::random(), ..self.environment };
        run(&self.engine, &plan, &environment).await
    }
}

/// Whether a datanode answers again within `wait`.
async fn is_back(member: &Member, wait: Duration, environment: &QueryEnvironment) -> Result<bool> {
    tokio::select! {
        biased;
        () = environment.cancel.cancelled() => Err(canceled("user request")),
        () = until(environment.deadline) => Err(canceled("statement timeout")),
        is_back = member.is_back_within(wait) => Ok(is_back),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Instant};

    use kestrel_proto::TransactionId;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn waiting_for_a_datanode_ends_with_the_query() {
        let member = Member::unregistered(0);
        let waits = QueryEnvironment {
            id: QueryId::random(),
            catalog_version: 1,
            base: Arc::new(Catalog::empty()),
            bucket_map_version: 1,
            transaction: TransactionId(1),
            deadline: None,
            cancel: CancellationToken::new(),
            collect_metrics: false,
            memory_limit_bytes: 0,
            snapshot: None,
            block: None,
            wrote_on: Default::default(),
            options: HashMap::new(),
        };
        let late = QueryEnvironment { deadline: Some(Instant::now()), ..waits.clone() };
        let canceled = QueryEnvironment { cancel: CancellationToken::new(), ..waits.clone() };
        canceled.cancel.cancel();
        let hour = Duration::from_secs(3600);
        for (environment, wait, expected) in [
            (waits, Duration::ZERO, Ok(false)),
            (late, hour, Err("canceling statement due to statement timeout")),
            (canceled, hour, Err("canceling statement due to user request")),
        ] {
            let found = is_back(&member, wait, &environment).await;
            assert_eq!(found.map_err(|e| e.message), expected.map_err(String::from));
        }
    }
}
