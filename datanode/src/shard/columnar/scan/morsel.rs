//! The rows of a piece that one execution partition reads: its chunks, and its zones one by one.

use std::{ops::Range, sync::Arc, time::Instant};

use arrow::buffer::BooleanBuffer;
use datafusion::error::Result;

use super::{
    address,
    conjuncts::{Conjunct, Test},
    cursor::Share,
    evaluate::{self, Evaluator, Prepared, Target},
    integers::Verdict,
    order::Order,
    output::OutputChunks,
    partition::ScanMetrics,
    prune::OfZone,
    selection::Selection,
    spec::ScanSpec,
};
use crate::{
    error::to_datafusion,
    shard::columnar::{
        chunk::{Chunk, ZONE_ROWS},
        load::Piece,
    },
};

/// A share of a piece, with the conjuncts' columns in memory.
pub(super) struct Morsel {
    piece: Arc<Piece>,
    /// Those that have not been looked at.
    rows: Range<usize>,
    /// A bit for each row of the piece, set if it is not deleted; `None`: none is.
    live: Option<BooleanBuffer>,
    /// The conjuncts' columns, by slot.
    chunks: Vec<Arc<Chunk>>,
    /// By conjunct.
    prepared: Vec<Prepared>,
    /// By conjunct: it need not be asked in the present zone.
    is_decided: Vec<bool>,
    /// The conjuncts in the order in which they are asked.
    sequence: Vec<usize>,
    /// The output columns, once a row has passed.
    pub(super) output: Option<OutputChunks>,
}

/// When a conjunct is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// By what is in memory.
    Tests,
    /// Row by row.
    Rows,
    /// It may fail: only for rows that all else has let pass, as it was written.
    Last,
}

/// What evaluates the conjuncts of one zone after the other.
#[derive(Default)]
pub(super) struct Work {
    pub(super) evaluator: Evaluator,
    pub(super) selection: Selection,
}

impl Morsel {
    /// Reads the columns that the conjuncts need.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) async fn open(spec: &ScanSpec, share: Share, order: &Order) -> Result<Self> {
        let live = spec.store.live_rows(&spec.table, &share.piece).await.map_err(to_datafusion)?;
        let chunks = read(spec, &share.piece, &spec.conjuncts.columns).await?;
        let list = &spec.conjuncts.list;
        let prepared: Vec<_> =
            list.iter().map(|conjunct| evaluate::prepare(conjunct, &chunks)).collect();
        let mut sequence: Vec<_> = order.sequence().collect();
        // Stable: the rest is as the conjuncts have proved.
        sequence.sort_by_key(|at| match (list.get(*at), prepared.get(*at)) {
            (Some(conjunct), Some(Prepared::Rows)) if conjunct.can_fail => {
                (Turn::Last, conjunct.written)
            }
            (_, Some(Prepared::Rows)) => (Turn::Rows, 0),
            _ => (Turn::Tests, 0),
        });
        let is_decided = vec![false; list.len()];
        let Share { piece, rows } = share;
        Ok(Self { piece, rows, live, chunks, prepared, is_decided, sequence, output: None })
    }

    /// The next zone's rows; `None`: that was all.
    pub(super) fn next_zone(&mut self) -> Option<Range<usize>> {
        if self.rows.is_empty() {
            return None;
        }
        let start = self.rows.start;
        let end = ((start / ZONE_ROWS + 1) * ZONE_ROWS).min(self.rows.end);
        self.rows.start = end;
        Some(start..end)
    }

    /// Finds the rows of a zone that pass all conjuncts.
    ///
    /// # Errors
    /// Those of the conjuncts' expressions.
    pub(super) fn select(
        &mut self,
        spec: &ScanSpec,
        zone: &Range<usize>,
        order: &mut Order,
        work: &mut Work,
        metrics: &ScanMetrics,
    ) -> Result<()> {
        let Work { evaluator, selection } = work;
        selection.reset(zone.len());
        if !self.may_pass(&spec.conjuncts.list, zone, order) {
            metrics.zones_pruned.add(1);
            selection.clear();
            return Ok(());
        }
        if let Some(live) = &self.live {
            let live = live.slice(zone.start, zone.len());
            if live.count_set_bits() < zone.len() {
                selection.keep_bits(&live);
            }
        }
        let target = Target { chunks: &self.chunks, zone };
        for at in &self.sequence {
            let (Some(conjunct), Some(prepared), Some(false)) =
                (spec.conjuncts.list.get(*at), self.prepared.get(*at), self.is_decided.get(*at))
            else {
                continue;
            };
            let (before, since) = (selection.alive(), Instant::now());
            if before == 0 {
                break;
            }
            evaluator.keep(conjunct, prepared, target, selection)?;
            order.record(*at, before, selection.alive(), since.elapsed());
            let dropped = before - selection.alive();
            if matches!(conjunct.test, Test::Keys { .. }) {
                metrics.rows_filtered.add(dropped);
                order.judge_filter(*at);
            } else {
                metrics.rows_removed.add(dropped);
            }
        }
        Ok(())
    }

    /// Whether a row of the zone may pass, by what is known beforehand. Notes which conjuncts that
    /// decides.
    fn may_pass(&mut self, list: &[Conjunct], zone: &Range<usize>, order: &Order) -> bool {
        let known = OfZone { chunks: &self.chunks, zone: zone.start / ZONE_ROWS };
        let states = self.prepared.iter_mut().zip(&mut self.is_decided);
        for (at, (conjunct, (prepared, is_decided))) in list.iter().zip(states).enumerate() {
            // The keys may have come since.
            if let (Prepared::Pass, Test::Keys { filter, .. }) = (&*prepared, &conjunct.test)
                && filter.keys().is_some()
            {
                *prepared = evaluate::prepare(conjunct, &self.chunks);
            }
            match evaluate::verdict(conjunct, prepared, &known) {
                Verdict::None => return false,
                Verdict::All => *is_decided = true,
                Verdict::Some => *is_decided = order.is_off(at),
            }
        }
        true
    }

    /// Reads the output columns.
    ///
    /// # Errors
    /// Those of reading; XX000 when strings find no place in their codebook.
    pub(super) async fn read_output(&mut self, spec: &ScanSpec) -> Result<()> {
        self.output = Some(self.output_chunks(spec).await?);
        Ok(())
    }

    /// What its columns take, of those that are in the cache, too: they may leave it at any time.
    pub(super) fn bytes(&self) -> usize {
        let output = self.output.iter().flat_map(OutputChunks::columns);
        let mut chunks: Vec<_> = self.chunks.iter().chain(output).collect();
        chunks.sort_unstable_by_key(|chunk| Arc::as_ptr(chunk));
        chunks.dedup_by_key(|chunk| Arc::as_ptr(chunk));
        chunks.into_iter().map(|chunk| chunk.bytes()).sum()
    }

    async fn output_chunks(&self, spec: &ScanSpec) -> Result<OutputChunks> {
        let read_already = &spec.conjuncts.columns;
        let mut missing: Vec<usize> = spec.output.iter().map(|output| output.column).collect();
        let width = spec.table.schema.fields().len();
        missing.retain(|column| *column < width && !read_already.contains(column));
        missing.sort_unstable();
        missing.dedup();
        let read = read(spec, &self.piece, &missing).await?;
        let chunk = |column: usize| {
            if let Some(part) = column.checked_sub(width) {
                let datanode = spec.store.datanode;
                return address::chunk(datanode, &self.piece, part).map_err(to_datafusion);
            }
            let place = |columns: &[usize]| columns.iter().position(|other| *other == column);
            let chunk = match place(read_already) {
                Some(slot) => self.chunks.get(slot),
                None => place(&missing).and_then(|at| read.get(at)),
            };
            chunk.map(Arc::clone).ok_or_else(lost)
        };
        let columns = spec.output.iter().map(|output| chunk(output.column));
        OutputChunks::new(spec, columns.collect::<Result<_>>()?)
    }
}

async fn read(spec: &ScanSpec, piece: &Piece, columns: &[usize]) -> Result<Vec<Arc<Chunk>>> {
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    spec.store.chunks(&spec.table, piece, columns).await.map_err(to_datafusion)
}

fn lost() -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::Internal("a column of a scan has not been read".into())
}
