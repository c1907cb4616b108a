//! `kestrel.table_distributions`: what DDL declared about where each table's rows are.

use kestrel_planner::catalog::Distribution;

use super::super::{
    SystemViewContext, name,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("schema_name, table_name, distribution, key_columns");
    for table in context.catalog.tables.values() {
        let names: Vec<_> =
            table.distribution_columns().iter().map(|c| name::quoted(&c.name)).collect();
        let (distribution, key) = match table.distribution {
            Distribution::Hash(_) => ("hash", Some(names.join(", "))),
            Distribution::Replicated => ("replicated", None),
            Distribution::Random => ("random", None),
        };
        rows.push(row![&table.schema_name, &table.name, distribution, key]);
    }
    rows
}
