//! Conditions on a large table in databases that these do not compute: all its rows are sent, and most
//! of them for nothing.

use super::{Delivery, Finding, Object, PlanFacts, Thresholds};

pub(super) fn decide(facts: &PlanFacts, t: &Thresholds) -> Vec<Finding> {
    let scans = facts.scans.iter().filter(|scan| {
        let rows = scan.table.size().0 as f64;
        !scan.obstacles.is_empty() && rows >= t.not_pushed_min_rows
    });
    let finding = |scan: &super::ScanFacts| {
        let (table, parts) = (&scan.table, scan.obstacles.join(", "));
        let message =
            format!("conditions on table \"{}\" are not pushed to its databases", table.name);
        let detail = format!(
            "{parts}: it may fail, or have another answer there. The databases send all of {} rows that the \
             other conditions leave.",
            table.size().0
        );
        Finding {
            object: Object::table(table),
            at_most: Delivery::Warning,
            message,
            detail,
            hint: None,
        }
    };
    scans.map(finding).collect()
}
