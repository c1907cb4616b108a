//! `gp_toolkit.gp_stats_missing`: tables of which ANALYZE knows nothing, or not all columns.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("smischema, smitable, smisize, smicols, smirecs");
    for table in context.catalog.tables.values() {
        let known = context.catalog.statistics_of(table.id);
        let described = known.map_or(0, |known| known.columns.len());
        if described == table.columns.len() && known.is_some() {
            continue;
        }
        rows.push(row![
            &table.schema_name,
            &table.name,
            known.is_some(),
            table.columns.len(),
            described,
        ]);
    }
    rows
}
