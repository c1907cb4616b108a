//! Rows that every datanode gets, and that are many.

use super::{
    Delivery, Finding, JoinFacts, Object, PlanFacts, Thresholds,
    finding::{analyze, distribute_by, rows},
    plan_facts::SideFacts,
};

pub(super) fn decide(facts: &PlanFacts, t: &Thresholds) -> Vec<Finding> {
    let is_large = |side: &SideFacts| side.is_broadcast && side.rows >= t.broadcast_warn_rows;
    let joins = facts.joins.iter().filter(|_| facts.datanodes > 1);
    let sides =
        joins.flat_map(|join| [(join, &join.build, &join.probe), (join, &join.probe, &join.build)]);
    let large = sides.filter(|(_, moved, _)| is_large(moved));
    large.map(|(join, moved, other)| finding(facts, join, moved, other)).collect()
}

fn finding(facts: &PlanFacts, join: &JoinFacts, moved: &SideFacts, other: &SideFacts) -> Finding {
    let object = Object::tables(moved.tables.iter().map(AsRef::as_ref));
    let (name, count) = (&object.name, rows(moved.rows));
    let message = match moved.tables.is_empty() {
        true => format!("{count} rows are broadcast for a {}", join.title),
        false => format!("{count} rows of {name} are broadcast for a {}", join.title),
    };
    let copies = rows(moved.rows * facts.datanodes as f64);
    let mut detail =
        format!("Each of {} datanodes gets all of them: {copies} rows move.", facts.datanodes);
    if !join.has_condition || !join.is_hashed {
        detail.push_str(" The join has no equality by which rows could be brought together.");
    }
    let unknown = moved.unknown.iter().chain(&other.unknown).next();
    let hint = match (unknown, &other.stored_key) {
        (Some(table), _) => {
            detail.push_str(&format!(" Table \"{}\" has not been analyzed.", table.name));
            Some(analyze(table))
        }
        // Then the rows of the other side go to those of this one, each to one datanode.
        (None, Some((table, columns))) if !is_key_of(table, columns) => {
            let mut keys = table.unique_sets();
            let may_be = keys.all(|key| columns.iter().all(|c| key.columns.contains(c)));
            may_be.then(|| distribute_by(table, columns))
        }
        (None, _) => None,
    };
    Finding { object, at_most: Delivery::Warning, message, detail, hint }
}

fn is_key_of(table: &crate::catalog::TableDef, columns: &[u32]) -> bool {
    let key: Vec<u32> = table.distribution_columns().iter().map(|column| column.id).collect();
    key == columns
}
