//! A hash table that is built of the larger side of a join.

use super::{
    Delivery, Finding, Object, PlanFacts, Thresholds,
    finding::{analyze, rows},
};

pub(super) fn decide(facts: &PlanFacts, t: &Thresholds) -> Vec<Finding> {
    let joins = facts.joins.iter().filter(|join| {
        let (build, probe) = (&join.build, &join.probe);
        join.is_hashed
            && build.rows >= t.build_side_ratio * probe.rows.max(1.0)
            && build.rows_on_one >= t.build_side_min_rows
    });
    let finding = |join: &super::JoinFacts| {
        let object = Object::tables(join.build.tables.iter().map(AsRef::as_ref));
        let message = format!("a {} builds its hash table of the larger side", join.title);
        let detail = format!(
            "It builds {} rows, {} of them on one datanode, and looks {} up in them.",
            rows(join.build.rows),
            rows(join.build.rows_on_one),
            rows(join.probe.rows)
        );
        let hint = join.build.unknown.first().or(join.probe.unknown.first());
        let hint = hint.map(|table| analyze(table));
        Finding { object, at_most: Delivery::Warning, message, detail, hint }
    };
    joins.map(finding).collect()
}
