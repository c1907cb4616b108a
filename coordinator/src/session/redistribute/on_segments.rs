//! A round over a table in segments: what is new is copied, what has gone is deleted in the copies.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use kestrel_planner::{
    catalog::{Catalog, ReplacedVector, Segment, TableDef},
    compaction::SEGMENT_ROWS,
    operators::{ChangedRows, RowChangeKind, written_segments},
    plan::{InsertPlan, Plan, RowChange, RowChangePlan},
    redistribution::{SegmentKey, copied_rows, lost_rows, pieces, round, source},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, message::deleted_rows::Rows};

use super::{
    Moving,
    table::{MovedTable, check_rows, files_of},
};
use crate::{
    query::{canceled, until, write_vectors},
    server::Session,
    session::{ClientSession, change_rows::by_datanodes},
};

/// Of each datanode so many full segments are copied by one query: others have their turn after it.
const SEGMENTS_AT_ONCE: u64 = 4;
/// So many segments' deleted rows are looked for by one query.
const WORN_AT_ONCE: usize = 64;

impl ClientSession {
    /// Brings the copies to what the transaction sees of the tables.
    pub(super) async fn move_round(&mut self, moving: &mut Moving) -> Result<()> {
        let view = self.transaction.view(&self.engine);
        self.transaction.will_write(&self.engine);
        let mut open = Vec::new();
        let mut found = 0;
        for table in &moving.tables {
            let there = table.readable(&view);
            let round = round(&table.copied, &there);
            let is_new = |segment: &&Arc<Segment>| round.new.contains(&key(segment));
            let new: Vec<_> = there.iter().filter(is_new).cloned().collect();
            found += new.iter().map(|segment| segment.live_rows()).sum::<u64>();
            open.push((new, round.worn, there));
        }
        moving.progress.has_found(found);
        let most = SEGMENT_ROWS * SEGMENTS_AT_ONCE * view.datanodes.len().max(1) as u64;
        for (at, (new, worn, there)) in open.into_iter().enumerate() {
            let Some(table) = moving.tables.get_mut(at) else { continue };
            for worn in worn.chunks(WORN_AT_ONCE) {
                self.delete_lost(table, worn, &there, (&view, &moving.text)).await?;
            }
            for piece in pieces(new, most) {
                let rows = self.copy_rows(table, piece, (&view, &moving.text)).await?;
                moving.progress.has_copied(rows);
            }
        }
        Ok(())
    }

    /// Copies the rows of these segments: how many.
    async fn copy_rows(
        &mut self,
        table: &mut MovedTable,
        piece: Vec<Arc<Segment>>,
        (view, text): (&Arc<Catalog>, &str),
    ) -> Result<u64> {
        let rows: u64 = piece.iter().map(|segment| segment.live_rows()).sum();
        let copied: Vec<_> = piece.iter().map(|s| (key(s), s.vector_id())).collect();
        let source = Arc::new(source(&table.before, piece));
        let query = copied_rows(&source, view)?;
        let context = self.plan_context(view)?;
        let plan = self.engine.planner.plan_insert(&query, &table.target, &context).await?;
        let InsertPlan::Distributed(plan) = plan else {
            return Err(ErrorReport::internal("rows are moved by datanodes"));
        };
        let written = self.written(&plan, view, text).await?;
        let new: Vec<_> = written.into_iter().filter(|s| s.rows > 0).map(Arc::new).collect();
        let checked = check_rows(&table.after, &new, rows, view);
        Arc::make_mut(&mut table.target).segments.extend(new);
        table.copied.extend(copied);
        checked.map(|()| rows)
    }

    /// Runs a query that writes.
    async fn written(
        &mut self,
        plan: &Plan,
        view: &Arc<Catalog>,
        text: &str,
    ) -> Result<Vec<Segment>> {
        let environment = self.environment(view, self.cancel.clone());
        let (mut running, mut noted) = self.start(plan, &environment, text).await?;
        let mut written = Vec::new();
        while let Some(batch) = running.next().await {
            match noted.part(batch.and_then(|batch| written_segments(&batch))) {
                Ok(segments) => written.extend(segments),
                Err(error) => {
                    // Other datanodes have written their part.
                    let files = written.iter().flat_map(files_of);
                    self.transaction.note_superseded(&self.engine, files);
                    return Err(error);
                }
            }
        }
        noted.finish();
        Ok(written)
    }

    /// Deletes in the copies what has gone in these segments since they were copied. `there`: the
    /// segments that are there now.
    async fn delete_lost(
        &mut self,
        table: &mut MovedTable,
        worn: &[SegmentKey],
        there: &[Arc<Segment>],
        (view, text): (&Arc<Catalog>, &str),
    ) -> Result<()> {
        let left: Vec<_> = there.iter().filter(|s| worn.contains(&key(s))).cloned().collect();
        let now: Vec<_> = left.iter().map(|s| (key(s), s.vector_id())).collect();
        let source = Arc::new(source(&table.before, left));
        let query = lost_rows(&table.target, &source, worn, view)?;
        let lost = self.lost((&table.target, &query), view, text).await?;
        let vectors = self.vectors(&table.target, lost).await?;
        let unused = table.replace_vectors(vectors);
        self.transaction.note_superseded(&self.engine, unused);
        table.copied.retain(|key, _| !worn.contains(key));
        table.copied.extend(now);
        Ok(())
    }

    /// The rows of the new segments that are to go.
    async fn lost(
        &mut self,
        (target, query): (&TableDef, &LogicalPlan),
        view: &Arc<Catalog>,
        text: &str,
    ) -> Result<ChangedRows> {
        let change = RowChange {
            table: target,
            kind: RowChangeKind::Delete,
            is_joined: true,
            moves_rows: false,
            is_routed: false,
            is_returned: false,
        };
        let context = self.plan_context(view)?;
        let plan = self.engine.planner.plan_row_change(query, &change, &context).await?;
        let environment = self.environment(view, self.cancel.clone());
        let (plan, is_distributed) = match plan {
            RowChangePlan::Distributed(plan) => (plan, true),
            RowChangePlan::Here(plan) => (plan, false),
        };
        let (mut running, mut noted) = self.start(&plan, &environment, text).await?;
        let mut lost = ChangedRows::default();
        if is_distributed {
            lost = noted.part(by_datanodes(running).await)?.deleted;
        } else {
            while let Some(batch) = running.next().await {
                let batch = noted.part(batch)?;
                noted.part(lost.note(batch))?;
            }
        }
        noted.finish();
        Ok(lost)
    }

    /// Has delete vectors with these rows written for the new segments.
    async fn vectors(
        &mut self,
        target: &TableDef,
        mut lost: ChangedRows,
    ) -> Result<Vec<ReplacedVector>> {
        let mut grown = Vec::new();
        for segment in &target.segments {
            if let Some(rows) = lost.0.remove(&(DatanodeId(segment.datanode), segment.id)) {
                grown.push((Arc::clone(segment), Rows::Numbers(rows.encode().into())));
            }
        }
        if grown.is_empty() {
            return Ok(Vec::new());
        }
        let (cancel, deadline) = (self.cancel.clone(), self.deadline());
        let transaction = self.transaction.id(&self.engine);
        let with = (&self.engine.cluster, &self.engine.moves);
        let written = write_vectors(with, transaction, target, grown);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(canceled("user request")),
            () = until(deadline) => Err(canceled("statement timeout")),
            vectors = written => vectors,
        }
    }
}

impl MovedTable {
    /// The new segments get these vectors; the files that nobody needs then.
    fn replace_vectors(&mut self, vectors: Vec<ReplacedVector>) -> Vec<(DatanodeId, String)> {
        let mut unused = Vec::new();
        let target = Arc::make_mut(&mut self.target);
        for vector in vectors {
            let datanode = DatanodeId(vector.datanode);
            let mut segments = target.segments.iter_mut();
            let of_vector = |s: &&mut Arc<Segment>| key(s) == (vector.datanode, vector.segment);
            let Some(segment) = segments.find(of_vector) else { continue };
            let old = Arc::make_mut(segment).deletes.replace(vector.after);
            unused.extend(old.map(|old| (datanode, old.file)));
        }
        let (live, dead): (Vec<_>, Vec<_>) =
            std::mem::take(&mut target.segments).into_iter().partition(|s| s.live_rows() > 0);
        unused.extend(dead.iter().flat_map(|segment| files_of(segment)));
        target.segments = live;
        unused
    }
}

fn key(segment: &Segment) -> SegmentKey {
    (segment.datanode, segment.id)
}
