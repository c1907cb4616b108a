//! `pg_partitioned_table`, and `pg_inherits`, where partitions stand: nothing else inherits.

use kestrel_planner::catalog::ColumnDef;

use super::{
    super::{
        SystemViewContext,
        rows::{Rows, row},
        types,
    },
    pg_index::operator_class,
};

pub(in super::super) fn pg_inherits(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("inhrelid, inhparent, inhseqno, inhdetachpending");
    for table in context.catalog.tables.values() {
        if let Some(parent) = table.parent_id() {
            rows.push(row![table.id, parent, 1, false]);
        }
    }
    rows
}

pub(in super::super) fn pg_partitioned_table(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "partrelid, partstrat, partnatts, partdefid, partattrs, partclass, partcollation",
    );
    for table in context.catalog.tables.values() {
        let Some(by) = &table.partitioned_by else { continue };
        let default = context.catalog.default_partition(table.id).map_or(0, |table| table.id);
        let columns = table.partition_columns();
        let each =
            |value: fn(&ColumnDef) -> i64| columns.iter().map(|c| value(c)).collect::<Vec<_>>();
        rows.push(row![
            table.id,
            by.strategy.letter(),
            columns.len(),
            default,
            each(|c| c.id.into()),
            each(|c| operator_class(c.sql_type.oid())),
            each(|c| types::by_oid(c.sql_type.oid().into()).map_or(0, |t| t.collation)),
        ]);
    }
    rows
}
