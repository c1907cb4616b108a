//! What a plan's fragments would send to the databases beside their datanodes, for EXPLAIN: the
//! datanodes are asked, which alone know what their databases can do. Of a query that has run, its
//! summary has it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use kestrel_planner::{
    codec, error::report, explain::SentSql, operators::database_scans, plan::Plan, slice::Slice,
};
use kestrel_proto::{
    DatanodeId, Result,
    message::{FragmentDescription, ScanSql},
};
use prost::Message;
use tokio::time::timeout;

use super::{
    Cluster, QueryEnvironment, QuerySummary,
    gather::{canceled, until},
};

/// EXPLAIN waits no longer for a datanode, nor that for its database.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Whether a plan, or one of its init plans, reads tables that databases hold: only then there is
/// somebody to ask.
pub(crate) fn reads_databases(plan: &Plan) -> bool {
    plan.slices.iter().any(|slice| database_scans(&slice.plan) > 0)
        || plan.init.iter().any(reads_databases)
}

/// What the datanodes say that they would send. Those that are down or do not answer in time say
/// nothing.
///
/// # Errors
/// 57014: it was cancelled, or its time has ended.
pub(crate) async fn would_send(
    cluster: &Cluster,
    plan: &Plan,
    environment: &QueryEnvironment,
) -> Result<SentSql> {
    tokio::select! {
        biased;
        () = environment.cancel.cancelled() => Err(canceled("user request")),
        () = until(environment.deadline) => Err(canceled("statement timeout")),
        sent = ask(cluster, plan, environment) => Ok(sent),
    }
}

fn ask<'a>(
    cluster: &'a Cluster,
    plan: &'a Plan,
    environment: &'a QueryEnvironment,
) -> BoxFuture<'a, SentSql> {
    async move {
        let slices = plan.slices.iter().filter(|slice| database_scans(&slice.plan) > 0);
        let asked = slices.flat_map(|slice| slice.executors.iter().map(move |id| (slice, *id)));
        let asked = asked.map(|(slice, id)| ask_one(cluster, slice, id, environment));
        let init = plan.init.iter().map(|init| ask(cluster, init, environment));
        let (said, init) = tokio::join!(join_all(asked), join_all(init));
        SentSql { scans: said.into_iter().flatten().collect(), init }
    }
    .boxed()
}

/// `None`: it does not answer, or the slice refers to an init plan, whose value is not known before
/// it runs.
async fn ask_one(
    cluster: &Cluster,
    slice: &Slice,
    id: DatanodeId,
    environment: &QueryEnvironment,
) -> Option<((u32, DatanodeId), Vec<ScanSql>)> {
    let answer = async {
        let plan = codec::encode_plan(&slice.plan, id, &cluster.functions).map_err(report)?;
        let fragment = environment.fragment(cluster, slice.id.0, id, plan);
        let datanode = Arc::clone(cluster.datanode(id)?);
        datanode.describe(fragment.encode_to_vec().into()).await
    };
    let slice = slice.id.0;
    match timeout(ANSWER_WAIT, answer).await {
        Ok(Ok(FragmentDescription { scans })) => Some(((slice, id), scans)),
        Ok(Err(error)) => {
            tracing::debug!(datanode = %id, slice, %error, "a fragment is not described");
            None
        }
        Err(_elapsed) => {
            tracing::debug!(datanode = %id, slice, "a fragment is not described in time");
            None
        }
    }
}

/// What the fragments of a query that has run say that they have sent.
pub(crate) fn have_sent(summary: &QuerySummary) -> SentSql {
    let scans = summary
        .fragments
        .iter()
        .map(|(slice, datanode, report)| ((*slice, *datanode), report.scans.clone()));
    let scans: BTreeMap<_, _> = scans.collect();
    SentSql { scans, init: summary.init.iter().map(have_sent).collect() }
}
