//! Statistics that a query needs and nobody has: of a table that was never analyzed, or of columns that
//! it filters, joins or groups by and that ANALYZE has not seen.

use super::{
    Delivery, Finding, Object, TableState, Thresholds, Usage,
    finding::{analyze, column_names},
};

pub(super) fn decide(state: &TableState, usage: Usage<'_>, t: &Thresholds) -> Option<Finding> {
    let table = &state.table;
    if (state.rows as f64) < t.statistics_min_rows {
        return None;
    }
    let (name, rows) = (&table.name, state.rows);
    let (message, detail) = match &state.statistics {
        None => (
            format!("table \"{name}\" has not been analyzed"),
            format!(
                "It has {rows} rows, of whose values nothing is known: the plan rests on guesses, \
                 and joins with it keep their written order."
            ),
        ),
        Some(known) => {
            let is_unknown =
                |id: &u32| known.column(*id).is_none() && table.column_by_id(*id).is_some();
            let unknown: Vec<u32> = usage.scan.columns.iter().copied().filter(is_unknown).collect();
            if unknown.is_empty() {
                return None;
            }
            let columns = column_names(table, unknown);
            (
                format!("columns {columns} of table \"{name}\" have not been analyzed"),
                format!("The query filters, joins or groups {rows} rows by them."),
            )
        }
    };
    let (object, hint) = (Object::table(table), Some(analyze(table)));
    Some(Finding { object, at_most: Delivery::Warning, message, detail, hint })
}
