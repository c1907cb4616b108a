//! TRUNCATE

use kestrel_proto::Result;

use super::{DdlPlan, missing::not_a_user_table};
use crate::{
    catalog::{Catalog, CatalogChange, SequenceDef, resolve_table},
    parse::Truncate,
};

pub(super) fn truncate(
    truncate: &Truncate,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("TRUNCATE TABLE");
    for name in &truncate.tables {
        let table = resolve_table(catalog, search_path, name)
            .map_err(|e| not_a_user_table(name, catalog, search_path).unwrap_or(e))?;
        let change = CatalogChange::RemoveAllSegments { table: table.id };
        if plan.changes.contains(&change) {
            continue;
        }
        plan.changes.push(change);
        if truncate.restart_identity {
            let is_owned =
                |s: &&SequenceDef| s.owned_by.is_some_and(|(owner, _)| owner == table.id);
            let restarted = catalog.sequences.values().filter(is_owned).map(|sequence| {
                CatalogChange::SetSequence { id: sequence.id, state: sequence.initial_state() }
            });
            plan.changes.extend(restarted);
        }
    }
    Ok(plan)
}
