//! What a fragment sends to the database, for EXPLAIN: what it would, if it ran, and what it has.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::{execution::TaskContext, physical_plan::ExecutionPlan};
use kestrel_proto::{
    Result,
    message::{Fragment, FragmentDescription, ScanSql},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    config::with_settings,
    run::{FragmentRunner, died, fragment_of},
};
use crate::shard::kes;

impl FragmentRunner {
    /// See [`kestrel_proto::Datanode::describe`].
    pub(crate) async fn describe(self: &Arc<Self>, fragment: Bytes) -> Result<FragmentDescription> {
        let runner = Arc::clone(self);
        // Plans are decoded where fragments run; a panic stays there.
        let task = self.runtime.spawn(async move { runner.described(fragment) });
        let described = AbortOnDropHandle::new(task).await;
        let described = described.unwrap_or_else(|error| Err(died(error)));
        described.map_err(|report| report.on_datanode(self.datanode.name()))
    }

    fn described(&self, fragment: Bytes) -> Result<FragmentDescription> {
        let fragment = fragment_of(fragment)?;
        self.admit(&fragment)?;
        let config = with_settings(self.config.clone(), &fragment.options)?;
        // The operators have no hands: they are not run.
        let context = TaskContext::default().with_session_config(config);
        let plan = self.decoder.decode(&fragment, &self.store, &context)?;
        let scans = database_scans(&plan);
        Ok(FragmentDescription { scans: planned(&scans, &fragment) })
    }
}

/// The scans of the database among a decoded plan's operators, in pre-order. DataFusion's rules may
/// put the inputs of a join the other way round: so they are found before, and stay the same
/// operators.
pub(super) fn database_scans(plan: &Arc<dyn ExecutionPlan>) -> Vec<Arc<dyn ExecutionPlan>> {
    let mut scans = Vec::new();
    find(plan, &mut scans);
    scans
}

fn find(plan: &Arc<dyn ExecutionPlan>, scans: &mut Vec<Arc<dyn ExecutionPlan>>) {
    if kes::is_scan(plan.as_ref()) {
        scans.push(Arc::clone(plan));
    }
    plan.children().into_iter().for_each(|child| find(child, scans));
}

fn planned(scans: &[Arc<dyn ExecutionPlan>], fragment: &Fragment) -> Vec<ScanSql> {
    let planned = scans.iter().filter_map(|scan| kes::planned_sql(scan.as_ref()));
    let planned = planned.map(|sql| match fragment.reads_own_writes {
        // A shard transaction has one session.
        true => ScanSql { pieces_max: 1, ..sql },
        false => sql,
    });
    planned.collect()
}

/// What the scans have sent until now.
pub(super) fn sent(scans: &[Arc<dyn ExecutionPlan>]) -> Vec<ScanSql> {
    scans.iter().filter_map(|scan| kes::sent_sql(scan.as_ref())).collect()
}
