//! What is known of a segment, a piece or a zone before its rows are looked at: from least, greatest,
//! NULLs.

use std::{collections::HashMap, sync::Arc};

use kestrel_proto::message::SegmentRef;

use super::{
    super::chunk::{Chunk, Zone},
    conjuncts::{Comparison, Conjunct, Conjuncts, Test},
    integers::{Verdict, integer_of},
};
use crate::{
    runtime_filter::KeySet,
    shard::columnar::{bounds::ColumnBounds, summary, table::TableOfScan},
};

/// What is known of columns, by their slots.
pub(super) trait Known {
    /// Of a column of integers; of any other, NULLs alone count.
    fn integers(&self, slot: usize) -> Option<Zone>;

    /// Least and greatest of a column of strings, or what is less and greater still.
    fn strings(&self, slot: usize) -> Option<(String, String)>;
}

/// Whether some row of a piece may pass all conjuncts; `bounds`: what its file says of a column of
/// the table.
pub(super) fn piece_may_pass(
    conjuncts: &Conjuncts,
    table: &TableOfScan,
    rows: usize,
    bounds: &dyn Fn(usize) -> Option<ColumnBounds>,
) -> bool {
    let of_piece = OfPiece { conjuncts, table, rows, bounds };
    conjuncts.list.iter().all(|conjunct| verdict(conjunct, &of_piece) != Verdict::None)
}

/// Whether some row of a segment may pass all conjuncts, by what the catalog says of it.
pub(super) fn segment_may_pass(
    conjuncts: &Conjuncts,
    table: &TableOfScan,
    segment: &SegmentRef,
) -> bool {
    let rows = usize::try_from(segment.rows).unwrap_or(usize::MAX);
    let zones = summary::zones(segment, rows);
    let of_segment = OfSegment { conjuncts, table, zones };
    conjuncts.list.iter().all(|conjunct| verdict(conjunct, &of_segment) != Verdict::None)
}

/// What is known of a conjunct in the rows that `known` tells of.
pub(super) fn verdict(conjunct: &Conjunct, known: &dyn Known) -> Verdict {
    let of_zone = |slot: &usize, verdict: &dyn Fn(&Zone) -> Verdict| {
        known.integers(*slot).map_or(Verdict::Some, |zone| verdict(&zone))
    };
    match &conjunct.test {
        Test::Integers { slot, test } => of_zone(slot, &|zone| test.verdict(zone)),
        Test::Nulls { slot, passes } => of_zone(slot, &|zone| of_nulls(zone, *passes)),
        Test::Columns { left, right, passes } => {
            match (known.integers(*left), known.integers(*right)) {
                (Some(left), Some(right)) => of_columns(&left, &right, *passes),
                _ => Verdict::Some,
            }
        }
        Test::Keys { slot, filter } => match filter.keys() {
            Some(KeySet::Empty) => Verdict::None,
            Some(keys) => of_zone(slot, &|zone| of_keys(zone, keys)),
            None => Verdict::Some,
        },
        Test::Any(branches) => of_any(branches, known),
        Test::Strings { .. } | Test::Rows => of_string_bound(conjunct, known),
    }
}

fn of_nulls(zone: &Zone, passes: bool) -> Verdict {
    let is_all = (zone.nulls == zone.rows && passes) || (zone.nulls == 0 && !passes);
    let is_none = (zone.nulls == zone.rows && !passes) || (zone.nulls == 0 && passes);
    match (is_all, is_none) {
        (true, _) => Verdict::All,
        (_, true) => Verdict::None,
        _ => Verdict::Some,
    }
}

fn of_columns(left: &Zone, right: &Zone, passes: Comparison) -> Verdict {
    if left.min > left.max || right.min > right.max {
        return Verdict::None;
    }
    let less = left.min < right.max;
    let greater = left.max > right.min;
    let equal = left.min <= right.max && left.max >= right.min;
    let some = (less && passes.less) || (equal && passes.equal) || (greater && passes.greater);
    let all = (!less || passes.less) && (!equal || passes.equal) && (!greater || passes.greater);
    match (some, all && left.nulls == 0 && right.nulls == 0) {
        (false, _) => Verdict::None,
        (_, true) => Verdict::All,
        _ => Verdict::Some,
    }
}

fn of_keys(zone: &Zone, keys: &KeySet) -> Verdict {
    let may_be = zone.min <= zone.max && keys.may_contain_between(zone.min, zone.max);
    if may_be { Verdict::Some } else { Verdict::None }
}

fn of_any(branches: &[Vec<Conjunct>], known: &dyn Known) -> Verdict {
    let mut any = Verdict::None;
    for branch in branches {
        let verdicts = || branch.iter().map(|conjunct| verdict(conjunct, known));
        if verdicts().any(|verdict| verdict == Verdict::None) {
            continue;
        }
        if verdicts().all(|verdict| verdict == Verdict::All) {
            return Verdict::All;
        }
        any = Verdict::Some;
    }
    any
}

fn of_string_bound(conjunct: &Conjunct, known: &dyn Known) -> Verdict {
    let Some(bound) = &conjunct.bound else { return Verdict::Some };
    let Some((min, max)) = known.strings(bound.slot) else { return Verdict::Some };
    // Bounds that are only near are on the safe side of both.
    let constant = bound.constant.as_str();
    let less = min.as_str() < constant;
    let greater = max.as_str() > constant;
    let equal = min.as_str() <= constant && max.as_str() >= constant;
    let passes = bound.passes;
    let some = (less && passes.less) || (equal && passes.equal) || (greater && passes.greater);
    if some { Verdict::Some } else { Verdict::None }
}

/// A segment, as the catalog describes it.
struct OfSegment<'a> {
    conjuncts: &'a Conjuncts,
    table: &'a TableOfScan,
    /// By column id.
    zones: HashMap<u32, Zone>,
}

impl Known for OfSegment<'_> {
    fn integers(&self, slot: usize) -> Option<Zone> {
        let column = *self.conjuncts.columns.get(slot)?;
        self.zones.get(self.table.column_ids.get(column)?).copied()
    }

    fn strings(&self, _: usize) -> Option<(String, String)> {
        None
    }
}

/// A piece, as its file's statistics describe it.
struct OfPiece<'a> {
    conjuncts: &'a Conjuncts,
    table: &'a TableOfScan,
    rows: usize,
    bounds: &'a dyn Fn(usize) -> Option<ColumnBounds>,
}

impl OfPiece<'_> {
    fn bounds_of(&self, slot: usize) -> Option<(usize, ColumnBounds)> {
        let column = *self.conjuncts.columns.get(slot)?;
        Some((column, (self.bounds)(column)?))
    }
}

impl Known for OfPiece<'_> {
    fn integers(&self, slot: usize) -> Option<Zone> {
        let (column, bounds) = self.bounds_of(slot)?;
        let data_type = self.table.schema.fields().get(column)?.data_type();
        let nulls = bounds.nulls.and_then(|nulls| usize::try_from(nulls).ok());
        if nulls == Some(self.rows) {
            return Some(Zone { min: 1, max: 0, nulls: self.rows, rows: self.rows });
        }
        let min = integer_of(&bounds.min, data_type)?;
        let max = integer_of(&bounds.max, data_type)?;
        // Where NULLs are not counted, there may be some, and some values.
        let (nulls, rows) = nulls.map_or((1, usize::MAX), |nulls| (nulls, self.rows));
        Some(Zone { min, max, nulls, rows })
    }

    fn strings(&self, slot: usize) -> Option<(String, String)> {
        let (_, bounds) = self.bounds_of(slot)?;
        let text = |value: &datafusion::common::ScalarValue| {
            value.try_as_str().flatten().map(str::to_string)
        };
        Some((text(&bounds.min)?, text(&bounds.max)?))
    }
}

/// A zone of a piece, as its chunks describe it.
pub(super) struct OfZone<'a> {
    /// By slot.
    pub(super) chunks: &'a [Arc<Chunk>],
    /// Its number in the piece.
    pub(super) zone: usize,
}

impl Known for OfZone<'_> {
    fn integers(&self, slot: usize) -> Option<Zone> {
        self.chunks.get(slot)?.zones()?.get(self.zone).copied()
    }

    fn strings(&self, _: usize) -> Option<(String, String)> {
        None
    }
}
