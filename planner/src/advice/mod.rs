//! Advice: what makes a query slower than it need be, why, with the numbers, and the statement that
//! mends it.
//!
//! A *kind* of advice is a line of [`KINDS`] and a pure decider in a file of its own. A decider sees
//! facts and thresholds, and reads neither rows nor a clock:
//!
//! | Decider | Sees | When |
//! |---|---|---|
//! | [`Decider::Table`] | a [`TableState`]: counts, statistics, where rows are | a plan scans it |
//! | [`Decider::Plan`] | the operators of a [`PlanFacts`] | it was planned |
//! | [`Decider::Run`] | the same with what its motions carried and its operators gave | it has run to its end |
//!
//! Who is told, how often, and what is remembered is the coordinator's affair.

mod broadcast;
mod build_side;
mod cartesian;
mod facts;
mod finding;
mod key_uses;
mod misestimate;
mod missing_statistics;
mod not_pushed_down;
mod plan_facts;
mod processing_skew;
mod ran;
mod replication;
mod stale_statistics;
mod storage_skew;
mod thresholds;

use kestrel_proto::SqlState;

pub use facts::{TableState, idle_fraction, variation};
pub use finding::{Advice, Delivery, Finding, Object};
pub use key_uses::KeyUses;
pub use plan_facts::{Carried, JoinFacts, MotionFacts, PlanFacts, RunFacts, ScanFacts};
pub use thresholds::{THRESHOLDS, Threshold, Thresholds};

/// A kind of advice.
#[derive(Debug)]
pub struct Kind {
    /// `storage_skew`: the setting `kestrel.advice_storage_skew` says who is told.
    pub name: &'static str,
    /// What programs know it by.
    pub sqlstate: SqlState,
    /// Who is told unless the setting says otherwise.
    pub delivery: Delivery,
    /// What finds it.
    pub decider: Decider,
}

/// A table as the query at hand uses it.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    /// The scan of it.
    pub scan: &'a ScanFacts,
    /// What queries have joined tables by, this one and those before.
    pub uses: &'a KeyUses,
}

/// What finds advice of a kind.
#[derive(Clone, Copy, Debug)]
pub enum Decider {
    /// Of a table that is scanned.
    Table(fn(&TableState, Usage<'_>, &Thresholds) -> Option<Finding>),
    /// Of a plan.
    Plan(fn(&PlanFacts, &Thresholds) -> Vec<Finding>),
    /// Of a plan that has run.
    Run(fn(&PlanFacts, &RunFacts, &Thresholds) -> Vec<Finding>),
}

/// All kinds, in the order of their SQLSTATEs.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "storage_skew",
        sqlstate: SqlState::STORAGE_SKEW,
        delivery: Delivery::Warning,
        decider: Decider::Table(storage_skew::decide),
    },
    Kind {
        name: "stale_statistics",
        sqlstate: SqlState::STALE_STATISTICS,
        delivery: Delivery::Warning,
        decider: Decider::Table(stale_statistics::decide),
    },
    Kind {
        name: "broadcast",
        sqlstate: SqlState::LARGE_BROADCAST,
        delivery: Delivery::Warning,
        decider: Decider::Plan(broadcast::decide),
    },
    Kind {
        name: "not_pushed_down",
        sqlstate: SqlState::NOT_PUSHED_DOWN,
        delivery: Delivery::Notice,
        decider: Decider::Plan(not_pushed_down::decide),
    },
    Kind {
        name: "missing_statistics",
        sqlstate: SqlState::MISSING_STATISTICS,
        delivery: Delivery::Warning,
        decider: Decider::Table(missing_statistics::decide),
    },
    Kind {
        name: "processing_skew",
        sqlstate: SqlState::PROCESSING_SKEW,
        delivery: Delivery::Warning,
        decider: Decider::Run(processing_skew::decide),
    },
    Kind {
        name: "misestimate",
        sqlstate: SqlState::MISESTIMATE,
        delivery: Delivery::Notice,
        decider: Decider::Run(misestimate::decide),
    },
    Kind {
        name: "build_side",
        sqlstate: SqlState::LARGE_BUILD_SIDE,
        delivery: Delivery::Warning,
        decider: Decider::Plan(build_side::decide),
    },
    Kind {
        name: "cartesian",
        sqlstate: SqlState::CARTESIAN_PRODUCT,
        delivery: Delivery::Warning,
        decider: Decider::Plan(cartesian::decide),
    },
    Kind {
        name: "replicated_too_large",
        sqlstate: SqlState::REPLICATED_TABLE_TOO_LARGE,
        delivery: Delivery::Notice,
        decider: Decider::Table(replication::too_large),
    },
    Kind {
        name: "better_replicated",
        sqlstate: SqlState::BETTER_REPLICATED,
        delivery: Delivery::Notice,
        decider: Decider::Table(replication::better_replicated),
    },
];

/// What there is to say of a table.
pub fn of_table(state: &TableState, usage: Usage<'_>, thresholds: &Thresholds) -> Vec<Advice> {
    let found = KINDS.iter().filter_map(|kind| match kind.decider {
        Decider::Table(decide) => Some((kind, decide(state, usage, thresholds)?)),
        Decider::Plan(_) | Decider::Run(_) => None,
    });
    found.map(|(kind, finding)| Advice { kind, finding }).collect()
}

/// What there is to say of a plan.
pub fn of_plan(facts: &PlanFacts, thresholds: &Thresholds) -> Vec<Advice> {
    let found = KINDS.iter().flat_map(|kind| {
        let found = match kind.decider {
            Decider::Plan(decide) => decide(facts, thresholds),
            Decider::Table(_) | Decider::Run(_) => Vec::new(),
        };
        found.into_iter().map(move |finding| Advice { kind, finding })
    });
    found.collect()
}

/// What there is to say of a plan that has run to its end.
pub fn of_run(facts: &PlanFacts, run: &RunFacts, thresholds: &Thresholds) -> Vec<Advice> {
    let found = KINDS.iter().flat_map(|kind| {
        let found = match kind.decider {
            Decider::Run(decide) => decide(facts, run, thresholds),
            Decider::Table(_) | Decider::Plan(_) => Vec::new(),
        };
        found.into_iter().map(move |finding| Advice { kind, finding })
    });
    found.collect()
}
