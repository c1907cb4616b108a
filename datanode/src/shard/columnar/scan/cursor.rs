//! What the execution partitions of a scan share: who reads which rows, and how many are wanted.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::physical_plan::metrics::Count;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use kestrel_proto::{ErrorReport, Result};
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{partition::ScanMetrics, segments, spec::ScanSpec};
use crate::shard::columnar::{chunk::ZONE_ROWS, load::Piece, store::died};

/// When there are fewer pieces than this for each execution partition, they are cut: the last one
/// would keep one partition busy while the others are done.
const PIECES_EACH: usize = 8;
/// Rows of a part of a piece: whole zones.
const PART_ROWS: usize = 4 * ZONE_ROWS;

/// The run of a scan by all its execution partitions.
#[derive(Debug)]
pub(super) struct Run {
    pieces: OnceLock<Reading>,
    next: Mutex<Next>,
    /// Rows that are still wanted, if not all are.
    wanted: Option<AtomicUsize>,
}

/// All pieces, in the order of the segments.
type Pieces = Arc<[Arc<Piece>]>;

/// They are read by a task of its own, so that no partition waits for another, which perhaps nobody
/// polls.
type Reading = Shared<BoxFuture<'static, Result<Pieces>>>;

/// Where the next reader starts.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    piece: usize,
    row: usize,
    /// The piece that was given out last.
    given: Option<usize>,
}

/// Rows of a piece that one execution partition reads.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) piece: Arc<Piece>,
    pub(super) rows: Range<usize>,
}

impl Run {
    /// A run that nobody has begun, of no more than `fetch` rows.
    pub(super) fn new(fetch: Option<usize>) -> Self {
        let wanted = fetch.map(AtomicUsize::new);
        Self { pieces: OnceLock::new(), next: Mutex::default(), wanted }
    }

    /// All pieces of the segments that may have rows, in the order of these. What is known when the first
    /// execution partition asks is what segments are left out by.
    ///
    /// # Errors
    /// Those of reading footers.
    pub(super) async fn pieces(
        &self,
        spec: &Arc<ScanSpec>,
        metrics: &ScanMetrics,
    ) -> Result<Pieces> {
        let read = || {
            let spec = Arc::clone(spec);
            let segments = segments::that_may_pass(&spec, metrics);
            let task = AbortOnDropHandle::new(tokio::spawn(async move {
                let pieces = spec.store.pieces(&spec.table, &segments).await?;
                let pieces: Pieces = pieces.into_iter().map(Arc::new).collect();
                Ok::<_, ErrorReport>(pieces)
            }));
            async move { task.await.unwrap_or_else(|error| Err(died(&error))) }.boxed().shared()
        };
        self.pieces.get_or_init(read).clone().await
    }

    /// The next rows that nobody has; of a piece for which `may_pass` is false, none. Counts the
    /// segments of which these are the first.
    pub(super) fn next(
        &self,
        pieces: &[Arc<Piece>],
        partitions: usize,
        segments: &Count,
        mut may_pass: impl FnMut(&Piece) -> bool,
    ) -> Option<Share> {
        let are_cut = pieces.len() < PIECES_EACH * partitions && partitions > 1;
        let mut next = self.next.lock();
        loop {
            let piece = pieces.get(next.piece)?;
            if next.row == 0 && !may_pass(piece) {
                next.piece += 1;
                continue;
            }
            let from = next.row;
            let to = if are_cut { piece.rows.min(from + PART_ROWS) } else { piece.rows };
            let given = next.given.and_then(|given| pieces.get(given));
            let at = next.piece;
            *next = match to == piece.rows {
                true => Next { piece: at + 1, row: 0, ..*next },
                false => Next { row: to, ..*next },
            };
            if from < to {
                let is_begun = given.is_some_and(|given| given.segment.file == piece.segment.file);
                segments.add(usize::from(!is_begun));
                next.given = Some(at);
                return Some(Share { piece: Arc::clone(piece), rows: from..to });
            }
        }
    }

    /// Takes so many rows of those that are wanted, or as many as there are left.
    pub(super) fn claim(&self, rows: usize) -> usize {
        let Some(wanted) = &self.wanted else { return rows };
        let rest = |wanted: usize| Some(wanted.saturating_sub(rows));
        let before = wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        before.unwrap_or_default().min(rows)
    }

    /// Rows that are still wanted.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.as_ref().map_or(usize::MAX, |wanted| wanted.load(Ordering::Relaxed))
    }
}

/// The run that is under way. A scan whose partition is opened again is run again from its start.
#[derive(Debug)]
pub(super) struct Runs(Mutex<(Arc<Run>, HashSet<usize>)>);

impl Runs {
    pub(super) fn new(fetch: Option<usize>) -> Self {
        Self(Mutex::new((Arc::new(Run::new(fetch)), HashSet::new())))
    }

    /// The run that an execution partition belongs to.
    pub(super) fn open(&self, partition: usize, fetch: Option<usize>) -> Arc<Run> {
        let mut current = self.0.lock();
        let (run, opened) = &mut *current;
        if !opened.insert(partition) {
            *run = Arc::new(Run::new(fetch));
            opened.clear();
            opened.insert(partition);
        }
        Arc::clone(run)
    }
}
