//! DROP TABLE

use std::sync::Arc;

use kestrel_proto::Result;

use super::{
    DdlPlan, alter,
    dependents::{self, Object},
    drop_sequence::counting_beside,
    missing::skip_missing,
};
use crate::{
    catalog::{Catalog, CatalogChange, TableDef, find_table},
    parse::DropTable,
};

pub(super) fn drop_table(
    drop: &DropTable,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("DROP TABLE");
    let names = (catalog, search_path);
    let mut tables: Vec<&Arc<TableDef>> = Vec::new();
    for name in &drop.tables {
        match find_table(catalog, search_path, name) {
            Some(table) if tables.iter().any(|t| t.id == table.id) => {}
            Some(table) => tables.push(table),
            None => skip_missing("table", name, drop.if_exists, names, &mut plan.notices)?,
        }
    }
    let object = |t: &&Arc<TableDef>| Object::relation(catalog, search_path, t.id);
    let dropped: Vec<Object> = tables.iter().filter_map(object).collect();
    // Partitions go with their table.
    let partitions = tables.iter().flat_map(|t| catalog.partitions_below(t.id));
    let all: Vec<Object> =
        dropped.iter().cloned().chain(partitions.filter_map(|t| object(&&t))).collect();
    // A table made LIKE one with a serial column may take its defaults from that one's sequence.
    let (mut dependents, changed) = counting_beside(&all, names);
    let views = dependents::views(&all, catalog, search_path);
    plan.changes.extend(changed.into_values().map(|(old, new)| alter::change(&old, new)));
    plan.changes.extend(views.iter().map(|view| view.object.drop(catalog)));
    plan.changes.extend(tables.iter().map(|t| CatalogChange::DropTable(t.id)));
    dependents.extend(views);
    dependents::settle(&dropped, &dependents, drop.cascade, &mut plan.notices)?;
    Ok(plan)
}
