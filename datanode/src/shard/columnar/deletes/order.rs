//! The order to delete rows: each segment's new vector has those of its present one, too.

use std::{fs, sync::Arc};

use kestrel_planner::row_set::RowSet;
use kestrel_proto::{
    ErrorReport, Result, SqlState, TableId, TransactionId,
    message::{
        DeleteRowsRequest, DeleteVector, DeletedRows, Move, MovedPart, SegmentRef,
        VectorDifference, deleted_rows::Rows,
    },
};

use super::file::VectorFile;
use crate::{
    resort::PlacesByOrder,
    shard::columnar::{
        files::FileKind,
        new_file::{Writer, sync_entries},
        store::{StoreState, died},
    },
};

/// Carries out an order: a vector for each of its segments, durable. An error, or dropping the
/// future, leaves no file.
///
/// # Errors
/// 40001 when a row is deleted already; XX001 when a file is not what the catalog says; 58030, 53100.
pub(in crate::shard::columnar) async fn delete_rows(
    store: &Arc<StoreState>,
    order: DeleteRowsRequest,
    places: PlacesByOrder,
) -> Result<Vec<DeleteVector>> {
    let store = Arc::clone(store);
    let written = tokio::task::spawn_blocking(move || write_all(&store, order, &places)).await;
    written.unwrap_or_else(|error| Err(died(&error))).map(Unclaimed::claim)
}

/// Vectors that nobody has been told of. When nobody waits for them any more, they go: the order to
/// drop their transaction's files may have come before them.
struct Unclaimed {
    store: Arc<StoreState>,
    vectors: Vec<DeleteVector>,
}

impl Unclaimed {
    fn claim(mut self) -> Vec<DeleteVector> {
        std::mem::take(&mut self.vectors)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        for vector in &self.vectors {
            let _ = fs::remove_file(self.store.data.join(&vector.file));
        }
    }
}

fn write_all(
    store: &Arc<StoreState>,
    order: DeleteRowsRequest,
    places: &PlacesByOrder,
) -> Result<Unclaimed> {
    let table_id = TableId(order.table_id);
    let writer = Writer {
        transaction: TransactionId(order.transaction_id),
        coordinator_epoch: order.coordinator_epoch,
        table_id,
    };
    let table: Arc<str> = order.table.into();
    let mut written = Unclaimed { store: Arc::clone(store), vectors: Vec::new() };
    for deleted in order.segments {
        let DeletedRows { segment: Some(segment), rows: Some(rows) } = deleted else {
            return Err(ErrorReport::internal("an order to delete nothing"));
        };
        let file = VectorFile {
            store: Arc::clone(store),
            table_id,
            table: Arc::clone(&table),
            segment: segment.id,
        };
        let rows = grown(&file, &segment, rows, places)?;
        written.vectors.push(file.write(writer, rows)?);
    }
    if !written.vectors.is_empty() {
        sync_entries(&store.data, table_id, FileKind::Deletes)?;
    }
    Ok(written)
}

/// The deleted rows of a segment, those of the order among them.
fn grown(
    file: &VectorFile,
    segment: &SegmentRef,
    rows: Rows,
    places: &PlacesByOrder,
) -> Result<RowSet> {
    let deleted = match rows {
        Rows::Numbers(bytes) => RowSet::decode(&bytes)
            .ok_or_else(|| ErrorReport::internal("an order to delete rows cannot be read"))?,
        Rows::Difference(difference) => difference_of(file, difference)?,
        Rows::Moved(moved) => {
            let mut rows = RowSet::default();
            for part in moved.parts {
                rows.add(&moved_rows(file, part, places)?);
            }
            rows
        }
    };
    if deleted.last().is_some_and(|last| u64::from(last) >= segment.rows) {
        let text = format!("a row to be deleted is not in segment \"{}\"", segment.file);
        return Err(ErrorReport::internal(text));
    }
    let Some(present) = &segment.deletes else { return Ok(deleted) };
    let mut all = file.read(present)?;
    if !all.is_disjoint(&deleted) {
        return Err(changed_meanwhile(&file.table));
    }
    all.add(&deleted);
    Ok(all)
}

fn difference_of(file: &VectorFile, difference: VectorDifference) -> Result<RowSet> {
    let VectorDifference { vector: Some(vector), base } = difference else {
        return Err(ErrorReport::internal("an order to delete the rows of no vector"));
    };
    let mut rows = file.read(&vector)?;
    if let Some(base) = base {
        rows.remove(&file.read(&base)?);
    }
    Ok(rows)
}

/// Rows that were deleted in another segment, as they are numbered where they are now.
///
/// Errors: 40001 if one of them had been deleted when the others moved.
fn moved_rows(file: &VectorFile, part: MovedPart, places: &PlacesByOrder) -> Result<RowSet> {
    let of_segment = |segment: &SegmentRef| VectorFile { segment: segment.id, ..file.clone() };
    let nothing = || ErrorReport::internal("an order to delete rows that have come from nowhere");
    let first = part.way.first().and_then(|step| step.segment.as_ref()).ok_or_else(nothing)?;
    let mut rows = match part.difference {
        Some(difference) => difference_of(&of_segment(first), difference)?,
        None => {
            let mut all: RowSet = (0..u32::try_from(first.rows).unwrap_or(u32::MAX)).collect();
            if let Some(deletes) = &first.deletes {
                all.remove(&of_segment(first).read(deletes)?);
            }
            all
        }
    };
    for Move { segment, first_row, rows: room, sorted } in part.way {
        let segment = segment.ok_or_else(nothing)?;
        let left_out = match &segment.deletes {
            Some(deletes) => of_segment(&segment).read(deletes)?,
            None => RowSet::default(),
        };
        if !left_out.is_disjoint(&rows) {
            return Err(changed_meanwhile(&file.table));
        }
        rows = match sorted {
            0 => rows.moved(&left_out, first_row, room),
            order => {
                let places = places.get(&order).ok_or_else(nothing)?;
                places.moved(&rows, &left_out, (segment.id, first_row, room))?
            }
        };
    }
    Ok(rows)
}

fn changed_meanwhile(table: &str) -> ErrorReport {
    let message = "could not serialize access due to concurrent update";
    ErrorReport::new(SqlState::SERIALIZATION_FAILURE, message)
        .detail(format!("A row of table \"{table}\" was changed by another transaction meanwhile."))
        .hint("Run the transaction again.")
}
