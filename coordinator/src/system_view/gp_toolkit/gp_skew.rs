//! `gp_toolkit.gp_skew_coefficients` and `gp_skew_idle_fractions`: how unevenly the rows of tables lie, as
//! Greenplum counts it, without reading them.

use kestrel_planner::advice::variation;

use super::super::{
    SystemViewContext,
    kestrel::table_skew::skewable,
    rows::{Rows, row},
};

/// The standard deviation in percent of the mean.
pub(in super::super) fn coefficients(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("skcoid, skcnamespace, skcrelname, skccoeff");
    for state in skewable(context) {
        let table = &state.table;
        let coefficient = 100.0 * variation(&state.shards);
        rows.push(row![table.id, &table.schema_name, &table.name, coefficient]);
    }
    rows
}

/// The part of the datanodes' time that a scan leaves idle.
pub(in super::super) fn idle_fractions(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("sifoid, sifnamespace, sifrelname, siffraction");
    for state in skewable(context) {
        let table = &state.table;
        rows.push(row![table.id, &table.schema_name, &table.name, state.idle()]);
    }
    rows
}
