//! The groups that there are: places with rows, some at a time.

use super::{
    super::{
        accumulation::{Total, Totals},
        groups::{Codes, MAX_KEYS},
        spec::Spec,
    },
    gather::Held,
    places::Kept,
};

/// Places that are looked at together: most often all have rows, or none.
const BLOCK: usize = 64;

/// Goes through the places of all rows.
#[derive(Debug)]
pub(super) struct Groups {
    held: Held,
    /// Places that have been looked at.
    seen: usize,
}

impl Groups {
    pub(super) fn new(held: Held) -> Self {
        Self { held, seen: 0 }
    }

    /// What is known of the next groups, about `most` of them; `None`: that was all.
    pub(super) fn next(&mut self, spec: &Spec, most: usize) -> Option<Totals> {
        let found = self.find(most);
        if found.is_empty() {
            return None;
        }
        let places = &self.held.places;
        let rows = picked(&places.rows, &found);
        let missing = (0..spec.nulls.len()).map(|nulls| places.missing.get(nulls));
        let counts = missing.map(|missing| match missing {
            Some(missing) if !missing.is_empty() => {
                let missing = picked(missing, &found);
                rows.iter().zip(missing).map(|(rows, none)| i64::from(rows - none)).collect()
            }
            _ => rows.iter().map(|rows| i64::from(*rows)).collect(),
        });
        let counts = counts.collect();
        let tables = places.tables.iter().map(|kept| match kept {
            Kept::Sums(sums) => {
                Total::Sums(picked(sums, &found).into_iter().map(i128::from).collect())
            }
            Kept::WideSums(sums) => Total::Sums(picked(sums, &found)),
            Kept::Least(values) | Kept::Greatest(values) => Total::Extremes(picked(values, &found)),
        });
        let tables = tables.collect();
        Some(Totals { groups: found.into_iter().map(codes).collect(), counts, tables })
    }

    fn find(&mut self, most: usize) -> Vec<u32> {
        let mut found = Vec::with_capacity(most.max(BLOCK));
        while found.is_empty() || found.len() + BLOCK <= most {
            let end = self.held.places.rows.len().min(self.seen + BLOCK);
            let Some(block) = self.held.places.rows.get(self.seen..end) else { break };
            if block.is_empty() {
                break;
            }
            if block.iter().fold(0, |all, rows| all | rows) != 0 {
                let places = self.seen as u32..end as u32;
                let with_rows = block.iter().zip(places).filter(|(rows, _)| **rows != 0);
                found.extend(with_rows.map(|(_, place)| place));
            }
            self.seen = end;
        }
        found
    }
}

/// A place is the code of the only key.
fn codes(place: u32) -> Codes {
    let mut codes = [0; MAX_KEYS];
    codes[0] = place;
    codes
}

/// All places are there.
fn picked<T: Copy + Default>(values: &[T], places: &[u32]) -> Vec<T> {
    let value = |place: &u32| values.get(*place as usize).copied().unwrap_or_default();
    places.iter().map(value).collect()
}
