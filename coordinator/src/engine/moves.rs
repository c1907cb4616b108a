//! Where the rows of segments are that have been written anew: a transaction that began before, and has
//! deleted some of them, finds them there when it commits (`session/transaction/merge.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_planner::catalog::Segment;
use kestrel_proto::message::{Move, MovedPart, RewriteSegmentsRequest, VectorDifference};
use parking_lot::Mutex;

/// Datanode and id.
pub type SegmentKey = (u32, u64);

/// Segments whose rows have moved, as long as somebody reads a version that has them. It is not
/// durable: what began before a crash does not commit after it.
#[derive(Debug, Default)]
pub struct Moves {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_segment: BTreeMap<SegmentKey, Moved>,
    /// The segments that are gone from a version on; what is not among them is perhaps not gone yet.
    by_version: BTreeMap<u64, Vec<SegmentKey>>,
}

/// A segment's rows, but for those that were deleted in it, went on into others.
#[derive(Clone, Debug)]
struct Moved {
    step: Step,
    into: Vec<Destination>,
}

/// A segment on the way of rows.
#[derive(Clone, Debug)]
pub struct Step {
    /// As it was when its rows were read.
    pub segment: Arc<Segment>,
    /// The order by which its rows were sorted with others; `None`: they were not.
    pub sorted: Option<Arc<RewriteSegmentsRequest>>,
    /// The number of its first row in the next segment; see `message::Move`.
    pub first_row: i64,
    /// Rows of the next segment.
    pub rows: u64,
}

#[derive(Clone, Copy, Debug)]
struct Destination {
    id: u64,
    first_row: i64,
    rows: u64,
}

/// The rows that were deleted in the first segment of a way, for the datanode that has them where it
/// ends. `None`: all that were not deleted when they moved.
pub fn moved_part(difference: Option<VectorDifference>, way: &[Step]) -> MovedPart {
    let way = way.iter().map(|step| Move {
        segment: Some(step.segment.to_message_without_summary()),
        first_row: step.first_row,
        rows: step.rows,
        sorted: step.sorted.as_ref().map_or(0, |order| order.transaction_id),
    });
    MovedPart { difference, way: way.collect() }
}

impl Moves {
    /// The rows of `old`, in this order or in that of `order` if it names clustering columns, are those
    /// of `new`: all on one datanode. They have moved as soon as a catalog's version says so, which
    /// [`Self::settle`] tells.
    pub fn note(&self, old: &[Arc<Segment>], new: &[Segment], order: RewriteSegmentsRequest) {
        let sorted = (!order.cluster_by.is_empty()).then(|| Arc::new(order));
        let is_sorted = sorted.is_some();
        let moved = &mut self.known.lock().by_segment;
        let mut first = 0;
        for segment in old {
            let end = first + segment.live_rows();
            let mut from = 0;
            let mut into = Vec::new();
            for target in new {
                // Which rows a sort has brought there, only the datanode can tell.
                let has_some = is_sorted || from < end && first < from + target.rows;
                if has_some {
                    let of_all = if is_sorted { 0 } else { first };
                    let first_row = of_all.cast_signed() - from.cast_signed();
                    into.push(Destination { id: target.id, first_row, rows: target.rows });
                }
                from += target.rows;
            }
            // Nobody asks for its values' bounds.
            let plain = Segment { zone_summary: Vec::new(), ..segment.as_ref().clone() };
            let (plain, sorted) = (Arc::new(plain), sorted.clone());
            let step = Step { segment: plain, sorted, first_row: 0, rows: 0 };
            moved.insert((segment.datanode, segment.id), Moved { step, into });
            first = end;
        }
    }

    /// What was noted of these segments is so from this version on; `None`: it is not.
    pub fn settle(&self, old: &[Arc<Segment>], version: Option<u64>) {
        let known = &mut *self.known.lock();
        let keys = old.iter().map(|segment| (segment.datanode, segment.id));
        match version {
            Some(version) => known.by_version.entry(version).or_default().extend(keys),
            None => keys.for_each(|key| drop(known.by_segment.remove(&key))),
        }
    }

    /// Where the rows of a segment are among those that `is_present`: each of these with the way there.
    /// `None`: some of them are nowhere, since somebody has deleted them.
    pub fn ways(
        &self,
        from: SegmentKey,
        is_present: impl Fn(SegmentKey) -> bool,
    ) -> Option<Vec<(SegmentKey, Vec<Step>)>> {
        let moved = &self.known.lock().by_segment;
        let mut found = Vec::new();
        // Each with the way that led there.
        let mut open = vec![(from, Vec::new())];
        while let Some((key, way)) = open.pop() {
            if !way.is_empty() && is_present(key) {
                found.push((key, way));
                continue;
            }
            let Moved { step, into, .. } = moved.get(&key)?;
            for Destination { id, first_row, rows } in into.iter().rev() {
                let step = Step { first_row: *first_row, rows: *rows, ..step.clone() };
                let way = way.iter().cloned().chain([step]).collect();
                open.push(((key.0, *id), way));
            }
        }
        Some(found)
    }

    /// The orders by which rows were sorted on these ways, all on one datanode, each once.
    pub fn sorts<'a>(
        &self,
        datanode: u32,
        parts: impl Iterator<Item = &'a MovedPart>,
    ) -> Vec<RewriteSegmentsRequest> {
        let moved = &self.known.lock().by_segment;
        let mut orders = BTreeMap::new();
        for step in parts.flat_map(|part| &part.way).filter(|step| step.sorted != 0) {
            let key = step.segment.as_ref().map(|segment| (datanode, segment.id));
            let order = key.and_then(|key| moved.get(&key)?.step.sorted.as_ref());
            if let Some(order) = order {
                orders.entry(step.sorted).or_insert(order);
            }
        }
        orders.into_values().map(|order| order.as_ref().clone()).collect()
    }

    /// Forgets what no running transaction can ask for: those of versions from `oldest_read` on.
    pub fn forget_older_than(&self, oldest_read: Option<u64>) {
        let known = &mut *self.known.lock();
        let read = oldest_read.map(|oldest| known.by_version.split_off(&oldest.saturating_add(1)));
        let unread = std::mem::replace(&mut known.by_version, read.unwrap_or_default());
        for key in unread.into_values().flatten() {
            known.by_segment.remove(&key);
        }
    }

    /// Whether all rows of these segments were in others, of `known`.
    pub fn come_from(&self, segments: &[SegmentKey], known: &BTreeSet<SegmentKey>) -> bool {
        if segments.is_empty() {
            return true;
        }
        let moved = &self.known.lock().by_segment;
        // What rows have come from, step by step back.
        let mut sources: BTreeMap<SegmentKey, Vec<SegmentKey>> = BTreeMap::new();
        for (key, moved) in moved.iter() {
            for destination in &moved.into {
                sources.entry((key.0, destination.id)).or_default().push(*key);
            }
        }
        let mut open = segments.to_vec();
        while let Some(key) = open.pop() {
            if known.contains(&key) {
                continue;
            }
            match sources.get(&key) {
                Some(sources) => open.extend(sources),
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: u64, rows: u64) -> Segment {
        Segment {
            datanode: 1,
            id,
            kind: 0,
            file: format!("f{id}"),
            offset: 0,
            length: 1,
            rows,
            bytes: 1,
            zone_summary: Vec::new(),
            deletes: None,
            checksum: 0,
        }
    }

    fn old(segments: &[(u64, u64)]) -> Vec<Arc<Segment>> {
        segments.iter().map(|(id, rows)| Arc::new(segment(*id, *rows))).collect()
    }

    fn new(segments: &[(u64, u64)]) -> Vec<Segment> {
        segments.iter().map(|(id, rows)| segment(*id, *rows)).collect()
    }

    fn in_order() -> RewriteSegmentsRequest {
        RewriteSegmentsRequest::default()
    }

    /// Each segment that is reached, with the steps to it: from where, and the first row's number.
    fn ways(moves: &Moves, from: u64, present: &[u64]) -> Vec<(u64, Vec<(u64, i64)>)> {
        let ways = moves.ways((1, from), |(_, id)| present.contains(&id)).unwrap_or_default();
        let steps = |way: Vec<Step>| way.iter().map(|s| (s.segment.id, s.first_row)).collect();
        ways.into_iter().map(|((_, id), way)| (id, steps(way))).collect()
    }

    #[test]
    fn rows_are_found_where_they_went() {
        let moves = Moves::default();
        let first = old(&[(1, 10), (2, 5), (3, 20)]);
        moves.note(&first, &new(&[(11, 12), (12, 23)]), in_order());
        moves.settle(&first, Some(5));
        assert_eq!(ways(&moves, 1, &[11, 12]), [(11, vec![(1, 0)])]);
        // Its first two rows are the last of one segment, the others the first of the next.
        assert_eq!(ways(&moves, 2, &[11, 12]), [(11, vec![(2, 10)]), (12, vec![(2, -2)])]);
        assert_eq!(ways(&moves, 3, &[11, 12]), [(12, vec![(3, 3)])]);
        assert_eq!(ways(&moves, 9, &[11, 12]), []);
        assert!(moves.ways((1, 2), |(_, id)| id == 11).is_none());
        // Once more.
        let second = old(&[(12, 23), (4, 1)]);
        moves.note(&second, &new(&[(21, 24)]), in_order());
        moves.settle(&second, Some(7));
        let both = [(11, vec![(2, 10)]), (21, vec![(2, -2), (12, 0)])];
        assert_eq!(ways(&moves, 2, &[11, 21]), both);
        let key = |id| (1, id);
        let known = |ids: &[u64]| ids.iter().map(|id| key(*id)).collect::<BTreeSet<_>>();
        assert!(moves.come_from(&[key(21)], &known(&[1, 2, 3, 4])));
        assert!(moves.come_from(&[key(21), key(9)], &known(&[12, 4, 9])));
        assert!(!moves.come_from(&[key(21)], &known(&[1, 2, 3])));
        assert!(!moves.come_from(&[key(9)], &known(&[1, 2, 3])));
    }

    #[test]
    fn what_nobody_reads_is_forgotten() {
        let moves = Moves::default();
        let (given_up, done) = (old(&[(1, 1)]), old(&[(2, 1)]));
        moves.note(&given_up, &new(&[(11, 1)]), in_order());
        moves.note(&done, &new(&[(12, 1)]), in_order());
        moves.settle(&given_up, None);
        // Perhaps it is committed just now.
        moves.forget_older_than(None);
        assert_eq!(ways(&moves, 1, &[11]), []);
        assert_eq!(ways(&moves, 2, &[12]).len(), 1);
        moves.settle(&done, Some(5));
        moves.forget_older_than(Some(4));
        assert_eq!(ways(&moves, 2, &[12]).len(), 1);
        moves.forget_older_than(Some(5));
        assert_eq!(ways(&moves, 2, &[12]), []);
    }

    #[test]
    fn sorted_rows_may_be_in_any_segment() {
        let moves = Moves::default();
        let first = old(&[(1, 10), (2, 5)]);
        let order = RewriteSegmentsRequest {
            transaction_id: 77,
            cluster_by: vec![1],
            ..RewriteSegmentsRequest::default()
        };
        moves.note(&first, &new(&[(11, 12), (12, 3)]), order.clone());
        moves.settle(&first, Some(5));
        for from in [1, 2] {
            let expected = [(11, vec![(from, 0)]), (12, vec![(from, -12)])];
            assert_eq!(ways(&moves, from, &[11, 12]), expected);
        }
        // Then in their order.
        let second = old(&[(12, 3)]);
        moves.note(&second, &new(&[(21, 3)]), in_order());
        moves.settle(&second, Some(6));
        let expected = [(11, vec![(1, 0)]), (21, vec![(1, -12), (12, 0)])];
        assert_eq!(ways(&moves, 1, &[11, 21]), expected);
        let ways = moves.ways((1, 1), |(_, id)| [11, 21].contains(&id)).unwrap();
        let parts: Vec<_> = ways.iter().map(|(_, way)| moved_part(None, way)).collect();
        let sorted: Vec<Vec<u64>> =
            parts.iter().map(|part| part.way.iter().map(|step| step.sorted).collect()).collect();
        assert_eq!(sorted, [vec![77], vec![77, 0]]);
        assert_eq!(moves.sorts(1, parts.iter()), [order]);
        assert_eq!(moves.sorts(2, parts.iter()), []);
    }
}
