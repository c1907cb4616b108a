//! Plans that rest on wrong numbers: the lowest motion that has carried many times more or fewer rows
//! than were thought, and the statistics or conditions that are to blame.

use super::{
    Carried, Delivery, Finding, MotionFacts, Object, PlanFacts, RunFacts, Thresholds,
    finding::{analyze, column_names, qualified, rows},
};
use crate::{motion::MotionKind, parse::quote};

/// So far at most the motions below are off where this one is to blame.
const RIGHT: f64 = 2.0;

pub(super) fn decide(facts: &PlanFacts, run: &RunFacts, t: &Thresholds) -> Vec<Finding> {
    let off = facts.motions.iter().filter_map(|motion| {
        let actual = actual(facts, motion, run.motion(motion.number)?);
        let is_large = actual.max(motion.rows) >= t.misestimate_min_rows;
        // What was not asked for is not missing.
        let is_complete = actual >= motion.rows || !motion.may_be_cut;
        let is_off = times(motion.rows, actual) >= t.misestimate_ratio;
        (is_off && is_large && is_complete).then_some((motion, actual))
    });
    let lowest = off.filter(|(motion, _)| {
        let mut below = facts.motions.iter().filter(|other| motion.below.contains(&other.number));
        below.all(|other| {
            let carried = run.motion(other.number);
            carried.is_none_or(|c| times(other.rows, actual(facts, other, c)) <= RIGHT)
        })
    });
    lowest.map(|(motion, actual)| finding(motion, actual, run)).collect()
}

/// Rows, each once however many datanodes have got it.
fn actual(facts: &PlanFacts, motion: &MotionFacts, carried: &Carried) -> f64 {
    let rows = carried.rows() as f64;
    match motion.kind {
        MotionKind::Broadcast => rows / facts.datanodes.max(1) as f64,
        MotionKind::Gather | MotionKind::Redistribute => rows,
    }
}

/// The q-error (Moerkotte, Neumann, Steidl: Preventing bad plans, 2009).
fn times(estimated: f64, actual: f64) -> f64 {
    let (estimated, actual) = (estimated.max(1.0), actual.max(1.0));
    (estimated / actual).max(actual / estimated)
}

fn finding(motion: &MotionFacts, actual: f64, run: &RunFacts) -> Finding {
    let object = Object::tables(motion.tables.iter().map(AsRef::as_ref));
    let message = format!("the rows of a {} were misestimated", motion.producer);
    let mut detail = format!(
        "{} were expected, and there were {}: {:.0} times {}.",
        rows(motion.rows),
        rows(actual),
        times(motion.rows, actual),
        if actual > motion.rows { "more" } else { "fewer" }
    );
    let stale = motion.tables.iter().find(|table| run.stale.contains(&table.id));
    let several = motion.several_conditions.first();
    let hint = match (stale, several) {
        (Some(table), _) => {
            detail.push_str(&format!(" The statistics of table \"{}\" are to blame.", table.name));
            Some(analyze(table))
        }
        (None, Some((table, columns))) => {
            let names = column_names(table, columns.iter().copied());
            detail.push_str(&format!(
                " Conditions on {names} of table \"{}\" may depend on one another.",
                table.name
            ));
            let ids: Vec<u32> = columns.iter().copied().collect();
            let is_known = table.extended_statistics.iter().any(|known| known.columns == ids);
            let columns = ids.iter().filter_map(|id| table.column_by_id(*id));
            let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
            let statistics = quote(&format!("{}_{}", table.name, names.join("_")));
            let quoted: Vec<_> = names.iter().map(|name| quote(name)).collect();
            (!is_known && !table.is_on_shards()).then(|| {
                format!(
                    "CREATE STATISTICS {statistics} ON {} FROM {}; {}",
                    quoted.join(", "),
                    qualified(table),
                    analyze(table)
                )
            })
        }
        (None, None) => None,
    };
    Finding { object, at_most: Delivery::Warning, message, detail, hint }
}
