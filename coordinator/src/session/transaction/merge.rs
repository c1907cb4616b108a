//! Delete vectors at a commit, when other transactions have replaced those that this one grew. Rows
//! that both deleted are a conflict; others are put together: the datanodes write vectors with the
//! rows of both, and these are committed. If others have written the segments anew meanwhile
//! ([`crate::engine::Moves`]), it is the vectors of the new ones that get the rows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use kestrel_planner::catalog::{Catalog, CatalogChange, DeleteVector, ReplacedVector, Segment};
use kestrel_proto::{
    DatanodeId, Result, TransactionId,
    message::{MovedPart, MovedRows, VectorDifference, deleted_rows::Rows},
};

use super::super::commit::removed_meanwhile;
use crate::{
    engine::{Engine, SegmentKey, moved_part},
    query::write_vectors,
};

/// A transaction's changes with other delete vectors.
pub(super) struct Merged {
    pub(super) changes: Vec<CatalogChange>,
    /// Files of vectors that the transaction's own changes have, and these have not.
    pub(super) superseded: Vec<(DatanodeId, String)>,
    /// Files of the vectors in their place.
    pub(super) written: Vec<(DatanodeId, String)>,
}

/// The changes of a transaction that began on `base`, as they fit `newest`; `None`: they do as they
/// are, or are refused in a way that nothing here mends.
///
/// # Errors
/// 40001: a row that the transaction deleted was deleted by another one; those of datanodes.
pub(super) async fn merged(
    engine: &Engine,
    transaction: TransactionId,
    changes: &[CatalogChange],
    (base, newest): (&Catalog, &Catalog),
) -> Result<Option<Merged>> {
    let mut vectors = BTreeMap::new();
    let mut moved = BTreeSet::new();
    for (table, grown) in grown_vectors(changes) {
        let Some(now) = newest.table_by_id(table) else { continue };
        let then = base.table_by_id(table);
        if then.is_some_and(|then| Arc::ptr_eq(then, now)) {
            continue;
        }
        let by_key = |segments: &[Arc<Segment>]| -> HashMap<SegmentKey, Arc<Segment>> {
            segments.iter().map(|s| ((s.datanode, s.id), Arc::clone(s))).collect()
        };
        let present = by_key(&now.segments);
        let then = then.map(|then| by_key(&then.segments)).unwrap_or_default();
        let mut conflicts = Vec::new();
        let mut arrived: BTreeMap<SegmentKey, Vec<MovedPart>> = BTreeMap::new();
        for (key, (before, last)) in grown {
            let base = then.get(&key).and_then(|segment| segment.deletes.as_ref());
            let difference = VectorDifference {
                vector: Some(last.to_message()),
                base: base.map(DeleteVector::to_message),
            };
            let Some(segment) = present.get(&key) else {
                let ways = engine.moves.ways(key, |key| present.contains_key(&key));
                for (key, way) in ways.ok_or_else(|| removed_meanwhile(now))? {
                    let part = moved_part(Some(difference.clone()), &way);
                    arrived.entry(key).or_default().push(part);
                }
                moved.insert((table, key));
                continue;
            };
            if segment.vector_id() != before {
                conflicts.push((Arc::clone(segment), Rows::Difference(difference)));
            }
        }
        for (key, parts) in arrived {
            let segment = present.get(&key).ok_or_else(|| removed_meanwhile(now))?;
            conflicts.push((Arc::clone(segment), Rows::Moved(MovedRows { parts })));
        }
        if conflicts.is_empty() {
            continue;
        }
        let with = (&engine.cluster, &engine.moves);
        let written = write_vectors(with, transaction, now, conflicts).await?;
        vectors.extend(written.into_iter().map(|v| ((table, (v.datanode, v.segment)), v)));
    }
    Ok((!vectors.is_empty()).then(|| with_vectors(changes, vectors, &moved)))
}

/// Of each table, the vectors that these changes replace in segments that they have not added: the
/// id of the first one, and the last one in its place.
fn grown_vectors(
    changes: &[CatalogChange],
) -> BTreeMap<u64, BTreeMap<SegmentKey, (Option<u64>, &DeleteVector)>> {
    let mut own = BTreeSet::new();
    let mut grown: BTreeMap<_, BTreeMap<SegmentKey, (Option<u64>, &DeleteVector)>> =
        BTreeMap::new();
    for change in changes {
        match change {
            CatalogChange::AddSegments { segments, .. }
            | CatalogChange::ReplaceSegments { segments, .. } => {
                own.extend(segments.iter().map(|s| (s.datanode, s.id)));
            }
            CatalogChange::ReplaceVectors { table, vectors } => {
                let of_table = grown.entry(*table).or_default();
                for vector in vectors {
                    let key = (vector.datanode, vector.segment);
                    if own.contains(&key) {
                        continue;
                    }
                    let known = of_table.entry(key).or_insert((vector.before, &vector.after));
                    known.1 = &vector.after;
                }
            }
            _ => {}
        }
    }
    grown
}

/// The changes with these vectors in the place of all that they have of the same segments, and of those
/// whose rows have `moved`.
fn with_vectors(
    changes: &[CatalogChange],
    mut vectors: BTreeMap<(u64, SegmentKey), ReplacedVector>,
    moved: &BTreeSet<(u64, SegmentKey)>,
) -> Merged {
    let file = |v: &ReplacedVector| (DatanodeId(v.datanode), v.after.file.clone());
    let keys: BTreeSet<_> = vectors.keys().copied().collect();
    let written = vectors.values().map(file).collect();
    let own_keys: BTreeSet<_> = changes.iter().flat_map(keys_of).collect();
    let mut superseded = Vec::new();
    let mut merged = Vec::with_capacity(changes.len());
    for change in changes {
        let CatalogChange::ReplaceVectors { table, vectors: own } = change else {
            merged.push(change.clone());
            continue;
        };
        let mut replaced = Vec::with_capacity(own.len());
        for vector in own {
            let key = (*table, (vector.datanode, vector.segment));
            if !keys.contains(&key) && !moved.contains(&key) {
                replaced.push(vector.clone());
                continue;
            }
            superseded.push(file(vector));
            // Once, where the first one was.
            replaced.extend(vectors.remove(&key));
        }
        // Where rows have moved to, the transaction has no vectors of its own.
        let new = |key: &(u64, SegmentKey)| key.0 == *table && !own_keys.contains(key);
        while let Some(key) = vectors.keys().find(|key| new(key)).copied() {
            replaced.extend(vectors.remove(&key));
        }
        merged.push(CatalogChange::ReplaceVectors { table: *table, vectors: replaced });
    }
    Merged { changes: merged, superseded, written }
}

/// The segments of which a change replaces vectors.
fn keys_of(change: &CatalogChange) -> Vec<(u64, SegmentKey)> {
    match change {
        CatalogChange::ReplaceVectors { table, vectors } => {
            vectors.iter().map(|v| (*table, (v.datanode, v.segment))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(id: u64) -> DeleteVector {
        DeleteVector { id, file: format!("v{id}"), length: 1, rows: 1, checksum: 0 }
    }

    fn replace(table: u64, replaced: &[(u64, Option<u64>, u64)]) -> CatalogChange {
        let replaced = replaced.iter().map(|(segment, before, after)| ReplacedVector {
            datanode: 0,
            segment: *segment,
            before: *before,
            after: vector(*after),
        });
        CatalogChange::ReplaceVectors { table, vectors: replaced.collect() }
    }

    #[test]
    fn vectors_of_a_segment_become_one() {
        let changes = [
            replace(7, &[(1, None, 11), (2, Some(5), 12)]),
            CatalogChange::RemoveAllSegments { table: 8 },
            replace(7, &[(1, Some(11), 13)]),
        ];
        let grown = grown_vectors(&changes);
        let of_table: Vec<_> = grown[&7].iter().map(|(k, v)| (k.1, v.0, v.1.id)).collect();
        assert_eq!(of_table, [(1, None, 13), (2, Some(5), 12)]);

        let CatalogChange::ReplaceVectors { vectors, .. } = replace(7, &[(1, Some(20), 21)]) else {
            unreachable!()
        };
        let vectors = vectors.into_iter().map(|v| ((7, (0, 1)), v)).collect();
        let merged = with_vectors(&changes, vectors, &BTreeSet::new());
        let expected = [
            replace(7, &[(1, Some(20), 21), (2, Some(5), 12)]),
            CatalogChange::RemoveAllSegments { table: 8 },
            replace(7, &[]),
        ];
        assert_eq!(merged.changes, expected);
        let node = DatanodeId(0);
        assert_eq!(merged.superseded, [(node, "v11".into()), (node, "v13".into())]);
        assert_eq!(merged.written, [(node, "v21".into())]);
    }

    #[test]
    fn vectors_go_where_the_rows_have_gone() {
        let changes = [
            replace(7, &[(1, None, 11), (2, None, 12), (3, None, 13)]),
            CatalogChange::RemoveAllSegments { table: 8 },
            replace(7, &[(1, Some(11), 14)]),
        ];
        let CatalogChange::ReplaceVectors { vectors, .. } = replace(7, &[(5, None, 21)]) else {
            unreachable!()
        };
        let vectors = vectors.into_iter().map(|v| ((7, (0, 5)), v)).collect();
        let moved = [(7, (0, 1)), (7, (0, 3))].into();
        let merged = with_vectors(&changes, vectors, &moved);
        let expected = [
            replace(7, &[(2, None, 12), (5, None, 21)]),
            CatalogChange::RemoveAllSegments { table: 8 },
            replace(7, &[]),
        ];
        assert_eq!(merged.changes, expected);
        let node = DatanodeId(0);
        let superseded = [(node, "v11".into()), (node, "v13".into()), (node, "v14".into())];
        assert_eq!(merged.superseded, superseded);
    }
}
