//! `information_schema.table_constraints`, `key_column_usage` and `constraint_column_usage`:
//! PRIMARY KEY and UNIQUE; `table_constraints` has CHECK, too.

use kestrel_planner::catalog::{
    COLUMN_PRIVILEGES, ColumnDef, KeyDef, ObjectKind, Privilege, TableDef,
};

use super::super::{
    SystemViewContext,
    relation::keys,
    rows::{Rows, row},
};

pub(in super::super) fn table_constraints(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "constraint_catalog, constraint_schema, constraint_name, table_catalog, \
         table_schema, table_name, constraint_type, is_deferrable, initially_deferred, \
         enforced, nulls_distinct",
    );
    let database = &context.session.database;
    let actor = context.actor();
    let may = |table: &TableDef| {
        let changes = actor.privileges(table.id, ObjectKind::Table);
        actor.owns(table.id) || !changes.without(Privilege::Select.into()).is_empty()
    };
    for table in context.catalog.tables.values().filter(|table| may(table)) {
        for (key, is_primary) in keys(table) {
            rows.push(row![
                database,
                &table.schema_name,
                &key.name,
                database,
                &table.schema_name,
                &table.name,
                if is_primary { "PRIMARY KEY" } else { "UNIQUE" },
                "NO",
                "NO",
                "YES",
                (!is_primary).then_some("YES"),
            ]);
        }
        for check in &table.checks {
            rows.push(row![
                database,
                &table.schema_name,
                &check.name,
                database,
                &table.schema_name,
                &table.name,
                "CHECK",
                "NO",
                "NO",
                "YES",
                None::<&'static str>,
            ]);
        }
    }
    rows
}

pub(in super::super) fn key_column_usage(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "constraint_catalog, constraint_schema, constraint_name, table_catalog, \
         table_schema, table_name, column_name, ordinal_position",
    );
    let database = &context.session.database;
    let actor = context.actor();
    for (table, key, position, column) in key_columns(context) {
        let held = actor.privileges(table.id, ObjectKind::Table);
        let held = held.and(COLUMN_PRIVILEGES).with(actor.column_privileges(table.id, column.id));
        if held.is_empty() && !actor.owns(table.id) {
            continue;
        }
        let schema = &table.schema_name;
        rows.push(row![
            database,
            schema,
            &key.name,
            database,
            schema,
            &table.name,
            &column.name,
            position,
        ]);
    }
    rows
}

pub(in super::super) fn constraint_column_usage(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "table_catalog, table_schema, table_name, column_name, constraint_catalog, \
         constraint_schema, constraint_name",
    );
    let database = &context.session.database;
    let actor = context.actor();
    for (table, key, _, column) in key_columns(context).filter(|(t, ..)| actor.owns(t.id)) {
        let schema = &table.schema_name;
        rows.push(row![database, schema, &table.name, &column.name, database, schema, &key.name,]);
    }
    rows
}

/// Every column of every key, with its position in it, from 1.
fn key_columns(
    context: &SystemViewContext,
) -> impl Iterator<Item = (&TableDef, &KeyDef, usize, &ColumnDef)> {
    context.catalog.tables.values().flat_map(|table| {
        keys(table).flat_map(move |(key, _)| {
            let columns = key.columns.iter().filter_map(|id| table.column_by_id(*id)).enumerate();
            columns.map(move |(i, column)| (&**table, key, i + 1, column))
        })
    })
}
