//! Ends what crashes have left prepared in databases.
//!
//! A round looks, in this order, at
//!
//! 1. P: what is prepared, on every datanode that answers,
//! 2. A: the transactions of this start that may still be preparing,
//! 3. T: the commits that the catalog has decided,
//!
//! and ends what is in P and not in A: in T it is committed, otherwise undone. Whoever leaves A has
//! decided before; so what is neither in A nor, later, in T never will be. Then it looks at
//!
//! 4. Q: what is prepared now,
//!
//! and forgets those of T that are not in A and, on all their datanodes, neither in P nor in Q. The
//! order is that of Citus (`RecoverTwoPhaseCommits`, transaction_recovery.c).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::Utc;
use futures::future::join_all;
use kestrel_planner::catalog::{CatalogChange, DecisionDef, KES};
use kestrel_proto::{
    Datanode, DatanodeId, ErrorReport, PreparedTransaction, Result, TransactionEnd, TransactionId,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Shards, work::transaction_name};
use crate::{catalog::CatalogHandle, query::Cluster};

/// Longer than a commit may take between its two phases.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(50);

/// Something that is prepared in a datanode's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// Where.
    pub datanode: DatanodeId,
    /// What, and since when.
    pub prepared: PreparedTransaction,
    /// Whether the catalog has decided to commit it; otherwise it will be undone.
    pub is_decided: bool,
}

/// What was prepared on each datanode that has answered.
type Prepared = BTreeMap<DatanodeId, Vec<PreparedTransaction>>;

/// Runs rounds until `shutdown`: at once, every ten seconds, when a commit or a rollback was not
/// acknowledged, and every second while something is in doubt or a datanode or its database gives no
/// answer.
pub async fn watch(catalog: CatalogHandle, cluster: Cluster, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = rounds(&catalog, &cluster) => {}
    }
}

async fn rounds(catalog: &CatalogHandle, cluster: &Cluster) {
    let shards = &cluster.shards;
    loop {
        if catalog.snapshot().shard_kind() == KES {
            round(catalog, cluster).await;
        }
        let is_in_doubt = !shards.in_doubt().is_empty()
            || !shards.latch.in_doubt().is_empty()
            || shards.is_unseen.load(Ordering::Relaxed);
        let settings = &shards.settings;
        let wait = if is_in_doubt { settings.doubt_interval } else { settings.recovery_interval };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shards.wake.notified() => {
                // Whoever was lost just now is not back at once.
                tokio::time::sleep(settings.doubt_interval.min(Duration::from_millis(200))).await;
            }
        }
    }
}

async fn round(catalog: &CatalogHandle, cluster: &Cluster) {
    let decided = || catalog.snapshot().decided.clone();
    let shards = &cluster.shards;
    let before = shards.in_doubt();
    let forgettable = recover(&cluster.datanodes, shards, cluster.epoch, decided).await;
    // What stays prepared holds locks, and keeps the database from cleaning up.
    for doubt in overdue(&before, &shards.in_doubt(), shards.settings.doubt_alarm) {
        let PreparedTransaction { transaction, epoch, age } = doubt.prepared;
        let (transaction, seconds) = (transaction_name(transaction, epoch), age.as_secs());
        tracing::error!(datanode = %doubt.datanode, transaction, seconds, "stays in doubt");
    }
    let acknowledged = cluster.shards.take_acknowledged();
    let all: BTreeSet<_> = forgettable.into_iter().chain(acknowledged.iter().copied()).collect();
    if all.is_empty() {
        return;
    }
    let changes = all.into_iter().map(|transaction| CatalogChange::Forget(transaction.0)).collect();
    if let Err(error) = catalog.commit(None, changes, Utc::now()).await {
        tracing::warn!(%error, "decided transactions are not forgotten yet");
        cluster.shards.put_back_acknowledged(acknowledged);
    }
}

/// One round; the decided transactions that may be forgotten. `decided` reads T.
pub async fn recover(
    datanodes: &[Arc<dyn Datanode>],
    shards: &Shards,
    epoch: u64,
    decided: impl Fn() -> BTreeMap<u64, DecisionDef>,
) -> Vec<TransactionId> {
    let wait = shards.settings.end_wait;
    let before = prepared(datanodes, wait).await;
    let active = shards.active.lock().clone();
    let decided = decided();
    let orders = orders(&before, (&active, epoch), &decided);
    join_all(orders.into_iter().map(|order| carry_out(datanodes, order, wait))).await;
    // Before Q: one that is left in doubt while Q is read may have been prepared after its datanode
    // has answered.
    let doubtful = shards.latch.in_doubt();
    let after = prepared(datanodes, wait).await;
    let seen = datanodes.iter().filter(|datanode| after.contains_key(&datanode.id()));
    shards.is_unseen.store(seen.count() < datanodes.len(), Ordering::Relaxed);
    for (transaction, on) in doubtful {
        let is_there = |datanode: &DatanodeId| match (before.get(datanode), after.get(datanode)) {
            (Some(_), Some(after)) => after.iter().any(|p| p.transaction == transaction),
            (_, _) => true,
        };
        // Of a commit whose decision is unknown nothing is known here either.
        if !active.contains(&transaction) {
            let ended = on.into_iter().filter(|datanode| !is_there(datanode));
            ended.for_each(|datanode| shards.latch.resolve(transaction, datanode));
        }
    }
    *shards.in_doubt.lock() = in_doubt(&after, (&active, epoch), &decided);
    forgettable(&before, &after, &active, &decided)
}

/// What is to be done with one of P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    datanode: DatanodeId,
    prepared: PreparedTransaction,
    end: TransactionEnd,
}

/// What is to be done with P. Pure. `active` are of this start, whose epoch this is.
fn orders(
    prepared: &Prepared,
    (active, epoch): (&BTreeSet<TransactionId>, u64),
    decided: &BTreeMap<u64, DecisionDef>,
) -> Vec<Order> {
    let mut orders = Vec::new();
    for (datanode, prepared) in prepared {
        for prepared in prepared.iter().filter(|p| !is_active(p, active, epoch)) {
            let end = match is_decided(prepared, decided) {
                true => TransactionEnd::CommitPrepared,
                false => TransactionEnd::RollbackPrepared,
            };
            orders.push(Order { datanode: *datanode, prepared: *prepared, end });
        }
    }
    orders
}

fn is_active(prepared: &PreparedTransaction, active: &BTreeSet<TransactionId>, epoch: u64) -> bool {
    // Of a later start: then this one has been replaced, and has nothing to say any more.
    prepared.epoch > epoch || (prepared.epoch == epoch && active.contains(&prepared.transaction))
}

fn is_decided(prepared: &PreparedTransaction, decided: &BTreeMap<u64, DecisionDef>) -> bool {
    let decision = decided.get(&prepared.transaction.0);
    decision.is_some_and(|decision| decision.epoch == prepared.epoch)
}

/// The transactions of T that all their datanodes have committed. Pure.
fn forgettable(
    before: &Prepared,
    after: &Prepared,
    active: &BTreeSet<TransactionId>,
    decided: &BTreeMap<u64, DecisionDef>,
) -> Vec<TransactionId> {
    let has_ended = |decision: &&DecisionDef| {
        let is_gone = |seen: &Prepared, datanode: &u32| {
            let prepared = seen.get(&DatanodeId(*datanode));
            prepared.is_some_and(|p| p.iter().all(|p| p.transaction.0 != decision.transaction))
        };
        !active.contains(&TransactionId(decision.transaction))
            && decision.datanodes.iter().all(|d| is_gone(before, d) && is_gone(after, d))
    };
    let ended = decided.values().filter(has_ended);
    ended.map(|decision| TransactionId(decision.transaction)).collect()
}

/// What the round has left. What is active is on its way, unless that takes very long: its decision
/// is not known then.
fn in_doubt(
    after: &Prepared,
    (active, epoch): (&BTreeSet<TransactionId>, u64),
    decided: &BTreeMap<u64, DecisionDef>,
) -> Vec<InDoubt> {
    let mut found = Vec::new();
    for (datanode, prepared) in after {
        let is_on_its_way =
            |p: &PreparedTransaction| is_active(p, active, epoch) && p.age < ON_ITS_WAY_MAX;
        let left = prepared.iter().filter(|p| !is_on_its_way(p));
        found.extend(left.map(|prepared| InDoubt {
            datanode: *datanode,
            prepared: *prepared,
            is_decided: is_decided(prepared, decided),
        }));
    }
    found
}

async fn prepared(datanodes: &[Arc<dyn Datanode>], wait: Duration) -> Prepared {
    let answers = datanodes.iter().cloned().map(|datanode| prepared_on(datanode, wait));
    join_all(answers).await.into_iter().flatten().collect()
}

async fn prepared_on(
    datanode: Arc<dyn Datanode>,
    wait: Duration,
) -> Option<(DatanodeId, Vec<PreparedTransaction>)> {
    let id = datanode.id();
    let answer = timeout(wait, datanode.prepared()).await;
    let late = |_| Err(ErrorReport::datanode_lost(id, "no answer in time"));
    match answer.unwrap_or_else(late) {
        Ok(prepared) => Some((id, prepared)),
        Err(error) => {
            tracing::debug!(datanode = %id, %error, "what is prepared there is not known");
            None
        }
    }
}

async fn carry_out(datanodes: &[Arc<dyn Datanode>], order: Order, wait: Duration) {
    let Order { datanode: id, prepared, end } = order;
    let Some(datanode) = datanodes.get(id.0 as usize) else { return };
    let (transaction, epoch) = (prepared.transaction, prepared.epoch);
    let ended: Result<bool> =
        match timeout(wait, datanode.end_transaction(transaction, epoch, end)).await {
            Ok(ended) => ended,
            Err(_) => Err(ErrorReport::datanode_lost(id, "no answer in time")),
        };
    let transaction = transaction_name(transaction, epoch);
    match ended {
        Ok(_) => tracing::info!(datanode = %id, transaction, ?end, "recovered"),
        Err(error) => tracing::warn!(datanode = %id, transaction, ?end, %error, "not recovered"),
    }
}

/// What is prepared for longer than `limit`: new ones, and after each `limit` again. Pure.
fn overdue<'a>(before: &[InDoubt], after: &'a [InDoubt], limit: Duration) -> Vec<&'a InDoubt> {
    let times = |age: Duration| age.as_millis() / limit.as_millis().max(1);
    let is_new = |doubt: &&InDoubt| {
        let is_same = |old: &&InDoubt| {
            let (was, is) = (old.prepared, doubt.prepared);
            old.datanode == doubt.datanode
                && (was.transaction, was.epoch) == (is.transaction, is.epoch)
        };
        let known = before.iter().find(is_same).map_or(0, |old| times(old.prepared.age));
        times(doubt.prepared.age) > known
    };
    after.iter().filter(is_new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(transaction: u64, epoch: u64) -> PreparedTransaction {
        let transaction = TransactionId(transaction);
        PreparedTransaction { transaction, epoch, age: Duration::ZERO }
    }

    fn on(found: &[(u32, &[(u64, u64)])]) -> Prepared {
        let all = |list: &[(u64, u64)]| list.iter().map(|(t, e)| prepared(*t, *e)).collect();
        found.iter().map(|(datanode, list)| (DatanodeId(*datanode), all(list))).collect()
    }

    fn decided(list: &[(u64, u64, &[u32])]) -> BTreeMap<u64, DecisionDef> {
        let decision = |(transaction, epoch, datanodes): &(u64, u64, &[u32])| DecisionDef {
            transaction: *transaction,
            epoch: *epoch,
            datanodes: datanodes.to_vec(),
        };
        list.iter().map(decision).map(|d| (d.transaction, d)).collect()
    }

    fn active(list: &[u64]) -> BTreeSet<TransactionId> {
        list.iter().map(|t| TransactionId(*t)).collect()
    }

    #[test]
    fn what_is_prepared_is_ended_as_it_was_decided() {
        use TransactionEnd::{CommitPrepared, RollbackPrepared};
        let decided = decided(&[(5, 2, &[0, 1]), (6, 3, &[0])]);
        let active = active(&[6, 7]);
        // One that is prepared in epoch 3; what is done with it.
        for (transaction, epoch, expected) in [
            (5, 2, Some(CommitPrepared)),
            // Another transaction of that number.
            (5, 1, Some(RollbackPrepared)),
            (4, 2, Some(RollbackPrepared)),
            (4, 3, Some(RollbackPrepared)),
            (6, 3, None),
            (7, 3, None),
            (7, 2, Some(RollbackPrepared)),
            (8, 4, None),
        ] {
            let found = orders(&on(&[(1, &[(transaction, epoch)])]), (&active, 3), &decided);
            let found = found.first().map(|order| order.end);
            assert_eq!(found, expected, "{transaction} of epoch {epoch}");
        }
    }

    #[test]
    fn what_stays_in_doubt_is_told_of_once_a_minute() {
        let doubt = |seconds| InDoubt {
            datanode: DatanodeId(1),
            prepared: PreparedTransaction { age: Duration::from_secs(seconds), ..prepared(7, 2) },
            is_decided: false,
        };
        let minute = Duration::from_secs(60);
        for (before, after, expected) in [
            (None, 59, false),
            (None, 60, true),
            (None, 600, true),
            (Some(59), 60, true),
            (Some(60), 61, false),
            (Some(119), 120, true),
        ] {
            let before: Vec<_> = before.map(doubt).into_iter().collect();
            let after = [doubt(after)];
            let found = !overdue(&before, &after, minute).is_empty();
            assert_eq!(found, expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn decisions_are_forgotten_when_all_datanodes_have_committed() {
        let decided = decided(&[(5, 2, &[0, 1])]);
        let nothing = on(&[(0, &[]), (1, &[]), (2, &[])]);
        let of_another = on(&[(0, &[(6, 2)]), (1, &[])]);
        let on_one = on(&[(0, &[]), (1, &[(5, 2)])]);
        let one_is_down = on(&[(0, &[])]);
        for (before, after, active_ids, expected) in [
            (&nothing, &nothing, &[][..], true),
            (&of_another, &nothing, &[], true),
            (&nothing, &nothing, &[5], false),
            (&on_one, &nothing, &[], false),
            (&nothing, &on_one, &[], false),
            (&nothing, &one_is_down, &[], false),
            (&one_is_down, &nothing, &[], false),
        ] {
            let found = forgettable(before, after, &active(active_ids), &decided);
            assert_eq!(!found.is_empty(), expected, "{before:?} {after:?} {active_ids:?}");
        }
    }
}
