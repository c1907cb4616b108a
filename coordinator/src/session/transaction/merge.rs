//! Delete vectors at a commit, when other transactions have replaced those that this one grew. Rows
//! that both deleted are a conflict; others are put together: the datanodes write vectors with the
//! rows of both, and these are committed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use kestrel_planner::catalog::{Catalog, CatalogChange, DeleteVector, ReplacedVector, Segment};
use kestrel_proto::{
    DatanodeId, Result, TransactionId,
    message::{VectorDifference, deleted_rows::Rows},
};

use super::super::commit::removed_meanwhile;
use crate::{engine::Engine, query::write_vectors};

/// Datanode and id.
type SegmentKey = (u32, u64);

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
        for (key, (before, last)) in grown {
            let segment = present.get(&key).ok_or_else(|| removed_meanwhile(now))?;
            if segment.vector_id() == before {
                continue;
            }
            let base = then.get(&key).and_then(|segment| segment.deletes.as_ref());
            let difference = VectorDifference {
                vector: Some(last.to_message()),
                base: base.map(DeleteVector::to_message),
            };
            conflicts.push((Arc::clone(segment), Rows::Difference(difference)));
        }
        if conflicts.is_empty() {
            continue;
        }
        let written = write_vectors(&engine.cluster, transaction, now, conflicts).await?;
        vectors.extend(written.into_iter().map(|v| ((table, (v.datanode, v.segment)), v)));
    }
    Ok((!vectors.is_empty()).then(|| with_vectors(changes, vectors)))
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
            CatalogChange::AddSegments { segments, .. } => {
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

/// The changes with these vectors in the place of all that they have of the same segments.
fn with_vectors(
    changes: &[CatalogChange],
    mut vectors: BTreeMap<(u64, SegmentKey), ReplacedVector>,
) -> Merged {
    let file = |v: &ReplacedVector| (DatanodeId(v.datanode), v.after.file.clone());
    let keys: BTreeSet<_> = vectors.keys().copied().collect();
    let written = vectors.values().map(file).collect();
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
            if !keys.contains(&key) {
                replaced.push(vector.clone());
                continue;
            }
            superseded.push(file(vector));
            // Once, where the first one was.
            replaced.extend(vectors.remove(&key));
        }
        merged.push(CatalogChange::ReplaceVectors { table: *table, vectors: replaced });
    }
    Merged { changes: merged, superseded, written }
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
        let merged = with_vectors(&changes, vectors);
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
}
