//! `information_schema.table_constraints`, `check_constraints`, `key_column_usage`,
//! `constraint_column_usage` and `constraint_table_usage`: PRIMARY KEY, UNIQUE and CHECK. NOT NULL
//! is a CHECK to the standard, with a name that PostgreSQL makes of OIDs.

use kestrel_planner::{
    access::Actor,
    catalog::{COLUMN_PRIVILEGES, ColumnDef, ObjectKind, Privilege, Privileges, TableDef},
};

use super::super::{
    SystemViewContext,
    name::check_definition,
    relation::{keys, schema_oid},
    rows::{Rows, row},
};

/// What `constraint_type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PrimaryKey,
    Unique,
    Check,
    NotNull,
}

impl Kind {
    fn is_key(self) -> bool {
        matches!(self, Self::PrimaryKey | Self::Unique)
    }

    fn name(self) -> &'static str {
        match self {
            Self::PrimaryKey => "PRIMARY KEY",
            Self::Unique => "UNIQUE",
            Self::Check | Self::NotNull => "CHECK",
        }
    }
}

/// A constraint of a table.
struct Constraint<'a> {
    table: &'a TableDef,
    name: String,
    kind: Kind,
    columns: Vec<&'a ColumnDef>,
    /// What CHECK and NOT NULL say.
    condition: Option<String>,
}

/// All constraints of the tables but for other sessions' temporary ones.
fn constraints(context: &SystemViewContext) -> impl Iterator<Item = Constraint<'_>> {
    let tables = context.catalog.tables.values();
    let tables = tables.filter(move |table| !context.is_of_other_session(&table.schema_name));
    tables.flat_map(move |table| of_table(context, table))
}

fn of_table<'a>(context: &SystemViewContext, table: &'a TableDef) -> Vec<Constraint<'a>> {
    let columns = |ids: &[u32]| ids.iter().filter_map(|id| table.column_by_id(*id)).collect();
    let keys = keys(table).map(|(key, is_primary)| Constraint {
        table,
        name: key.name.clone(),
        kind: if is_primary { Kind::PrimaryKey } else { Kind::Unique },
        columns: columns(&key.columns),
        condition: None,
    });
    let checks = table.checks.iter().map(|check| {
        let definition = check_definition(check, false);
        Constraint {
            table,
            name: check.name.clone(),
            kind: Kind::Check,
            columns: columns(&check.columns),
            condition: definition.strip_prefix("CHECK ").map(String::from),
        }
    });
    let schema = schema_oid(&context.catalog, &table.schema_name).unwrap_or(0);
    let primary_key = table.primary_key.as_ref();
    let in_primary_key = |id| primary_key.is_some_and(|key| key.columns.contains(&id));
    let not_null = table.columns.iter().filter(|c| c.not_null || in_primary_key(c.id));
    let not_null = not_null.map(|column| Constraint {
        table,
        name: format!("{schema}_{}_{}_not_null", table.id, column.id),
        kind: Kind::NotNull,
        columns: vec![column],
        condition: Some(format!("{} IS NOT NULL", column.name)),
    });
    keys.chain(checks).chain(not_null).collect()
}

/// Those of tables that the role owns or may change.
pub(in super::super) fn table_constraints(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "constraint_catalog, constraint_schema, constraint_name, table_catalog, \
         table_schema, table_name, constraint_type, is_deferrable, initially_deferred, \
         enforced, nulls_distinct",
    );
    let database = &context.session.database;
    let actor = context.actor();
    for Constraint { table, name, kind, .. } in constraints(context) {
        if !may_change(&actor, table) {
            continue;
        }
        let schema = &table.schema_name;
        rows.push(row![
            database,
            schema,
            name,
            database,
            schema,
            &table.name,
            kind.name(),
            "NO",
            "NO",
            "YES",
            (kind == Kind::Unique).then_some("YES"),
        ]);
    }
    rows
}

/// Does the role own the table, or may it do more than read it or one of its columns?
fn may_change(actor: &Actor<'_>, table: &TableDef) -> bool {
    let select = Privilege::Select.into();
    let changes = |held: Privileges| !held.without(select).is_empty();
    actor.owns(table.id)
        || changes(actor.privileges(table.id, ObjectKind::Table))
        || table.columns.iter().any(|c| changes(actor.column_privileges(table.id, c.id)))
}

/// Those of tables that the role owns.
pub(in super::super) fn check_constraints(context: &SystemViewContext) -> Rows {
    let mut rows =
        Rows::new("constraint_catalog, constraint_schema, constraint_name, check_clause");
    let (database, actor) = (&context.session.database, context.actor());
    for Constraint { table, name, condition, .. } in constraints(context) {
        if condition.is_some() && actor.owns(table.id) {
            rows.push(row![database, &table.schema_name, name, condition]);
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
    for Constraint { table, name, columns, .. } in constraints(context).filter(|c| c.kind.is_key())
    {
        let of_table = actor.privileges(table.id, ObjectKind::Table).and(COLUMN_PRIVILEGES);
        for (at, column) in columns.into_iter().enumerate() {
            let held = of_table.with(actor.column_privileges(table.id, column.id));
            if held.is_empty() && !actor.owns(table.id) {
                continue;
            }
            let schema = &table.schema_name;
            rows.push(row![
                database,
                schema,
                &name,
                database,
                schema,
                &table.name,
                &column.name,
                at + 1,
            ]);
        }
    }
    rows
}

/// The columns that constraints are about.
pub(in super::super) fn constraint_column_usage(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "table_catalog, table_schema, table_name, column_name, constraint_catalog, \
         constraint_schema, constraint_name",
    );
    let (database, actor) = (&context.session.database, context.actor());
    for Constraint { table, name, kind, columns, .. } in constraints(context) {
        if kind == Kind::NotNull || !actor.owns(table.id) {
            continue;
        }
        let schema = &table.schema_name;
        for column in columns {
            rows.push(row![database, schema, &table.name, &column.name, database, schema, &name]);
        }
    }
    rows
}

/// The tables that keys are about.
pub(in super::super) fn constraint_table_usage(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "table_catalog, table_schema, table_name, constraint_catalog, constraint_schema, \
         constraint_name",
    );
    let (database, actor) = (&context.session.database, context.actor());
    for Constraint { table, name, .. } in constraints(context).filter(|c| c.kind.is_key()) {
        if actor.owns(table.id) {
            let schema = &table.schema_name;
            rows.push(row![database, schema, &table.name, database, schema, name]);
        }
    }
    rows
}
