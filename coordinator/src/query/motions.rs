//! What a query's motions carried, by their kind.

use std::collections::BTreeMap;

use kestrel_planner::{motion::MotionKind, plan::Plan};
use kestrel_proto::message::MotionTraffic;

/// The kinds of one plan's motions, by their numbers.
pub(super) type MotionKinds = BTreeMap<u32, MotionKind>;

/// Rows and bytes per kind of motion. A row that is sent to three receivers is three rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MotionTotals(BTreeMap<MotionKind, Carried>);

/// What motions of one kind carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Rows.
    pub rows: u64,
    /// Bytes of their batches in memory.
    pub bytes: u64,
}

/// The kinds of a plan's own motions: those of its init plans have numbers of their own.
pub(super) fn motion_kinds(plan: &Plan) -> MotionKinds {
    let motion = |slice: &kestrel_planner::slice::Slice| Some((slice.id.0, slice.motion()?.kind()));
    plan.slices.iter().filter_map(motion).collect()
}

impl MotionTotals {
    /// What one kind carried.
    pub fn of(&self, kind: MotionKind) -> Carried {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Adds another query's.
    pub fn add(&mut self, other: &Self) {
        for (kind, carried) in &other.0 {
            self.add_carried(*kind, *carried);
        }
    }

    /// Adds what a fragment has sent.
    pub(super) fn add_traffic(&mut self, traffic: &[MotionTraffic], kinds: &MotionKinds) {
        for sent in traffic {
            if let Some(kind) = kinds.get(&sent.motion) {
                self.add_carried(*kind, Carried { rows: sent.rows, bytes: sent.bytes });
            }
        }
    }

    fn add_carried(&mut self, kind: MotionKind, more: Carried) {
        let carried = self.0.entry(kind).or_default();
        carried.rows += more.rows;
        carried.bytes += more.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_added_by_the_kind_of_its_own_plans_motion() {
        let sent =
            |motion, rows| MotionTraffic { motion, rows, bytes: rows * 8, ..Default::default() };
        // Motion 1 of the init plan is another than motion 1 of the main plan.
        let init = MotionKinds::from([(1, MotionKind::Gather)]);
        let main = MotionKinds::from([(1, MotionKind::Broadcast), (2, MotionKind::Gather)]);
        let mut totals = MotionTotals::default();
        totals.add_traffic(&[sent(1, 1)], &init);
        let mut of_main = MotionTotals::default();
        of_main.add_traffic(&[sent(1, 10), sent(1, 10), sent(2, 5)], &main);
        totals.add(&of_main);
        assert_eq!(totals.of(MotionKind::Gather), Carried { rows: 6, bytes: 48 });
        assert_eq!(totals.of(MotionKind::Broadcast), Carried { rows: 20, bytes: 160 });
        assert_eq!(totals.of(MotionKind::Redistribute), Carried::default());
    }
}
