//! What Kestrel says of skew, statistics and expensive plans: facts for the deciders of
//! [`kestrel_planner::advice`], and what they have found of late. Whom a session tells, and how often, is
//! [`crate::session`]'s.

mod log;
mod states;

use kestrel_planner::{
    advice::{self, Advice, KeyUses, PlanFacts, RunFacts, ScanFacts, Thresholds, Usage},
    catalog::Catalog,
};
use parking_lot::Mutex;

pub use log::{AdviceLog, Remembered};
use states::TableStates;

/// What all sessions share of it.
#[derive(Debug, Default)]
pub struct Advisor {
    /// What was said of late.
    pub log: AdviceLog,
    states: TableStates,
    uses: Mutex<KeyUses>,
}

impl Advisor {
    /// What there is to say of a plan over a snapshot, and of the tables that it scans.
    pub fn of_plan(
        &self,
        facts: &PlanFacts,
        catalog: &Catalog,
        thresholds: &Thresholds,
    ) -> Vec<Advice> {
        let mut uses = self.uses.lock();
        uses.note(facts);
        let mut found = Vec::new();
        for scan in tables(&facts.scans) {
            // A partition is distributed and analyzed as its table is.
            let id = scan.table.parent_id().unwrap_or(scan.table.id);
            let Some(table) = catalog.table_by_id(id) else { continue };
            let state = self.states.of(catalog, table);
            let of_table = advice::of_table(&state, Usage { scan: &scan, uses: &uses }, thresholds);
            self.log.settle(id, &of_table);
            found.extend(of_table);
        }
        drop(uses);
        found.extend(advice::of_plan(facts, thresholds));
        found
    }

    /// What there is to say of a plan that has run to its end.
    pub fn of_run(
        &self,
        facts: &PlanFacts,
        run: &RunFacts,
        thresholds: &Thresholds,
    ) -> Vec<Advice> {
        self.uses.lock().note_run(facts, run);
        advice::of_run(facts, run, thresholds)
    }
}

/// Each table once, however often it is scanned.
fn tables(scans: &[ScanFacts]) -> Vec<ScanFacts> {
    let mut tables: Vec<ScanFacts> = Vec::new();
    for scan in scans {
        match tables.iter_mut().find(|other| other.table.id == scan.table.id) {
            Some(other) => other.columns.extend(&scan.columns),
            None => tables.push(scan.clone()),
        }
    }
    tables
}
