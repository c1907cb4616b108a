//! Columns that are not there, in PostgreSQL's words (`errorMissingColumn` in parse_relation.c).

use datafusion::common::{Column, utils::datafusion_strsim::levenshtein};
use kestrel_proto::{ErrorReport, SqlState};

/// No name farther away than this is suggested (`MAX_FUZZY_DISTANCE`).
const MAX_DISTANCE: usize = 3;

/// The schema of a table of an outer query that the binder has found; in no name that a user writes.
pub(crate) const OUTER_TABLE: &str = "outer\u{1f}";

/// The error for `field`, which is none of `valid`.
pub(super) fn missing(field: &Column, valid: &[Column]) -> ErrorReport {
    let name = &field.name;
    let Some(relation) = &field.relation else {
        let report = ErrorReport::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" does not exist"),
        );
        return with_hint(report, name, valid.iter());
    };
    let table = relation.table();
    let undefined = || {
        let message = format!("column {table}.{name} does not exist");
        ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
    };
    // Its columns are none of the valid ones, which are the inner query's.
    if [relation.catalog(), relation.schema()].contains(&Some(OUTER_TABLE)) {
        return undefined();
    }
    let of_table = |c: &&Column| c.relation.as_ref().is_some_and(|r| r.table() == table);
    if !valid.iter().any(|c| of_table(&c)) {
        return ErrorReport::new(
            SqlState::UNDEFINED_TABLE,
            format!("missing FROM-clause entry for table \"{table}\""),
        );
    }
    with_hint(undefined(), name, valid.iter().filter(of_table))
}

/// Names the one nearest column, unless the nearest are several or far away.
fn with_hint<'a>(
    report: ErrorReport,
    name: &str,
    candidates: impl Iterator<Item = &'a Column>,
) -> ErrorReport {
    let mut near: Vec<(usize, &Column)> = candidates
        .map(|c| (levenshtein(name, &c.name), c))
        .filter(|(distance, _)| *distance <= MAX_DISTANCE && *distance * 2 <= name.chars().count())
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    match near.as_slice() {
        [] => report,
        [(d1, c1), (d2, c2), rest @ ..] if d1 == d2 => {
            // PostgreSQL names two, and none when there are more.
            if rest.first().is_some_and(|(d3, _)| d3 == d1) {
                return report;
            }
            report.hint(format!(
                "Perhaps you meant to reference the column \"{}\" or the column \"{}\".",
                shown(c1),
                shown(c2)
            ))
        }
        [(_, column), ..] => {
            report.hint(format!("Perhaps you meant to reference the column \"{}\".", shown(column)))
        }
    }
}

fn shown(column: &Column) -> String {
    match &column.relation {
        Some(relation) => format!("{}.{}", relation.table(), column.name),
        None => column.name.clone(),
    }
}
