//! One round: segments of a table, on each datanode a group, become others in one commit.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use futures::future::try_join_all;
use kestrel_planner::{
    catalog::{Catalog, Segment, TableDef},
    codec::encode_schema,
    compaction::{
        ClusteredSegment, Effort, KeyRange, SEGMENT_ROWS, SegmentSize, clustered_groups, groups,
    },
};
use kestrel_proto::{
    DatanodeId, ErrorReport, Result, SqlState, TransactionId, message::RewriteSegmentsRequest,
};
use tokio_util::sync::CancellationToken;

use super::replace::replace;
use crate::{
    engine::{Engine, LockMode, LockOwner, LockScope, LockTag},
    query::canceled,
};

/// What is written anew at a time.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(super) table: Arc<TableDef>,
    /// On each datanode, in the order of their rows.
    groups: BTreeMap<DatanodeId, Vec<Arc<Segment>>>,
}

/// Who has the lock of VACUUM at the commit.
#[derive(Clone, Debug)]
pub(crate) enum Commit {
    /// The caller.
    Locked,
    /// This owner takes it, if it can be had at once.
    Locking(Arc<LockOwner>),
}

impl Commit {
    const MODE: LockMode = LockMode::ShareUpdateExclusive;

    /// Takes the lock of a round's table, if the caller has it not; whether it is there.
    fn lock(&self, round: &Round) -> bool {
        match self {
            Self::Locked => true,
            Self::Locking(owner) => {
                owner.try_lock(round.lock_tag(), Self::MODE, LockScope::Transaction)
            }
        }
    }

    /// Gives it back.
    fn unlock(&self, round: &Round) {
        match self {
            Self::Locked => {}
            Self::Locking(owner) => {
                owner.unlock(round.lock_tag(), Self::MODE, LockScope::Transaction);
            }
        }
    }
}

/// What a round has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) old_segments: u64,
    pub(crate) new_segments: u64,
    /// Bytes on disk.
    pub(crate) old_bytes: u64,
    /// Bytes on disk.
    pub(crate) new_bytes: u64,
    pub(crate) removed_rows: u64,
}

/// How a round has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The new segments are in the catalog.
    Rewritten(Rewritten),
    /// Nothing has changed; so many bytes on disk were read all the same.
    GivenUp { read_bytes: u64 },
}

impl Rewritten {
    pub(crate) fn add(&mut self, other: Self) {
        self.old_segments += other.old_segments;
        self.new_segments += other.new_segments;
        self.old_bytes += other.old_bytes;
        self.new_bytes += other.new_bytes;
        self.removed_rows += other.removed_rows;
    }
}

/// What there is to do in a table.
pub(crate) fn rounds(table: &Arc<TableDef>, effort: Effort) -> Vec<Round> {
    let mut on: BTreeMap<DatanodeId, Vec<&Arc<Segment>>> = BTreeMap::new();
    for segment in &table.segments {
        on.entry(DatanodeId(segment.datanode)).or_default().push(segment);
    }
    let mut rounds: Vec<Round> = Vec::new();
    for (datanode, segments) in on {
        for (at, group) in chosen(table, &segments, effort).into_iter().enumerate() {
            if rounds.len() == at {
                rounds.push(Round { table: Arc::clone(table), groups: BTreeMap::new() });
            }
            let group = group.into_iter().filter_map(|at| segments.get(at).copied().cloned());
            if let Some(round) = rounds.get_mut(at) {
                round.groups.insert(datanode, group.collect());
            }
        }
    }
    rounds
}

/// The groups of one datanode's segments.
fn chosen(table: &TableDef, segments: &[&Arc<Segment>], effort: Effort) -> Vec<Vec<usize>> {
    if table.cluster_by.is_empty() {
        let sizes: Vec<_> = segments.iter().map(|segment| size(segment)).collect();
        return groups(&sizes, effort, SEGMENT_ROWS);
    }
    let clustered = segments.iter().map(|segment| ClusteredSegment {
        size: size(segment),
        keys: KeyRange::of(segment, table),
    });
    clustered_groups(&clustered.collect::<Vec<_>>(), effort, SEGMENT_ROWS)
}

fn size(segment: &Segment) -> SegmentSize {
    let deleted = segment.rows.saturating_sub(segment.live_rows());
    SegmentSize { rows: segment.rows, deleted }
}

impl Round {
    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.groups.values().flatten()
    }

    fn lock_tag(&self) -> LockTag {
        LockTag::Table(self.table.id)
    }

    /// Bytes on disk.
    fn bytes(&self) -> u64 {
        self.segments().flat_map(|segment| segment.files()).map(|file| file.length).sum()
    }

    /// Whether the segments have the rows that they had when it was made.
    fn is_up_to_date(&self, catalog: &Catalog) -> bool {
        let Some(table) = catalog.table_by_id(self.table.id) else { return false };
        if Arc::ptr_eq(table, &self.table) {
            return true;
        }
        let vectors = table.segments.iter().map(|s| ((s.datanode, s.id), s.vector_id()));
        let vectors: BTreeMap<_, _> = vectors.collect();
        self.segments().all(|segment| {
            vectors.get(&(segment.datanode, segment.id)) == Some(&segment.vector_id())
        })
    }

    fn order(
        &self,
        segments: &[Arc<Segment>],
        transaction: TransactionId,
        epoch: u64,
    ) -> RewriteSegmentsRequest {
        RewriteSegmentsRequest {
            transaction_id: transaction.0,
            coordinator_epoch: epoch,
            table_id: self.table.id,
            table: self.table.name.clone(),
            table_schema: encode_schema(&self.table.scan_schema()),
            column_ids: self.table.column_ids(),
            segments: segments.iter().map(|s| s.to_message_without_summary()).collect(),
            cluster_by: self.table.cluster_by.clone(),
        }
    }

    /// The files that tell where rows are that were sorted.
    pub(super) fn sorted_files(&self) -> impl Iterator<Item = (DatanodeId, String)> {
        let is_sorted = !self.table.cluster_by.is_empty();
        let files = self.segments().map(|s| (DatanodeId(s.datanode), s.file.clone()));
        files.filter(move |_| is_sorted)
    }
}

/// Runs a round.
///
/// # Errors
/// Those of datanodes and of the catalog, and 57014 when `stop` is cancelled: nothing has changed.
/// 58030 and XX000: nobody knows.
pub(crate) async fn rewrite(
    engine: &Arc<Engine>,
    round: Round,
    commit: Commit,
    stop: CancellationToken,
) -> Result<Ended> {
    let task = {
        let engine = Arc::clone(engine);
        tokio::spawn(async move {
            let done = work(&engine, &round, commit, stop).await;
            match &done {
                Ok(Ended::Rewritten(rewritten)) => engine.compaction.note(rewritten),
                Ok(Ended::GivenUp { .. }) => engine.compaction.note_given_up(),
                Err(_) => engine.compaction.note_failed(),
            }
            done
        })
    };
    let lost = |error| ErrorReport::internal(format!("a task of VACUUM was lost: {error}"));
    task.await.unwrap_or_else(|error| Err(lost(error)))
}

async fn work(
    engine: &Arc<Engine>,
    round: &Round,
    commit: Commit,
    stop: CancellationToken,
) -> Result<Ended> {
    // The segments' files stay while they are read.
    let (newest, pin) = engine.pinned_snapshot();
    // While somebody has the lock it would be in vain: who has it now may have it to the end.
    if !round.is_up_to_date(&newest) || !commit.lock(round) {
        return Ok(Ended::GivenUp { read_bytes: 0 });
    }
    commit.unlock(round);
    let transaction = engine.catalog.next_transaction_id();
    let written = unless(&stop, write(engine, round, transaction)).await;
    let written = match written {
        Ok(written) => written,
        Err(error) => {
            engine.drop_transaction(transaction).await;
            return Err(error);
        }
    };
    let done = settle(engine, round, written, (transaction, commit)).await;
    match &done {
        Ok(Some(_)) => {}
        Err(error) if is_unknown(error) => {
            tracing::error!(%error, "the outcome of a VACUUM is unknown; the next start finds it");
        }
        Ok(None) | Err(_) => engine.drop_transaction(transaction).await,
    }
    drop(pin);
    engine.collect_garbage().await;
    let given_up = || Ended::GivenUp { read_bytes: round.bytes() };
    Ok(done?.map_or_else(given_up, Ended::Rewritten))
}

async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(canceled("user request")),
        done = work => done,
    }
}

/// Has the datanodes write: the new segments of each.
async fn write(
    engine: &Engine,
    round: &Round,
    transaction: TransactionId,
) -> Result<BTreeMap<DatanodeId, Vec<Segment>>> {
    let orders = round.groups.iter().map(|(id, segments)| async move {
        let order = round.order(segments, transaction, engine.cluster.epoch);
        let written = engine.cluster.datanode(*id)?.rewrite_segments(order).await;
        let written = written.map_err(|error| error.on_datanode(id.name()))?;
        let written: Vec<_> =
            written.into_iter().map(|segment| Segment::from_message(*id, segment)).collect();
        let found: u64 = written.iter().map(|segment| segment.rows).sum();
        let expected: u64 = segments.iter().map(|segment| segment.live_rows()).sum();
        if found != expected {
            let message = format!("{found} rows were written anew, and {expected} are there");
            return Err(ErrorReport::internal(message).on_datanode(id.name()));
        }
        Ok((*id, written))
    });
    Ok(try_join_all(orders).await?.into_iter().collect())
}

/// The commit. `None`: it was given up.
async fn settle(
    engine: &Arc<Engine>,
    round: &Round,
    written: BTreeMap<DatanodeId, Vec<Segment>>,
    (transaction, commit): (TransactionId, Commit),
) -> Result<Option<Rewritten>> {
    if !commit.lock(round) {
        return Ok(None);
    }
    for (id, old) in &round.groups {
        // Before anybody can see that the old ones are gone.
        let order = round.order(old, transaction, engine.cluster.epoch);
        engine.moves.note(old, written.get(id).map_or(&[], Vec::as_slice), order);
    }
    let rewritten = rewritten(round, &written);
    let new = written.into_values().flatten().map(Arc::new).collect();
    let done = replace(engine, round, new, transaction).await;
    commit.unlock(round);
    let version = match &done {
        // Perhaps they have moved.
        Err(error) if is_unknown(error) => return Err(error.clone()),
        Err(_) => None,
        Ok(version) => *version,
    };
    round.groups.values().for_each(|old| engine.moves.settle(old, version));
    Ok(done?.map(|_| rewritten))
}

fn rewritten(round: &Round, written: &BTreeMap<DatanodeId, Vec<Segment>>) -> Rewritten {
    let (mut old_segments, mut removed_rows) = (0, 0);
    for segment in round.segments() {
        old_segments += 1;
        removed_rows += segment.rows.saturating_sub(segment.live_rows());
    }
    let new = || written.values().flatten();
    Rewritten {
        old_segments,
        new_segments: new().count() as u64,
        old_bytes: round.bytes(),
        new_bytes: new().map(|segment| segment.length).sum(),
        removed_rows,
    }
}

/// Whether the next start may find the new segments.
fn is_unknown(error: &ErrorReport) -> bool {
    matches!(error.sqlstate, SqlState::IO_ERROR | SqlState::INTERNAL_ERROR)
}
