//! Where a scan's rows are: columns that no file has, made where they are asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array};
use kestrel_planner::operators::Address;
use kestrel_proto::{DatanodeId, ErrorReport, Result};

use crate::shard::columnar::{chunk::Chunk, load::Piece};

/// A part of the rows' addresses, by its position among them.
///
/// # Errors
/// XX000 when there is no such part, or a number does not fit.
pub(super) fn chunk(datanode: DatanodeId, piece: &Piece, part: usize) -> Result<Arc<Chunk>> {
    let too_large = || ErrorReport::internal("a row's address is too large");
    let number = |row: usize| i32::try_from(row).map_err(|_| too_large());
    let array: ArrayRef = match Address::of_position(part) {
        Some(Address::Datanode) => {
            let datanode = i32::try_from(datanode.0).map_err(|_| too_large())?;
            Arc::new(Int32Array::from_value(datanode, piece.rows))
        }
        Some(Address::Segment) => {
            let segment = i64::try_from(piece.segment.id).map_err(|_| too_large())?;
            Arc::new(Int64Array::from_value(segment, piece.rows))
        }
        Some(Address::Row) => {
            let rows = number(piece.first_row)?..number(piece.first_row + piece.rows)?;
            Arc::new(Int32Array::from_iter_values(rows))
        }
        None => {
            return Err(ErrorReport::internal("a scan is asked for a column that is not there"));
        }
    };
    Chunk::encode(&array).map(Arc::new)
}
