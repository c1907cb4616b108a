//! Conjuncts over the chunks of a piece, zone by zone.

use std::{ops::Range, sync::Arc};

use datafusion::error::{DataFusionError, Result};

use super::{
    super::chunk::{Chunk, Values},
    coded::CodeTest,
    conjuncts::{Comparison, Conjunct, Test},
    integers::{Verdict, part},
    prune::{self, OfZone},
    selection::Selection,
};
use crate::runtime_filter::KeySet;

/// How a conjunct is decided over the chunks of one piece.
#[derive(Debug)]
pub(super) enum Prepared {
    /// By its test.
    Test,
    /// By the codes of its column.
    Codes(CodeTest),
    /// By its expression.
    Rows,
    /// Each of the branches.
    Any(Vec<Vec<Prepared>>),
    /// Every row passes, since its keys are not known yet, or not of use for this column.
    Pass,
}

/// A conjunct's way to its decision.
pub(super) fn prepare(conjunct: &Conjunct, chunks: &[Arc<Chunk>]) -> Prepared {
    let by = |slots: &[usize]| {
        let integers = |slot: &usize| chunks.get(*slot).is_some_and(|c| has_integers(c.values()));
        if slots.iter().all(integers) { Prepared::Test } else { Prepared::Rows }
    };
    match &conjunct.test {
        Test::Integers { slot, .. } => by(&[*slot]),
        Test::Columns { left, right, .. } => by(&[*left, *right]),
        Test::Nulls { .. } => Prepared::Test,
        Test::Strings { slot } => {
            let codes = match (&conjunct.expr, chunks.get(*slot)) {
                (Some(expr), Some(chunk)) => CodeTest::of_expr(expr, chunk),
                _ => None,
            };
            codes.map_or(Prepared::Rows, Prepared::Codes)
        }
        Test::Keys { slot, filter } => match (filter.keys(), chunks.get(*slot)) {
            (Some(keys), Some(chunk)) => prepare_keys(keys, chunk.values()),
            _ => Prepared::Pass,
        },
        Test::Any(branches) => {
            let branch = |branch: &Vec<Conjunct>| {
                branch.iter().map(|conjunct| prepare(conjunct, chunks)).collect()
            };
            Prepared::Any(branches.iter().map(branch).collect())
        }
        Test::Rows => Prepared::Rows,
    }
}

fn prepare_keys(keys: &KeySet, values: &Values) -> Prepared {
    match values {
        Values::Coded { dictionary, .. } => {
            let codes = CodeTest::of_keys(keys, dictionary).ok().flatten();
            codes.map_or(Prepared::Pass, Prepared::Codes)
        }
        values if has_integers(values) => Prepared::Test,
        _ if matches!(keys, KeySet::Strings(_) | KeySet::Empty) => Prepared::Test,
        _ => Prepared::Pass,
    }
}

/// What is known of a conjunct in a zone beforehand.
pub(super) fn verdict(conjunct: &Conjunct, prepared: &Prepared, zone: &OfZone<'_>) -> Verdict {
    match (prepared, &conjunct.test) {
        (Prepared::Codes(codes), Test::Strings { slot } | Test::Keys { slot, .. }) => {
            let nulls = zone.chunks.get(*slot).and_then(|chunk| chunk.nulls());
            codes.verdict(nulls.is_some_and(|nulls| nulls.null_count() > 0))
        }
        (Prepared::Pass, _) => Verdict::All,
        _ => prune::verdict(conjunct, zone),
    }
}

/// The chunks of a piece and the rows of one of its zones.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// By slot.
    pub(super) chunks: &'a [Arc<Chunk>],
    pub(super) zone: &'a Range<usize>,
}

/// What evaluation needs again for every zone.
#[derive(Debug, Default)]
pub(super) struct Evaluator {
    spare: Vec<Selection>,
    marks: Vec<u8>,
    left: Vec<i64>,
    right: Vec<i64>,
}

impl Evaluator {
    /// Keeps the rows that pass.
    ///
    /// # Errors
    /// Those of the conjunct's expression.
    pub(super) fn keep(
        &mut self,
        conjunct: &Conjunct,
        prepared: &Prepared,
        target: Target<'_>,
        selection: &mut Selection,
    ) -> Result<()> {
        match (prepared, &conjunct.test) {
            (Prepared::Pass, _) => (),
            (Prepared::Any(prepared), Test::Any(branches)) => {
                return self.keep_any(branches, prepared, target, selection);
            }
            (Prepared::Codes(codes), Test::Strings { slot } | Test::Keys { slot, .. }) => {
                let chunk = target.chunk(*slot)?;
                codes.keep(chunk.values(), target.zone, selection);
                drop_nulls(chunk, target.zone, selection);
            }
            (Prepared::Test, Test::Integers { slot, test }) => {
                let chunk = target.chunk(*slot)?;
                test.keep(chunk.values(), target.zone, selection);
                drop_nulls(chunk, target.zone, selection);
            }
            (Prepared::Test, Test::Nulls { slot, passes }) => {
                keep_nulls(target.chunk(*slot)?, target.zone, *passes, selection);
            }
            (Prepared::Test, Test::Columns { left, right, passes }) => {
                let (left, right) = (target.chunk(*left)?, target.chunk(*right)?);
                self.keep_compared(left, right, *passes, target.zone, selection);
            }
            (Prepared::Test, Test::Keys { slot, filter }) => {
                if let Some(keys) = filter.keys() {
                    keep_keys(keys, target.chunk(*slot)?, target.zone, selection)?;
                }
            }
            _ => {
                if conjunct.can_fail {
                    // For no row that another conjunct has dropped.
                    selection.list();
                }
                if let Some(expr) = &conjunct.expr {
                    expr.keep(target.chunks, target.zone, selection)?;
                }
            }
        }
        Ok(())
    }

    fn keep_any(
        &mut self,
        branches: &[Vec<Conjunct>],
        prepared: &[Vec<Prepared>],
        target: Target<'_>,
        selection: &mut Selection,
    ) -> Result<()> {
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        marks.resize(selection.rows(), 0);
        for (branch, prepared) in branches.iter().zip(prepared) {
            let mut passing = self.spare.pop().unwrap_or_default();
            passing.copy_from(selection);
            for (conjunct, prepared) in branch.iter().zip(prepared) {
                if passing.alive() == 0 {
                    break;
                }
                self.keep(conjunct, prepared, target, &mut passing)?;
            }
            passing.mark(&mut marks);
            self.spare.push(passing);
        }
        selection.keep(&marks, |mark| mark != 0);
        self.marks = marks;
        Ok(())
    }

    fn keep_compared(
        &mut self,
        left: &Chunk,
        right: &Chunk,
        passes: Comparison,
        zone: &Range<usize>,
        selection: &mut Selection,
    ) {
        widen(left.values(), zone, selection.positions(), &mut self.left);
        widen(right.values(), zone, selection.positions(), &mut self.right);
        for (left, right) in self.left.iter_mut().zip(&self.right) {
            *left = i64::from(*left > *right) - i64::from(*left < *right);
        }
        let Comparison { less, equal, greater } = passes;
        selection.keep_aligned(&self.left, |outcome| {
            ((outcome < 0) & less) | ((outcome == 0) & equal) | ((outcome > 0) & greater)
        });
        drop_nulls(left, zone, selection);
        drop_nulls(right, zone, selection);
    }
}

impl<'a> Target<'a> {
    fn chunk(&self, slot: usize) -> Result<&'a Chunk> {
        let chunk = self.chunks.get(slot).map(AsRef::as_ref);
        chunk.ok_or_else(|| {
            DataFusionError::Internal("a scan filters on a column that it has not read".into())
        })
    }
}

fn has_integers(values: &Values) -> bool {
    match values {
        Values::U8 { .. } | Values::U16 { .. } | Values::U32 { .. } | Values::I64(_) => true,
        Values::Coded { .. } | Values::Plain(_) => false,
    }
}

fn drop_nulls(chunk: &Chunk, zone: &Range<usize>, selection: &mut Selection) {
    if selection.alive() > 0
        && let Some(nulls) = chunk.nulls()
    {
        let nulls = nulls.slice(zone.start, zone.len());
        if nulls.null_count() > 0 {
            selection.keep_bits(nulls.inner());
        }
    }
}

fn keep_nulls(chunk: &Chunk, zone: &Range<usize>, passes: bool, selection: &mut Selection) {
    match (chunk.nulls(), passes) {
        (Some(nulls), true) => {
            selection.keep_bits(&!nulls.slice(zone.start, zone.len()).inner());
        }
        (None, true) => selection.clear(),
        (Some(_), false) => drop_nulls(chunk, zone, selection),
        (None, false) => (),
    }
}

fn keep_keys(
    keys: &KeySet,
    chunk: &Chunk,
    zone: &Range<usize>,
    selection: &mut Selection,
) -> Result<()> {
    match (chunk.values(), keys) {
        (Values::Plain(_) | Values::Coded { .. }, _) => {
            let column = match selection.positions() {
                Some(positions) => chunk.take(zone.clone(), positions),
                None => chunk.slice(zone.clone()),
            };
            if let Some(bits) = keys.select(&column)? {
                selection.keep_bits_aligned(&bits);
            }
        }
        (values, KeySet::Bitmap { min, words, .. }) => {
            keep_integers(values, zone, selection, |key| {
                let bit = key.wrapping_sub(*min) as u64;
                words.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 == 1)
            });
        }
        (values, _) => keep_integers(values, zone, selection, |key| keys.may_contain(key)),
    }
    drop_nulls(chunk, zone, selection);
    Ok(())
}

/// Keeps the rows whose integer passes.
fn keep_integers(
    values: &Values,
    zone: &Range<usize>,
    selection: &mut Selection,
    pass: impl Fn(i64) -> bool,
) {
    match values {
        Values::U8 { base, offsets } => {
            let mut table = [false; 256];
            for (offset, passes) in table.iter_mut().enumerate() {
                *passes = pass(base.wrapping_add(offset as i64));
            }
            selection.keep(part(offsets, zone), |offset| table[usize::from(offset)]);
        }
        Values::U16 { base, offsets } => {
            let key = |offset: u16| base.wrapping_add(i64::from(offset));
            selection.keep(part(offsets, zone), |offset| pass(key(offset)));
        }
        Values::U32 { base, offsets } => {
            let key = |offset: u32| base.wrapping_add(i64::from(offset));
            selection.keep(part(offsets, zone), |offset| pass(key(offset)));
        }
        Values::I64(values) => selection.keep(part(values, zone), pass),
        Values::Coded { .. } | Values::Plain(_) => (),
    }
}

/// The integers of the rows alive, or of all where these are not listed.
fn widen(values: &Values, zone: &Range<usize>, positions: Option<&[u32]>, into: &mut Vec<i64>) {
    fn fill<T: Copy>(
        values: &[T],
        positions: Option<&[u32]>,
        into: &mut Vec<i64>,
        wide: impl Fn(T) -> i64,
    ) {
        into.clear();
        match positions {
            None => into.extend(values.iter().map(|value| wide(*value))),
            Some(positions) => {
                let value = |at: &u32| values.get(*at as usize).map_or(0, |value| wide(*value));
                into.extend(positions.iter().map(value));
            }
        }
    }
    match values {
        Values::U8 { base, offsets } => {
            fill(part(offsets, zone), positions, into, |o| base.wrapping_add(i64::from(o)));
        }
        Values::U16 { base, offsets } => {
            fill(part(offsets, zone), positions, into, |o| base.wrapping_add(i64::from(o)));
        }
        Values::U32 { base, offsets } => {
            fill(part(offsets, zone), positions, into, |o| base.wrapping_add(i64::from(o)));
        }
        Values::I64(values) => fill(part(values, zone), positions, into, |value| value),
        Values::Coded { .. } | Values::Plain(_) => into.clear(),
    }
}
