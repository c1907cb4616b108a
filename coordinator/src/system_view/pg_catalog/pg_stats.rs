//! `pg_stats`: what ANALYZE has found out about the columns that the role may read.

use kestrel_planner::{
    catalog::{ObjectKind, Privilege, SqlType},
    statistics::{ColumnStatistics, Value},
};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schemaname, tablename, attname, inherited, null_frac, avg_width, n_distinct, \
         most_common_vals, most_common_freqs, histogram_bounds, correlation",
    );
    let actor = context.actor();
    for table in context.catalog.tables.values() {
        let Some(statistics) = context.catalog.statistics_of(table.id) else { continue };
        let may_read_all = actor.privileges(table.id, ObjectKind::Table).has(Privilege::Select);
        for column in &table.columns {
            let Some(known) = statistics.column(column.id) else { continue };
            let may_read = || actor.column_privileges(table.id, column.id).has(Privilege::Select);
            if !may_read_all && !may_read() {
                continue;
            }
            let frequencies = known.common.iter().map(|common| common.frequency);
            let frequencies: Vec<f64> = frequencies.collect();
            rows.push(row![
                &table.schema_name,
                &table.name,
                &column.name,
                table.partitioned_by.is_some(),
                known.null_fraction,
                known.average_width as i64,
                known.n_distinct(),
                common_values(known, column.sql_type),
                (!frequencies.is_empty()).then_some(frequencies),
                array(known.histogram.iter(), column.sql_type),
                known.correlation,
            ]);
        }
    }
    rows
}

fn common_values(known: &ColumnStatistics, sql_type: SqlType) -> Option<String> {
    array(known.common.iter().map(|common| &common.value), sql_type)
}

/// As PostgreSQL prints an array (`array_out`, arrayfuncs.c); `None`: of nothing.
fn array<'a>(values: impl Iterator<Item = &'a Value>, sql_type: SqlType) -> Option<String> {
    let texts: Vec<_> = values.map(|value| element(&value.text(sql_type))).collect();
    (!texts.is_empty()).then(|| format!("{{{}}}", texts.join(",")))
}

fn element(text: &str) -> String {
    let is_special = |c: char| "{},\"\\ \t\n\r\x0b\x0c".contains(c);
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(is_special) {
        return text.to_string();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_quoted_where_they_must_be() {
        let values = ["a", "", "b c", "null", "d\"e\\"].map(|text| Value::Text(text.into()));
        let printed = array(values.iter(), SqlType::Text);
        assert_eq!(printed.as_deref(), Some(r#"{a,"","b c","null","d\"e\\"}"#));
        assert_eq!(array([].iter(), SqlType::Text), None);
    }
}
