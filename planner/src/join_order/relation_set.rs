//! Sets of a join tree's relations.

use std::fmt;

/// Relations by their numbers, 0 … 63.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationSet(u64);

impl RelationSet {
    /// So many relations fit.
    pub const MAX: usize = 64;
    /// None.
    pub const EMPTY: Self = Self(0);

    /// One relation, if its number fits.
    pub fn of(relation: usize) -> Self {
        Self(1u64.checked_shl(u32::try_from(relation).unwrap_or(u32::MAX)).unwrap_or(0))
    }

    /// The first so many relations.
    pub fn first_ones(count: usize) -> Self {
        Self(if count >= Self::MAX { u64::MAX } else { (1u64 << count) - 1 })
    }

    /// Those up to this one, and it.
    pub fn up_to(relation: usize) -> Self {
        Self::first_ones(relation + 1)
    }

    /// Those of either.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those of this one alone.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// None?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Are all in the other?
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Is one in the other?
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The one with the lowest number, alone.
    pub fn lowest(self) -> Self {
        Self(self.0 & self.0.wrapping_neg())
    }

    /// The lowest number.
    pub fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// All numbers, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = usize> {
        let end = Self::MAX - self.0.leading_zeros() as usize;
        (0..end).filter(move |relation| self.0 >> relation & 1 == 1)
    }

    /// All subsets but the empty one, smaller ones before those that contain them.
    pub fn subsets(self) -> impl Iterator<Item = Self> {
        let next = move |subset: &Self| {
            let next = subset.0.wrapping_sub(self.0) & self.0;
            (next != 0).then_some(Self(next))
        };
        std::iter::successors((self.0 != 0).then(|| self.lowest()), next)
    }
}

impl FromIterator<usize> for RelationSet {
    fn from_iter<I: IntoIterator<Item = usize>>(relations: I) -> Self {
        relations.into_iter().fold(Self::EMPTY, |set, relation| set.union(Self::of(relation)))
    }
}

impl fmt::Debug for RelationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
