//! `kestrel.table_skew`: how unevenly the rows of each table lie on the datanodes.

use kestrel_planner::{
    advice::{TableState, variation},
    catalog::{Distribution, TableDef},
};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("schema_name, table_name, coefficient, idle_fraction, max_datanode");
    for state in skewable(context) {
        let numbered = context.catalog.datanodes.iter().zip(&state.shards);
        let fullest = numbered.max_by_key(|(_, rows)| **rows).filter(|(_, rows)| **rows > 0);
        rows.push(row![
            &state.table.schema_name,
            &state.table.name,
            100.0 * variation(&state.shards),
            state.idle(),
            fullest.map(|(datanode, _)| &datanode.name),
        ]);
    }
    rows
}

/// The tables whose rows are on one datanode each, and how many each has.
pub(in super::super) fn skewable(
    context: &SystemViewContext,
) -> impl Iterator<Item = TableState> + '_ {
    let is_in_parts = |table: &&std::sync::Arc<TableDef>| match table.distribution {
        Distribution::Hash(_) | Distribution::Random => true,
        Distribution::Replicated => false,
    };
    let tables = context.catalog.tables.values().filter(is_in_parts);
    tables.map(|table| TableState::of(&context.catalog, table))
}
