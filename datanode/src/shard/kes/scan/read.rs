//! The rows of one partition: where they are read, and how.
//!
//! | | |
//! |---|---|
//! | the transaction has written here | a cursor in the shard transaction, one partition |
//! | few rows are expected, and nobody else reads what they are read from | one message, a transaction of its own |
//! | few rows are expected, no session is free for it, or no snapshot can be exported | a cursor in the session that holds the snapshot |
//! | else | COPY in a session of its own, with the snapshot; each partition a piece of the table |

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use kestrel_planner::{catalog::SqlType, operators::Hands};
use kestrel_proto::{ErrorReport, QueryId, Result, ShardIsolation, SnapshotScope, SqlState};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit};

use super::{KesScan, cursor};
use crate::shard::kes::{
    copy::{ChunkLimits, CopyLayout, decode_stream},
    session::{BinaryRows, Column, CopyOut, PooledSession},
    shared_session::SharedSession,
    snapshots::{Opener, Snapshot, begin_worker, of_import, read_at_once},
    sql::{Piece, string},
};

/// What a COPY is decoded to at a time, besides so many rows.
const CHUNK_BYTES_MAX: usize = 16 << 20;

/// The rows, as the scan puts them out.
pub(super) type Rows = BoxStream<'static, Result<RecordBatch>>;

/// The pieces of the table, one for each of the first partitions.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Whichever is read first finds out.
    found: OnceCell<Vec<Piece>>,
    /// What each partition has asked for.
    sent: Mutex<BTreeMap<usize, Piece>>,
}

impl Pieces {
    /// What was asked for, in the order of the partitions.
    pub(super) fn sent(&self) -> Vec<Piece> {
        self.sent.lock().values().cloned().collect()
    }

    fn note(&self, partition: usize, piece: &Piece) {
        self.sent.lock().insert(partition, piece.clone());
    }
}

/// The rows of a partition.
///
/// # Errors
/// 58K01, 53300, 57014, and what the database says. 40001: the transaction's writes or its snapshot
/// are lost.
pub(super) async fn read(
    scan: Arc<KesScan>,
    pieces: Arc<Pieces>,
    partition: usize,
    hands: Arc<Hands>,
) -> Result<Rows> {
    if hands.reads_own_writes {
        if partition > 0 {
            return Ok(stream::empty().boxed());
        }
        let store = &scan.store;
        let (transaction, epoch) = (hands.transaction, hands.coordinator_epoch);
        let isolation = ShardIsolation::RepeatableRead;
        let session = store.transaction(transaction, epoch, true, isolation).await?;
        pieces.note(partition, &Piece::WHOLE);
        return Ok(cursor::rows(scan, session, Piece::WHOLE, cursor::AtEnd::Close));
    }
    let scope = match hands.snapshot {
        Some(scope) => scope,
        None if scan.is_small && scan.partitions == 1 => {
            pieces.note(partition, &Piece::WHOLE);
            return at_once(scan, hands.query).await;
        }
        None => SnapshotScope::Query(hands.query),
    };
    let opener = if scan.is_small { Opener::SmallScan } else { Opener::Anybody };
    let snapshot = scan.store.snapshot_to_read(scope, opener).await?;
    let piece = match (scan.partitions, partition) {
        (1, 0) => Piece::WHOLE,
        _ => {
            let find = || scan.find_pieces(&snapshot.holder);
            let found = pieces.found.get_or_try_init(find).await?;
            match found.get(partition) {
                Some(piece) => piece.clone(),
                // The table is smaller than the planner thought.
                None => return Ok(stream::empty().boxed()),
            }
        }
    };
    pieces.note(partition, &piece);
    if scan.is_small {
        return Ok(in_holder(scan, &snapshot, piece, scope));
    }
    let Ok(permit) = Arc::clone(&scan.store.workers).try_acquire_owned() else {
        return Ok(in_holder(scan, &snapshot, piece, scope));
    };
    let Some(exported) = snapshot.exported().await? else {
        return Ok(in_holder(scan, &snapshot, piece, scope));
    };
    match scan.store.pool.try_get().await {
        Ok(Some(session)) => {
            let held = (Arc::clone(&snapshot), permit);
            copied(scan, session, held, &exported, &piece).await
        }
        Ok(None) => Ok(in_holder(scan, &snapshot, piece, scope)),
        // Others have taken the database's last session.
        Err(error) if error.sqlstate == SqlState::TOO_MANY_CONNECTIONS => {
            Ok(in_holder(scan, &snapshot, piece, scope))
        }
        Err(error) => Err(error),
    }
}

/// One message, in a session that goes to its pool when the stream is dropped; before the end, its
/// statement is cancelled first.
async fn at_once(scan: Arc<KesScan>, query: QueryId) -> Result<Rows> {
    let store = Arc::clone(&scan.store);
    let permit = store.snapshots.permit_without(query, &store.pool).await?;
    let session = store.pool.get().await?.rolling_back();
    let rows = BinaryRows::start(session, &read_at_once(&scan.sql.select(&Piece::WHOLE))).await?;
    let layout = scan.layout(rows.columns())?;
    let batches = decode_stream(rows, layout, scan.chunk_limits(), store.decode.clone());
    Ok(scan.put_out(batches.inspect(move |_| {
        let _ = &permit;
    })))
}

fn in_holder(scan: Arc<KesScan>, snapshot: &Snapshot, piece: Piece, scope: SnapshotScope) -> Rows {
    let at_end = match scope {
        SnapshotScope::Transaction(_) => cursor::AtEnd::Close,
        // They end together.
        SnapshotScope::Query(_) => cursor::AtEnd::Leave,
    };
    cursor::rows(scan, Arc::clone(&snapshot.holder), piece, at_end)
}

/// COPY in a session that reads the snapshot. When the stream is dropped, the session rolls back and
/// goes to its pool; before the end, the COPY is cancelled first. `held`: until then.
async fn copied(
    scan: Arc<KesScan>,
    session: PooledSession,
    held: (Arc<Snapshot>, OwnedSemaphorePermit),
    exported: &str,
    piece: &Piece,
) -> Result<Rows> {
    let mut session = session.rolling_back();
    let select = scan.sql.select(&Piece::WHOLE);
    let describe = format!("SELECT * FROM ({select}) AS kst_scan LIMIT 0");
    let begun = session.query_all(&format!("{}; {describe}", begin_worker(exported)?)).await;
    let begun = begun.map_err(|e| of_import(scan.store.datanode, e))?;
    let columns = begun.last().map(|answer| answer.columns.as_slice()).unwrap_or_default();
    let layout = scan.layout(columns)?;
    let copy = CopyOut::start(session, &scan.sql.copy(piece)).await?;
    let limits = scan.chunk_limits();
    let batches = decode_stream(copy, layout, limits, scan.store.decode.clone());
    Ok(scan.put_out(batches.inspect(move |_| {
        let _ = &held;
    })))
}

impl KesScan {
    async fn find_pieces(&self, holder: &Arc<SharedSession>) -> Result<Vec<Piece>> {
        let Some(relation_size) = self.store.known()?.names.relation_size else {
            return Ok(vec![Piece::WHOLE]);
        };
        let relation = string(&self.relation.quoted()?)?;
        let sql = format!("SELECT {relation_size}({relation}::pg_catalog.regclass)");
        let answer = holder.turn().await?.read(&sql).await?;
        let bytes = answer.first_value().and_then(|text| std::str::from_utf8(text).ok());
        // What has no size, such as a view, is read as a whole.
        let bytes = bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        self.pieces(bytes)
    }

    /// What the query's columns are there and here. Where the scan wants no column, the query has
    /// one nevertheless.
    pub(super) fn layout(&self, columns: &[Column]) -> Result<CopyLayout> {
        let oids: Vec<_> = columns.iter().map(|column| column.type_oid).collect();
        let schema = match self.sql.columns.is_empty() {
            true => Arc::new(Schema::new(vec![SqlType::SmallInt.field("nothing", true)])),
            false => Arc::clone(&self.schema),
        };
        CopyLayout::try_new(&self.table, schema, &oids)
    }

    pub(super) fn chunk_limits(&self) -> ChunkLimits {
        ChunkLimits { rows: self.store.batch_rows.max(1), bytes: CHUNK_BYTES_MAX }
    }

    /// Batches of the query, as batches of the scan.
    pub(super) fn put_out(
        &self,
        batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Rows {
        if !self.sql.columns.is_empty() {
            return batches.boxed();
        }
        let schema = Arc::clone(&self.schema);
        let counted = move |batch| std::future::ready(rows_only(&batch, &schema));
        batches.and_then(counted).boxed()
    }
}

/// As many rows of no columns.
fn rows_only(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), Vec::new(), &options)
        .map_err(|error| ErrorReport::internal(error.to_string()))
}
