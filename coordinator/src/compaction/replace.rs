//! The commit of a round. What others have deleted since the old segments were read is deleted in the new
//! ones, too, before anybody sees them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::Utc;
use kestrel_planner::catalog::{CatalogChange, DeleteVector, Segment, TableDef};
use kestrel_proto::{
    DatanodeId, Result, SqlState, TransactionId,
    message::{MovedPart, MovedRows, VectorDifference, deleted_rows::Rows},
};
use tokio::time::timeout;

use super::Round;
use crate::{
    engine::{Engine, SegmentKey, moved_part},
    query::write_vectors,
};

/// How often the commit is tried while others delete rows of the same segments.
const TRIES_BESIDE_OTHERS: usize = 5;
/// And how often while their commits wait.
const TRIES_ALONE: usize = 2;
/// How long it waits for commits that are under way, while others wait behind it.
const HOLD_OFF_WAIT: Duration = Duration::from_secs(1);

/// Puts the new segments in the place of the old: the version that has them. `None`: it is of no use,
/// since the table has been emptied, or others were faster again and again.
///
/// # Errors
/// Those of datanodes and of the catalog.
pub(super) async fn replace(
    engine: &Engine,
    round: &Round,
    new: Vec<Arc<Segment>>,
    transaction: TransactionId,
) -> Result<Option<u64>> {
    for attempt in 0..TRIES_BESIDE_OTHERS + TRIES_ALONE {
        let _alone = match attempt < TRIES_BESIDE_OTHERS {
            true => None,
            false => match timeout(HOLD_OFF_WAIT, engine.commits.write()).await {
                Ok(alone) => Some(alone),
                Err(_) => break,
            },
        };
        let newest = engine.catalog.snapshot();
        let Some(table) = newest.table_by_id(round.table.id) else { return Ok(None) };
        let now: BTreeMap<SegmentKey, &Arc<Segment>> =
            table.segments.iter().map(|segment| (key(segment), segment)).collect();
        let old: Vec<_> =
            round.segments().filter_map(|segment| now.get(&key(segment)).copied()).collect();
        if old.is_empty() {
            return Ok(None);
        }
        let late = late_deletes(engine, round, &now, &new);
        let Some(vectors) = vectors(engine, table, late, transaction).await? else {
            return Ok(None);
        };
        let with_vector = |segment: &Arc<Segment>| {
            let vector = vectors.get(&key(segment)).cloned();
            Segment { deletes: vector, ..segment.as_ref().clone() }
        };
        let (live, dead): (Vec<_>, Vec<_>) =
            new.iter().map(with_vector).partition(|segment| segment.live_rows() > 0);
        let change = CatalogChange::ReplaceSegments {
            table: table.id,
            rewritten: old.iter().map(|segment| segment.rewritten()).collect(),
            segments: live,
        };
        match engine.catalog.commit(None, vec![change], Utc::now()).await {
            Ok(after) => {
                let gone = old.iter().map(|segment| &***segment).chain(&dead);
                engine.garbage.note_files(gone.flat_map(files), after.version);
                // By these, deletes of transactions that have read another vector find their rows.
                engine.garbage.postpone(round.segments().filter_map(vector_file), after.version);
                // And by these, if they were sorted.
                engine.garbage.postpone(round.sorted_files(), after.version);
                return Ok(Some(after.version));
            }
            Err(error) if error.sqlstate == SqlState::SERIALIZATION_FAILURE => {
                tracing::debug!(table = %table.name, %error, "a commit of VACUUM is tried again");
                let unused = vectors
                    .iter()
                    .map(|((datanode, _), vector)| (DatanodeId(*datanode), vector.file.clone()));
                engine.garbage.note_files(unused, 0);
            }
            Err(error) => return Err(error),
        }
    }
    tracing::warn!(
        table = %round.table.name,
        "segments stay as they are: others were faster again and again"
    );
    Ok(None)
}

fn key(segment: &Segment) -> SegmentKey {
    (segment.datanode, segment.id)
}

fn files(segment: &Segment) -> impl Iterator<Item = (DatanodeId, String)> + use<'_> {
    let datanode = DatanodeId(segment.datanode);
    segment.files().map(move |file| (datanode, file.name.to_string()))
}

fn vector_file(segment: &Arc<Segment>) -> Option<(DatanodeId, String)> {
    let vector = segment.deletes.as_ref()?;
    Some((DatanodeId(segment.datanode), vector.file.clone()))
}

/// Which rows of new segments others have deleted in the old ones, since these were read.
fn late_deletes<'a>(
    engine: &Engine,
    round: &Round,
    now: &BTreeMap<SegmentKey, &Arc<Segment>>,
    new: &'a [Arc<Segment>],
) -> Vec<(&'a Arc<Segment>, Vec<MovedPart>)> {
    let new: BTreeMap<SegmentKey, &Arc<Segment>> = new.iter().map(|s| (key(s), s)).collect();
    let mut late: BTreeMap<SegmentKey, Vec<MovedPart>> = BTreeMap::new();
    for read in round.segments() {
        let difference = match now.get(&key(read)) {
            Some(now) if now.vector_id() == read.vector_id() => continue,
            Some(now) => Some(VectorDifference {
                vector: now.deletes.as_ref().map(DeleteVector::to_message),
                base: read.deletes.as_ref().map(DeleteVector::to_message),
            }),
            // It has no rows any more.
            None => None,
        };
        let ways = engine.moves.ways(key(read), |key| new.contains_key(&key));
        for (target, way) in ways.unwrap_or_default() {
            late.entry(target).or_default().push(moved_part(difference.clone(), &way));
        }
    }
    let late = late.into_iter();
    late.filter_map(|(key, parts)| Some((new.get(&key).copied()?, parts))).collect()
}

/// Has vectors with these rows written for the new segments. `None`: they were deleted twice, which
/// is not to be understood.
async fn vectors(
    engine: &Engine,
    table: &TableDef,
    late: Vec<(&Arc<Segment>, Vec<MovedPart>)>,
    transaction: TransactionId,
) -> Result<Option<BTreeMap<SegmentKey, DeleteVector>>> {
    if late.is_empty() {
        return Ok(Some(BTreeMap::new()));
    }
    let grown = late
        .into_iter()
        .map(|(segment, parts)| (Arc::clone(segment), Rows::Moved(MovedRows { parts })));
    let with = (&engine.cluster, &engine.moves);
    match write_vectors(with, transaction, table, grown.collect()).await {
        Ok(vectors) => {
            let vectors = vectors.into_iter().map(|v| ((v.datanode, v.segment), v.after));
            Ok(Some(vectors.collect()))
        }
        Err(error) if error.sqlstate == SqlState::SERIALIZATION_FAILURE => Ok(None),
        Err(error) => Err(error),
    }
}
