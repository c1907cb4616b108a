//! TRUNCATE

use kestrel_proto::{ErrorReport, Result};

use super::{DdlPlan, drop_table::not_a_user_table};
use crate::{
    catalog::{Catalog, CatalogChange, resolve_table},
    parse::Truncate,
};

pub(super) fn truncate(
    truncate: &Truncate,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("TRUNCATE TABLE");
    if truncate.restart_identity {
        return Err(ErrorReport::unsupported("TRUNCATE … RESTART IDENTITY is not supported"));
    }
    for name in &truncate.tables {
        let table = resolve_table(catalog, search_path, name)
            .map_err(|e| not_a_user_table(name, catalog, search_path).unwrap_or(e))?;
        let change = CatalogChange::RemoveAllSegments { table: table.id };
        if !plan.changes.contains(&change) {
            plan.changes.push(change);
        }
    }
    Ok(plan)
}
