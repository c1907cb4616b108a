//! Cycles without two rw edges one after the other.

use std::collections::{BTreeMap, VecDeque};

use super::dependencies::Dependency;

/// What an edge rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    WriteWrite,
    WriteRead,
    ReadWrite,
    RealTime,
}

/// Beginnings from which a shortest cycle is looked for.
const BEGINNINGS: usize = 200;

/// Transactions, each twice: as reached by a rw edge (odd), from which no rw edge goes on, and as
/// reached by another (even).
pub(super) struct Graph {
    edges: Vec<Vec<Dependency>>,
}

/// Where an edge leads from this place; `None`: nowhere.
fn target(place: usize, edge: &Dependency) -> Option<usize> {
    match edge.step {
        Step::ReadWrite if place % 2 == 1 => None,
        Step::ReadWrite => Some(edge.to * 2 + 1),
        Step::WriteWrite | Step::WriteRead | Step::RealTime => Some(edge.to * 2),
    }
}

impl Graph {
    pub(super) fn new<'e>(
        transactions: usize,
        edges: impl Iterator<Item = &'e Dependency>,
    ) -> Self {
        let mut by_start = vec![Vec::new(); transactions];
        for edge in edges {
            by_start[edge.from].push(*edge);
        }
        Self { edges: by_start }
    }

    /// A short cycle, if there is one.
    pub(super) fn cycle(&self) -> Option<Vec<Dependency>> {
        let beginnings = self.on_cycles();
        let cycles =
            beginnings.into_iter().take(BEGINNINGS).filter_map(|place| self.back_to(place));
        cycles.min_by_key(Vec::len)
    }

    fn targets(&self, place: usize) -> impl Iterator<Item = (usize, &Dependency)> {
        self.edges[place / 2].iter().filter_map(move |edge| Some((target(place, edge)?, edge)))
    }

    /// The places on cycles, and some behind them: what is left when those are taken away, again and
    /// again, to which no edge leads.
    fn on_cycles(&self) -> Vec<usize> {
        let count = self.edges.len() * 2;
        let mut leading_to = vec![0_usize; count];
        for place in 0..count {
            for (target, _) in self.targets(place) {
                leading_to[target] += 1;
            }
        }
        let mut free: Vec<_> = (0..count).filter(|place| leading_to[*place] == 0).collect();
        while let Some(place) = free.pop() {
            for (target, _) in self.targets(place) {
                leading_to[target] -= 1;
                if leading_to[target] == 0 {
                    free.push(target);
                }
            }
        }
        (0..count).filter(|place| leading_to[*place] > 0).collect()
    }

    /// The shortest way from this place to itself.
    fn back_to(&self, start: usize) -> Option<Vec<Dependency>> {
        let mut came_by: BTreeMap<usize, (usize, Dependency)> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(place) = next.pop_front() {
            for (target, edge) in self.targets(place) {
                if came_by.contains_key(&target) {
                    continue;
                }
                came_by.insert(target, (place, *edge));
                if target == start {
                    return Some(way(&came_by, start));
                }
                next.push_back(target);
            }
        }
        None
    }
}

fn way(came_by: &BTreeMap<usize, (usize, Dependency)>, start: usize) -> Vec<Dependency> {
    let (mut way, mut place) = (Vec::new(), start);
    loop {
        let (before, edge) = came_by[&place];
        way.push(edge);
        place = before;
        if place == start {
            way.reverse();
            return way;
        }
    }
}
