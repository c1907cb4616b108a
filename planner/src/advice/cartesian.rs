//! Joins without a condition: each row of one side with each of the other.

use super::{Delivery, Finding, Object, PlanFacts, Thresholds, finding::rows};

pub(super) fn decide(facts: &PlanFacts, t: &Thresholds) -> Vec<Finding> {
    let joins = facts.joins.iter().filter(|join| {
        let (left, right) = (join.build.rows, join.probe.rows);
        // One row is a value that all rows get.
        !join.has_condition && left.min(right) >= 2.0 && left * right >= t.cartesian_warn_rows
    });
    let finding = |join: &super::JoinFacts| {
        let tables = join.build.tables.iter().chain(&join.probe.tables);
        let object = Object::tables(tables.map(AsRef::as_ref));
        let message = match object.tables.is_empty() {
            true => "a join has no condition".to_string(),
            false => format!("a join of {} has no condition", object.name),
        };
        let detail = format!(
            "{} rows with {} rows give {} pairs.",
            rows(join.build.rows),
            rows(join.probe.rows),
            rows(join.build.rows * join.probe.rows)
        );
        Finding { object, at_most: Delivery::Warning, message, detail, hint: None }
    };
    joins.map(finding).collect()
}
