//! DROP VIEW

use kestrel_proto::Result;

use super::{
    DdlPlan,
    dependents::{self, Object},
    missing::skip_missing,
};
use crate::{
    catalog::{Catalog, Found, find_relation},
    parse::DropView,
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
                let names = (catalog, search_path);
                skip_missing("view", name, drop.if_exists, names, &mut plan.notices)?;
            }
        }
    }
    let views = dependents::views(&dropped, catalog, search_path);
    dependents::settle(&dropped, &views, drop.cascade, &mut plan.notices)?;
    let all = views.iter().map(|view| &view.object).chain(&dropped);
    plan.changes = all.map(|object| object.drop(catalog)).collect();
    Ok(plan)
}
