//! The commit latch: no snapshot is opened on a datanode while a commit is under way there, and no
//! commit begins while snapshots are being opened. So a query that reads several datanodes sees a
//! transaction on all of them or on none, and all queries see commits in one order.
//!
//! ```text
//! commit on dn1, dn2    |== decided … acknowledged ==|
//! snapshots on dn2, dn3                               |== opened ==|
//! commit on dn3                                                     |== … ==|
//! commit on dn1              |== … ==|      beside both: nobody reads dn1 meanwhile
//! ```
//!
//! Commits go beside commits, snapshots beside snapshots; of the two kinds, whoever came first goes
//! first, so neither starves the other. A commit that a datanode does not acknowledge stays *in
//! doubt* there: snapshots of that datanode wait until recovery has found out.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use kestrel_proto::{DatanodeId, ErrorReport, Result, SqlState, TransactionId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// What somebody does on datanodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Commit,
    Snapshot,
}

/// Who, where.
#[derive(Clone, Debug)]
struct Claim {
    id: u64,
    side: Side,
    datanodes: BTreeSet<DatanodeId>,
    /// Of a commit in doubt, whose claim nobody holds.
    in_doubt: Option<TransactionId>,
}

impl Claim {
    fn conflicts_with(&self, other: &Self) -> bool {
        self.side != other.side && !self.datanodes.is_disjoint(&other.datanodes)
    }
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    holding: Vec<Claim>,
    /// In the order in which they came.
    waiting: VecDeque<(Claim, oneshot::Sender<()>)>,
}

impl State {
    /// Lets in whoever may go in now.
    fn admit(&mut self) {
        let claims: Vec<_> = self.waiting.iter().map(|(claim, _)| claim).collect();
        let admitted = admissible(&self.holding, &claims);
        // From the back: the places of those before stay.
        for at in admitted.into_iter().rev() {
            if let Some((claim, admitted)) = self.waiting.remove(at) {
                self.holding.push(claim);
                // Whoever no longer waits gives the claim back when it is dropped.
                let _ = admitted.send(());
            }
        }
    }

    fn remove(&mut self, id: u64) {
        self.holding.retain(|claim| claim.id != id);
        self.waiting.retain(|(claim, _)| claim.id != id);
        self.admit();
    }

    fn release(&mut self, datanode: DatanodeId, is_it: impl Fn(&Claim) -> bool) {
        for claim in self.holding.iter_mut().filter(|claim| is_it(claim)) {
            claim.datanodes.remove(&datanode);
        }
        self.holding.retain(|claim| claim.in_doubt.is_none() || !claim.datanodes.is_empty());
        self.admit();
    }
}

/// The places of those who wait that may go in: they conflict neither with who is in, nor with who
/// came before them and still waits.
fn admissible(holding: &[Claim], waiting: &[&Claim]) -> Vec<usize> {
    let mut admitted = Vec::new();
    for (at, claim) in waiting.iter().enumerate() {
        let is_free = !holding.iter().any(|other| claim.conflicts_with(other));
        let is_next = !waiting.iter().take(at).any(|earlier| claim.conflicts_with(earlier));
        if is_free && is_next {
            admitted.push(at);
        }
    }
    admitted
}

/// The latch. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct CommitLatch {
    state: Arc<Mutex<State>>,
}

impl CommitLatch {
    /// Waits until a commit may begin on these datanodes.
    ///
    /// # Errors
    /// 55P03 after `wait`.
    pub async fn commit(
        &self,
        datanodes: &BTreeSet<DatanodeId>,
        wait: Duration,
    ) -> Result<CommitPass> {
        let pass = self.enter(Side::Commit, datanodes, wait).await;
        let message = "could not commit: other sessions keep opening snapshots";
        Ok(CommitPass(pass.ok_or_else(|| busy(message))?))
    }

    /// Waits until no commit is under way on these datanodes, and holds commits off until the pass
    /// is dropped.
    ///
    /// # Errors
    /// 55P03 after `wait`.
    pub async fn snapshot(
        &self,
        datanodes: &BTreeSet<DatanodeId>,
        wait: Duration,
    ) -> Result<SnapshotPass> {
        let pass = self.enter(Side::Snapshot, datanodes, wait).await;
        let pass = pass.ok_or_else(|| {
            let in_doubt = self.in_doubt_on(datanodes);
            let error = busy("could not open a snapshot: a commit is not complete");
            match in_doubt.is_empty() {
                true => error,
                false => error
                    .detail(format!(
                        "Whether transaction {} is committed everywhere is not known yet.",
                        in_doubt.iter().map(|t| t.0.to_string()).collect::<Vec<_>>().join(", ")
                    ))
                    .hint("See kestrel.transactions_in_doubt, and kestrel.datanodes."),
            }
        })?;
        Ok(SnapshotPass { _pass: pass })
    }

    /// A commit that these datanodes may not have heard of: no snapshot there before
    /// [`Self::resolve`].
    pub fn leave_in_doubt(&self, transaction: TransactionId, datanodes: BTreeSet<DatanodeId>) {
        let mut state = self.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        let in_doubt = Some(transaction);
        state.holding.push(Claim { id, side: Side::Commit, datanodes, in_doubt });
    }

    /// The datanode is known to have committed what was in doubt there.
    pub fn resolve(&self, transaction: TransactionId, datanode: DatanodeId) {
        self.state.lock().release(datanode, |claim| claim.in_doubt == Some(transaction));
    }

    /// The commits that are in doubt, with the datanodes that have not acknowledged them.
    pub fn in_doubt(&self) -> Vec<(TransactionId, BTreeSet<DatanodeId>)> {
        let state = self.state.lock();
        let claims = state.holding.iter();
        claims.filter_map(|claim| Some((claim.in_doubt?, claim.datanodes.clone()))).collect()
    }

    fn in_doubt_on(&self, datanodes: &BTreeSet<DatanodeId>) -> Vec<TransactionId> {
        let concerns = |on: &BTreeSet<DatanodeId>| !on.is_disjoint(datanodes);
        self.in_doubt().into_iter().filter(|(_, on)| concerns(on)).map(|(t, _)| t).collect()
    }

    async fn enter(
        &self,
        side: Side,
        datanodes: &BTreeSet<DatanodeId>,
        wait: Duration,
    ) -> Option<Pass> {
        let (admitted, waits) = oneshot::channel();
        let pass = {
            let mut state = self.state.lock();
            let id = state.next_id;
            state.next_id += 1;
            let claim = Claim { id, side, datanodes: datanodes.clone(), in_doubt: None };
            state.waiting.push_back((claim, admitted));
            state.admit();
            Pass { latch: self.clone(), id }
        };
        // Given up or not let in in time: the pass takes the claim away.
        tokio::time::timeout(wait, waits).await.ok()?.ok()?;
        Some(pass)
    }
}

/// A claim; dropping it gives it back.
#[derive(Debug)]
struct Pass {
    latch: CommitLatch,
    id: u64,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.latch.state.lock().remove(self.id);
    }
}

/// Holds snapshots off the datanodes of a commit.
#[derive(Debug)]
pub struct CommitPass(Pass);

impl CommitPass {
    /// The datanode has committed.
    pub fn release(&self, datanode: DatanodeId) {
        self.0.latch.state.lock().release(datanode, |claim| claim.id == self.0.id);
    }

    /// What has not been released stays in doubt.
    pub fn leave_in_doubt(self, transaction: TransactionId) {
        let latch = &self.0.latch;
        let datanodes = {
            let state = latch.state.lock();
            let own = state.holding.iter().find(|claim| claim.id == self.0.id);
            own.map(|claim| claim.datanodes.clone()).unwrap_or_default()
        };
        if !datanodes.is_empty() {
            latch.leave_in_doubt(transaction, datanodes);
        }
    }
}

/// Holds commits off the datanodes where snapshots are being opened.
#[derive(Debug)]
pub struct SnapshotPass {
    _pass: Pass,
}

fn busy(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::LOCK_NOT_AVAILABLE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(datanodes: &[u32]) -> BTreeSet<DatanodeId> {
        datanodes.iter().map(|id| DatanodeId(*id)).collect()
    }

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn who_may_go_in() {
        use Side::{Commit, Snapshot};
        let claim = |(side, datanodes): &(Side, &[u32])| Claim {
            id: 0,
            side: *side,
            datanodes: on(datanodes),
            in_doubt: None,
        };
        // Who is in; who waits; which of them go in.
        type Claims<'a> = &'a [(Side, &'a [u32])];
        let cases: &[(Claims<'_>, Claims<'_>, &[usize])] = &[
            (&[], &[(Commit, &[1]), (Commit, &[1, 2])], &[0, 1]),
            (&[], &[(Snapshot, &[1, 2]), (Snapshot, &[1, 2])], &[0, 1]),
            (&[], &[(Commit, &[1]), (Snapshot, &[1, 2])], &[0]),
            (&[], &[(Snapshot, &[1, 2]), (Commit, &[2])], &[0]),
            (&[(Commit, &[1])], &[(Snapshot, &[1, 2]), (Snapshot, &[2, 3])], &[1]),
            (&[(Snapshot, &[1, 2])], &[(Commit, &[2]), (Commit, &[3])], &[1]),
            // Nobody overtakes whom it conflicts with.
            (&[(Commit, &[1])], &[(Snapshot, &[1]), (Commit, &[1])], &[]),
            (&[(Commit, &[1])], &[(Snapshot, &[1]), (Commit, &[2])], &[1]),
            (&[(Snapshot, &[1])], &[(Commit, &[1]), (Snapshot, &[1, 2]), (Commit, &[2])], &[]),
        ];
        for (holding, waiting, expected) in cases {
            let (held, asked): (Vec<_>, Vec<_>) =
                (holding.iter().map(claim).collect(), waiting.iter().map(claim).collect());
            let found = admissible(&held, &asked.iter().collect::<Vec<_>>());
            assert_eq!(&found, expected, "{holding:?} {waiting:?}");
        }
    }

    #[tokio::test]
    async fn a_pass_that_is_dropped_lets_others_in() {
        let latch = CommitLatch::default();
        let commit = latch.commit(&on(&[1, 2]), SOON).await.unwrap();
        let error = latch.snapshot(&on(&[2, 3]), SOON).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::LOCK_NOT_AVAILABLE);
        drop(latch.snapshot(&on(&[3]), SOON).await.unwrap());
        commit.release(DatanodeId(2));
        let snapshot = latch.snapshot(&on(&[2, 3]), SOON).await.unwrap();
        assert!(latch.commit(&on(&[3]), SOON).await.is_err());
        drop(snapshot);
        drop(latch.commit(&on(&[3]), SOON).await.unwrap());
        drop(commit);
        drop(latch.snapshot(&on(&[1, 2, 3]), SOON).await.unwrap());
        assert!(latch.state.lock().holding.is_empty() && latch.state.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_holds_nobody_up() {
        let latch = CommitLatch::default();
        let commit = latch.commit(&on(&[1]), SOON).await.unwrap();
        let (asking, datanodes) = (latch.clone(), on(&[1]));
        let reader = tokio::spawn(async move { asking.snapshot(&datanodes, LONG).await });
        tokio::time::sleep(SOON).await;
        assert!(latch.commit(&on(&[1]), SOON).await.is_err(), "behind the snapshot");
        reader.abort();
        assert!(reader.await.is_err());
        drop(latch.commit(&on(&[1]), SOON).await.unwrap());
        drop(commit);
    }

    #[tokio::test]
    async fn what_is_in_doubt_is_not_read() {
        let latch = CommitLatch::default();
        let commit = latch.commit(&on(&[1, 2, 3]), SOON).await.unwrap();
        commit.release(DatanodeId(1));
        commit.leave_in_doubt(TransactionId(7));
        assert_eq!(latch.in_doubt(), [(TransactionId(7), on(&[2, 3]))]);
        drop(latch.snapshot(&on(&[1]), SOON).await.unwrap());
        drop(latch.commit(&on(&[2]), SOON).await.unwrap());
        let error = latch.snapshot(&on(&[1, 2]), SOON).await.unwrap_err();
        assert!(error.detail.is_some_and(|detail| detail.contains("transaction 7")));
        latch.resolve(TransactionId(7), DatanodeId(2));
        latch.resolve(TransactionId(8), DatanodeId(3));
        drop(latch.snapshot(&on(&[1, 2]), SOON).await.unwrap());
        assert!(latch.snapshot(&on(&[3]), SOON).await.is_err());
        latch.resolve(TransactionId(7), DatanodeId(3));
        assert!(latch.in_doubt().is_empty());
        drop(latch.snapshot(&on(&[3]), SOON).await.unwrap());
    }
}
