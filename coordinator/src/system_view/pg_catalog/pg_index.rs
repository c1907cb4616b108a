//! `pg_index`: indexes, also those that keys show as.

use kestrel_planner::catalog::ColumnDef;

use super::super::{
    SystemViewContext,
    relation::{Index, indexes},
    rows::{Rows, row},
    types,
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "indexrelid, indrelid, indnatts, indnkeyatts, indisunique, indisprimary, \
         indimmediate, indisvalid, indisready, indislive, indkey, indcollation, indclass, \
         indoption",
    );
    for table in context.catalog.tables.values() {
        for Index { key, is_primary, is_unique } in indexes(table) {
            let columns: Vec<_> =
                key.columns.iter().filter_map(|id| table.column_by_id(*id)).collect();
            let each =
                |value: fn(&ColumnDef) -> i64| columns.iter().map(|c| value(c)).collect::<Vec<_>>();
            rows.push(row![
                key.id,
                table.id,
                columns.len(),
                columns.len(),
                is_unique,
                is_primary,
                true,
                true,
                true,
                true,
                each(|c| c.id.into()),
                each(|c| types::by_oid(c.sql_type.oid().into()).map_or(0, |t| t.collation)),
                each(|c| operator_class(c.sql_type.oid())),
                each(|_| 0),
            ]);
        }
    }
    rows
}

/// The OID in `pg_opclass` of a type's ordering; varchar is ordered as text.
pub(super) fn operator_class(type_oid: u32) -> i64 {
    match type_oid {
        16 => 10003,
        17 => 10006,
        18 => 10007,
        19 => 10028,
        20 => 3124,
        21 => 1979,
        23 => 1978,
        25 | 1043 => 3126,
        26 => 1981,
        700 => 10012,
        701 => 3123,
        1042 => 10004,
        1082 => 3122,
        1083 => 10038,
        1114 => 3128,
        1184 => 3127,
        1186 => 10022,
        1700 => 3125,
        2950 => 10065,
        _ => 0,
    }
}
