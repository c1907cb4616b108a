//! Delete vectors: the datanodes that have the segments write them.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::try_join_all;
use kestrel_planner::catalog::{DeleteVector, ReplacedVector, Segment, TableDef};
use kestrel_proto::{
    DatanodeId, ErrorReport, Result, TransactionId,
    message::{DeleteRowsRequest, DeletedRows, MovedPart, deleted_rows::Rows},
};

use super::Cluster;
use crate::engine::Moves;

/// Segments of one order.
const SEGMENTS_MAX: usize = 256;
/// Bytes of one order's sets of rows, unless one alone has more: far below a message's limit.
const BYTES_MAX: usize = 32 << 20;

/// Segments, and the rows that are to be deleted in them.
type Grown = Vec<(Arc<Segment>, Rows)>;

/// Has a delete vector written for each of these segments of a table: with these rows beside those
/// that are deleted in it. They are durable then, and seen by nobody.
///
/// # Errors
/// 40001 if one of the rows is deleted already; those of the datanodes.
pub(crate) async fn write_vectors(
    (cluster, moves): (&Cluster, &Moves),
    transaction: TransactionId,
    table: &TableDef,
    grown: Grown,
) -> Result<Vec<ReplacedVector>> {
    let mut by_datanode: BTreeMap<DatanodeId, Grown> = BTreeMap::new();
    for (segment, rows) in grown {
        let datanode = DatanodeId(segment.datanode);
        by_datanode.entry(datanode).or_default().push((segment, rows));
    }
    let orders = by_datanode.into_iter().map(|(datanode, grown)| async move {
        let written = on_datanode((cluster, moves), datanode, transaction, table, grown).await;
        written.map_err(|error| error.on_datanode(datanode.name()).in_schema(&table.schema_name))
    });
    Ok(try_join_all(orders).await?.concat())
}

async fn on_datanode(
    (cluster, moves): (&Cluster, &Moves),
    id: DatanodeId,
    transaction: TransactionId,
    table: &TableDef,
    grown: Grown,
) -> Result<Vec<ReplacedVector>> {
    let datanode = cluster.datanode(id)?;
    let mut replaced = Vec::with_capacity(grown.len());
    for part in parts(grown) {
        let segments = part.iter().map(|(segment, rows)| DeletedRows {
            segment: Some(segment.to_message_without_summary()),
            rows: Some(rows.clone()),
        });
        let order = DeleteRowsRequest {
            transaction_id: transaction.0,
            coordinator_epoch: cluster.epoch,
            table_id: table.id,
            table: table.name.clone(),
            segments: segments.collect(),
            sorted: moves.sorts(id.0, moved_parts(&part)),
        };
        let vectors = datanode.delete_rows(order).await?;
        if vectors.len() != part.len() {
            return Err(ErrorReport::internal("a datanode has not written all delete vectors"));
        }
        replaced.extend(part.iter().zip(vectors).map(|((segment, _), vector)| ReplacedVector {
            datanode: segment.datanode,
            segment: segment.id,
            before: segment.vector_id(),
            after: DeleteVector::from_message(vector),
        }));
    }
    Ok(replaced)
}

fn moved_parts(grown: &Grown) -> impl Iterator<Item = &MovedPart> {
    let parts = grown.iter().map(|(_, rows)| match rows {
        Rows::Moved(moved) => moved.parts.as_slice(),
        Rows::Numbers(_) | Rows::Difference(_) => &[],
    });
    parts.flatten()
}

/// What goes into one order each.
fn parts(grown: Grown) -> Vec<Grown> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for (segment, rows) in grown {
        let more = match &rows {
            Rows::Numbers(numbers) => numbers.len(),
            Rows::Difference(_) | Rows::Moved(_) => 0,
        };
        if let Some(part) = parts.last_mut()
            && part.len() < SEGMENTS_MAX
            && (part.is_empty() || bytes + more <= BYTES_MAX)
        {
            part.push((segment, rows));
            bytes += more;
        } else {
            parts.push(vec![(segment, rows)]);
            bytes = more;
        }
    }
    parts
}
