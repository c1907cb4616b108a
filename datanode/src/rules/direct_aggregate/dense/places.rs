//! What is kept of each place: plain arrays by place.

use super::{
    super::spec::{Spec, Table, TableKind},
    Dense,
};

/// The rows, the NULLs and the tables of each place.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) rows: Vec<u32>,
    /// Rows that are NULL, by [`Spec::nulls`]; empty: there was none.
    pub(super) missing: Vec<Vec<u32>>,
    /// By [`Spec::tables`].
    pub(super) tables: Vec<Kept>,
}

/// A value of each place.
#[derive(Debug)]
pub(super) enum Kept {
    /// 64 bits hold the sum of all rows, whatever they are.
    Sums(Vec<i64>),
    WideSums(Vec<i128>),
    Least(Vec<i64>),
    Greatest(Vec<i64>),
}

impl Kept {
    fn new(table: &Table, dense: &Dense) -> Self {
        match table.kind {
            TableKind::Sum if is_narrow(table, dense) => Self::Sums(vec![0; dense.places]),
            TableKind::Sum => Self::WideSums(vec![0; dense.places]),
            TableKind::Least => Self::Least(vec![i64::MAX; dense.places]),
            TableKind::Greatest => Self::Greatest(vec![i64::MIN; dense.places]),
        }
    }

    /// Bytes of a place.
    fn width(table: &Table, dense: &Dense) -> usize {
        match table.kind {
            TableKind::Sum if !is_narrow(table, dense) => size_of::<i128>(),
            TableKind::Sum | TableKind::Least | TableKind::Greatest => size_of::<i64>(),
        }
    }

    /// What changes nothing: the value of a place without rows.
    pub(super) fn identity(&self) -> i64 {
        match self {
            Self::Sums(_) | Self::WideSums(_) => 0,
            Self::Least(_) => i64::MAX,
            Self::Greatest(_) => i64::MIN,
        }
    }

    /// Adds a value to each of some places, which may repeat.
    fn add(&mut self, places: &[u32], values: &[i64]) {
        match self {
            Self::Sums(sums) => fold_at(sums, places, values, i64::wrapping_add),
            Self::WideSums(sums) => {
                fold_at(sums, places, values, |sum, value| sum.wrapping_add(i128::from(value)));
            }
            Self::Least(least) => fold_at(least, places, values, i64::min),
            Self::Greatest(greatest) => fold_at(greatest, places, values, i64::max),
        }
    }

    /// Both are of the same table.
    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Sums(own), Self::Sums(other)) => fold_all(own, other, i64::wrapping_add),
            (Self::WideSums(own), Self::WideSums(other)) => {
                fold_all(own, other, i128::wrapping_add);
            }
            (Self::Least(own), Self::Least(other)) => fold_all(own, other, i64::min),
            (Self::Greatest(own), Self::Greatest(other)) => fold_all(own, other, i64::max),
            (
                Self::Sums(_) | Self::WideSums(_) | Self::Least(_) | Self::Greatest(_),
                Self::Sums(_) | Self::WideSums(_) | Self::Least(_) | Self::Greatest(_),
            ) => {}
        }
    }
}

fn is_narrow(table: &Table, dense: &Dense) -> bool {
    u128::from(table.magnitude) * u128::from(dense.rows) <= i64::MAX as u128
}

impl Places {
    /// Without any rows.
    pub(super) fn new(spec: &Spec, dense: &Dense) -> Self {
        Self {
            rows: vec![0; dense.places],
            missing: vec![Vec::new(); spec.nulls.len()],
            tables: spec.tables.iter().map(|table| Kept::new(table, dense)).collect(),
        }
    }

    /// Bytes of memory, if there are NULLs wherever they can be.
    pub(super) fn bytes(spec: &Spec, dense: &Dense) -> usize {
        let nulls = spec.nulls.iter().filter(|columns| !columns.is_empty()).count();
        let tables: usize = spec.tables.iter().map(|table| Kept::width(table, dense)).sum();
        ((1 + nulls) * size_of::<u32>() + tables).saturating_mul(dense.places)
    }

    /// Counts a row at each of some places.
    pub(super) fn count(&mut self, places: &[u32]) {
        for place in places {
            if let Some(rows) = self.rows.get_mut(*place as usize) {
                *rows = rows.wrapping_add(1);
            }
        }
    }

    /// Counts the NULLs of rows at some places; `mask`: all bits of those that are not NULL, none of
    /// the others.
    pub(super) fn count_missing(&mut self, nulls: usize, places: &[u32], mask: &[i64]) {
        let all = self.rows.len();
        let Some(missing) = self.missing.get_mut(nulls) else { return };
        missing.resize(all, 0);
        fold_at(missing, places, mask, |missing, bits| missing.wrapping_add((bits + 1) as u32));
    }

    /// Adds values to a table.
    pub(super) fn add(&mut self, table: usize, places: &[u32], values: &[i64]) {
        if let Some(kept) = self.tables.get_mut(table) {
            kept.add(places, values);
        }
    }

    /// Adds what others know of the same places.
    pub(super) fn merge(&mut self, other: Self) {
        fold_all(&mut self.rows, &other.rows, u32::wrapping_add);
        for (own, other) in self.missing.iter_mut().zip(other.missing) {
            match own.is_empty() {
                true => *own = other,
                false => fold_all(own, &other, u32::wrapping_add),
            }
        }
        for (own, other) in self.tables.iter_mut().zip(&other.tables) {
            own.merge(other);
        }
    }
}

#[inline(always)]
fn fold_at<T: Copy>(kept: &mut [T], places: &[u32], values: &[i64], fold: impl Fn(T, i64) -> T) {
    for (place, value) in places.iter().zip(values) {
        if let Some(kept) = kept.get_mut(*place as usize) {
            *kept = fold(*kept, *value);
        }
    }
}

#[inline(always)]
fn fold_all<T: Copy>(own: &mut [T], other: &[T], fold: impl Fn(T, T) -> T) {
    for (own, other) in own.iter_mut().zip(other) {
        *own = fold(*own, *other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::narrow::{Operand, Program};

    /// Of a sum of values up to `magnitude`, a least and a greatest value, for 5 rows at 3 places.
    fn places(magnitude: u64) -> Places {
        let table = |kind| Table { kind, operand: Operand::Input(0), magnitude, nulls: 1 };
        let spec = Spec {
            keys: Vec::new(),
            dense: None,
            program: Program::default(),
            tables: [TableKind::Sum, TableKind::Least, TableKind::Greatest].map(table).to_vec(),
            nulls: vec![Vec::new(), vec![0]],
            states: Vec::new(),
            raw: Vec::new(),
        };
        let dense = Dense { places: 3, rows: 5, partitions: 1 };
        let narrow = magnitude <= i64::MAX as u64 / 5;
        assert_eq!(Places::bytes(&spec, &dense), 3 * (2 * 4 + if narrow { 24 } else { 32 }));
        Places::new(&spec, &dense)
    }

    fn add(places: &mut Places, at: &[u32], values: &[i64]) {
        places.count(at);
        (0..3).for_each(|table| places.add(table, at, values));
    }

    fn check(places: &Places, rows: &[u32], sums: &[i128], least: &[i64], greatest: &[i64]) {
        assert_eq!(places.rows, rows);
        let found: Vec<i128> = match &places.tables[0] {
            Kept::Sums(sums) => sums.iter().map(|sum| i128::from(*sum)).collect(),
            Kept::WideSums(sums) => sums.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, sums);
        let extremes = |kept: &Kept| match kept {
            Kept::Least(values) | Kept::Greatest(values) => values.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(extremes(&places.tables[1]), least);
        assert_eq!(extremes(&places.tables[2]), greatest);
    }

    #[test]
    fn what_two_know_is_what_one_would() {
        // Five times the second is the last sum that 64 bits hold.
        for value in [3, i64::MAX / 5, i64::MAX / 5 + 1, i64::MAX] {
            let mut one = places(value as u64);
            add(&mut one, &[2, 0, 2], &[value, -value, value]);
            let mut other = places(value as u64);
            add(&mut other, &[2, 2], &[value, value - 1]);
            other.count_missing(1, &[2, 2], &[0, -1]);
            one.merge(other);
            let wide = i128::from(value);
            let sums = [-wide, 0, 4 * wide - 1];
            check(
                &one,
                &[1, 0, 4],
                &sums,
                &[-value, i64::MAX, value - 1],
                &[-value, i64::MIN, value],
            );
            assert_eq!(one.missing, [vec![], vec![0, 0, 1]]);
            let mut third = places(value as u64);
            third.count_missing(1, &[0], &[0]);
            third.merge(one);
            assert_eq!(third.missing, [vec![], vec![1, 0, 1]]);
            check(
                &third,
                &[1, 0, 4],
                &sums,
                &[-value, i64::MAX, value - 1],
                &[-value, i64::MIN, value],
            );
        }
    }
}
