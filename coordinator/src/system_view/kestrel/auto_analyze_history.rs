//! `kestrel.auto_analyze_history`: the last tables that were analyzed automatically.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows =
        Rows::new("schema_name, table_name, started_at, duration_ms, changed_rows, outcome, error");
    for analysis in context.auto_analyses.iter() {
        rows.push(row![
            &analysis.schema,
            &analysis.table,
            analysis.started_at,
            analysis.duration_ms,
            analysis.changed_rows,
            if analysis.error.is_some() { "failed" } else { "analyzed" },
            analysis.error.clone(),
        ]);
    }
    rows
}
