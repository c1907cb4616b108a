//! Rows into a table of the database: COPY in the transaction's shard transaction.

mod spool;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::{Stream, StreamExt, stream};
use kestrel_planner::operators::SegmentTarget;
use kestrel_proto::{
    ErrorReport, Result, ShardIsolation, ShardRelation,
    message::{SegmentKind, SegmentRef},
};

use super::{
    copy::{CopyEncoder, CopyLayout},
    execute::with_lock_hint,
    session::Session,
    sql::{Relation, identifier},
    store::StoreState,
};
use crate::error::report;

/// Writes rows, and tells how many; nothing if there were none.
///
/// The session of the shard transaction is this COPY's until its end. Scans that read the
/// transaction's own writes need it, too, and the rows may be theirs: then all rows are collected
/// before the first is written.
///
/// # Errors
/// Those of the rows; the database's, such as 23505, about its table and constraint. 40001: the
/// transaction is to go on, and is not there.
pub(super) async fn write(
    store: &Arc<StoreState>,
    target: &SegmentTarget,
    mut rows: SendableRecordBatchStream,
) -> Result<Vec<SegmentRef>> {
    let no_relation = || ErrorReport::internal("rows for a database, and no table there");
    let relation = target.relation.as_ref().ok_or_else(no_relation)?;
    if target.reads_own_writes {
        rows = spool::collected(rows, &store.resources).await?;
    }
    let Some(first) = first_rows(&mut rows).await? else { return Ok(Vec::new()) };
    let session = store
        .transaction(
            target.transaction,
            target.coordinator_epoch,
            target.continues,
            match target.in_block {
                true => ShardIsolation::RepeatableRead,
                false => ShardIsolation::ReadCommitted,
            },
        )
        .await?;
    let mut turn = session.turn().await?;
    let session = turn.session()?;
    let layout = layout(session, target, relation).await?;
    let sql =
        format!("COPY {} ({}) FROM STDIN (FORMAT BINARY)", table(relation)?, columns(relation)?);
    let sent_bytes = Arc::new(AtomicU64::new(0));
    let source = encoded(first, rows, layout, Arc::clone(&sent_bytes));
    let rows = session.copy_in(&sql, source.boxed()).await.map_err(of_row)?;
    Ok(vec![SegmentRef {
        kind: SegmentKind::ShardRows.into(),
        rows,
        bytes: sent_bytes.load(Ordering::Relaxed),
        ..SegmentRef::default()
    }])
}

/// Nobody knows the lines of this COPY.
fn of_row(mut report: ErrorReport) -> ErrorReport {
    report.context = report.context.filter(|context| !context.starts_with("COPY "));
    with_lock_hint(report)
}

/// The first batch that has rows.
async fn first_rows(rows: &mut SendableRecordBatchStream) -> Result<Option<RecordBatch>> {
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(report)?;
        if batch.num_rows() > 0 {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// What the columns are in the database, now that nobody can change them any more.
async fn layout(
    session: &mut Session,
    target: &SegmentTarget,
    relation: &ShardRelation,
) -> Result<CopyLayout> {
    let sql = format!("SELECT {} FROM {} LIMIT 0", columns(relation)?, table(relation)?);
    let described = session.query(&sql).await.map_err(with_lock_hint)?;
    let oids: Vec<_> = described.columns.iter().map(|column| column.type_oid).collect();
    CopyLayout::try_new(&target.table, Arc::clone(&target.schema), &oids)
}

fn table(relation: &ShardRelation) -> Result<String> {
    Relation { schema: relation.schema.clone(), name: relation.table.clone() }.quoted()
}

fn columns(relation: &ShardRelation) -> Result<String> {
    let names = relation.columns.iter().map(|name| identifier(name));
    Ok(names.collect::<Result<Vec<_>>>()?.join(", "))
}

/// Rows on their way to COPY data.
struct Encoding {
    first: Option<RecordBatch>,
    rows: SendableRecordBatchStream,
    /// `None`: all rows have come.
    encoder: Option<CopyEncoder>,
    ready: VecDeque<Bytes>,
    sent_bytes: Arc<AtomicU64>,
}

fn encoded(
    first: RecordBatch,
    rows: SendableRecordBatchStream,
    layout: CopyLayout,
    sent_bytes: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes>> + Send {
    let encoder = Some(CopyEncoder::new(layout));
    let encoding =
        Encoding { first: Some(first), rows, encoder, ready: VecDeque::new(), sent_bytes };
    stream::try_unfold(encoding, |mut encoding| async move {
        Ok::<_, ErrorReport>(encoding.next().await?.map(|payload| (payload, encoding)))
    })
}

impl Encoding {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.ready.is_empty() {
            let Some(encoder) = &mut self.encoder else { return Ok(None) };
            let batch = match self.first.take() {
                Some(first) => Some(Ok(first)),
                None => self.rows.next().await,
            };
            let mut payloads = Vec::new();
            match batch {
                Some(batch) => encoder.encode(&batch.map_err(report)?, &mut payloads)?,
                None => {
                    if let Some(encoder) = self.encoder.take() {
                        encoder.finish(&mut payloads);
                    }
                }
            }
            let bytes: usize = payloads.iter().map(Bytes::len).sum();
            self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            self.ready.extend(payloads);
        }
        Ok(self.ready.pop_front())
    }
}
