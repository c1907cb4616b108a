//! DROP VIEW

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan,
    dependents::{self, Object},
    drop_table::{is_missing, not_a_user_table},
};
use crate::{
    catalog::{Catalog, Found, find_relation},
    parse::{DropView, QualifiedName},
};

pub(super) fn drop_view(
    drop: &DropView,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("DROP VIEW");
    let mut dropped: Vec<Object> = Vec::new();
    for name in &drop.views {
        match find_relation(catalog, search_path, name) {
            Some(Found::View(view)) if dropped.iter().any(|object| object.id == view.id) => {}
            Some(Found::View(view)) => {
                dropped.extend(Object::relation(catalog, search_path, view.id));
            }
            _ => {
                let error = missing(name, catalog, search_path);
                if !drop.if_exists || !is_missing(&error) {
                    return Err(error);
                }
                let message = format!("{}, skipping", error.message);
                plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            }
        }
    }
    let views = dependents::views(&dropped, catalog, search_path);
    dependents::settle(&dropped, &views, drop.cascade, &mut plan.notices)?;
    let all = views.iter().map(|view| &view.object).chain(&dropped);
    plan.changes = all.map(|object| object.drop(catalog)).collect();
    Ok(plan)
}

/// Why the name is no view that can be dropped.
fn missing(name: &QualifiedName, catalog: &Catalog, search_path: &[String]) -> ErrorReport {
    match not_a_user_table(name, catalog, search_path) {
        Some(error) if error.sqlstate == SqlState::WRONG_OBJECT_TYPE => {
            let message = format!("\"{}\" is not a view", name.name);
            let is_table =
                matches!(find_relation(catalog, search_path, name), Some(Found::Table(_)));
            let hint = is_table.then(|| "Use DROP TABLE to remove a table.".to_string());
            ErrorReport { hint, ..ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message) }
        }
        Some(error) => error,
        None => {
            let message = format!("view \"{}\" does not exist", name.name);
            ErrorReport::new(SqlState::UNDEFINED_TABLE, message)
        }
    }
}
