//! `gp_distribution_policy`: Greenplum's table of distributions. Its clients know `policytype`
//! `p` (hash, or random when there is no key) and `r` (replicated).

use kestrel_planner::catalog::Distribution;

use super::{
    super::{
        SystemViewContext,
        rows::{Rows, row},
    },
    pg_index::operator_class,
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("localoid, policytype, numsegments, distkey, distclass");
    for table in context.catalog.tables.values() {
        let policy = match table.distribution {
            Distribution::Replicated => "r",
            Distribution::Hash(_) | Distribution::Random => "p",
        };
        let keys = table.distribution_columns();
        rows.push(row![
            table.id,
            policy,
            context.catalog.datanodes.len(),
            keys.iter().map(|c| i64::from(c.id)).collect::<Vec<_>>(),
            keys.iter().map(|c| operator_class(c.sql_type.oid())).collect::<Vec<_>>(),
        ]);
    }
    rows
}
