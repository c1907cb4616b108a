//! Golden tests: `testdata/ddl`. Every file begins with an empty catalog and keeps what its
//! statements create. `REWRITE=1` writes what they print into the files.
//!
//! Directives: `ddl [search_path=(a,b)] [columns=(a,b) types=(integer,text)]`, where `columns` are
//! those of the query of a CREATE TABLE … AS; `catalog` prints what is there.

use std::fmt::Write;

use datadriven::TestCase;
use kestrel_proto::{ErrorReport, Result};

use super::{DdlPlan, Identity, create_table_as, plan, with_named_owners};
use crate::{
    catalog::{Catalog, CatalogChange, INITIAL_ROLE_ID, KeyDef, SqlType, TableDef},
    parse::{StatementKind, parse},
};

#[test]
fn golden() {
    datadriven::walk("testdata/ddl", |file| {
        let mut catalog = Catalog::empty();
        file.run(|case| match case.directive.as_str() {
            "ddl" => run(case, &mut catalog),
            "catalog" => print_catalog(&catalog),
            other => panic!("unknown directive: {other}"),
        });
    });
}

fn run(case: &TestCase, catalog: &mut Catalog) -> String {
    let argument = |name: &str| case.args.get(name).cloned();
    let search_path =
        argument("search_path").unwrap_or_else(|| vec!["$user".into(), "public".into()]);
    let names = argument("columns").unwrap_or_default();
    let types = argument("types").unwrap_or_default();
    let types = types.iter().map(|t| SqlType::parse(t).unwrap());
    let columns: Vec<_> = names.into_iter().zip(types).collect();
    let mut out = String::new();
    let statements = match parse(&case.input) {
        Ok(statements) => statements,
        Err(e) => return report(&e),
    };
    let several = statements.len() > 1;
    for statement in statements {
        if several {
            writeln!(out, "> {}", statement.sql.lines().next().unwrap_or("")).unwrap();
        }
        let outcome = match &statement.kind {
            StatementKind::Ddl(ddl) => {
                let identity = Identity { session: INITIAL_ROLE_ID, current: INITIAL_ROLE_ID };
                plan(&with_named_owners(ddl, catalog, identity), catalog, &search_path)
            }
            StatementKind::CreateTableAs(create) => {
                create_table_as(create, &columns, catalog, &search_path)
            }
            other => panic!("no DDL: {other:?}"),
        };
        match apply(outcome, catalog, &mut out) {
            Ok(next) => *catalog = next,
            Err(e) => out += &report(&e),
        }
    }
    out
}

/// Prints the plan; the catalog after it.
fn apply(plan: Result<DdlPlan>, catalog: &Catalog, out: &mut String) -> Result<Catalog> {
    let plan = plan?;
    let next = catalog.apply(&plan.changes)?;
    plan.notices.iter().for_each(|n| *out += &report(n));
    for change in &plan.changes {
        *out += &print_change(change, catalog);
    }
    writeln!(out, "{}", plan.tag).unwrap();
    Ok(next)
}

fn report(report: &ErrorReport) -> String {
    let position = report.position.map_or(String::new(), |p| format!(" @{p}"));
    let (severity, sqlstate) = (report.severity.as_str(), report.sqlstate.as_str());
    let mut out = format!("{severity} {sqlstate}{position}: {}\n", report.message);
    for (label, text) in [("detail", &report.detail), ("hint", &report.hint)] {
        if let Some(text) = text {
            writeln!(out, "  {label}: {}", text.replace('\n', "\n    ")).unwrap();
        }
    }
    out
}

fn print_change(change: &CatalogChange, before: &Catalog) -> String {
    let table_name = |id: &u64| match before.table_by_id(*id) {
        Some(table) => format!("{}.{}", table.schema_name, table.name),
        None => format!("{id}"),
    };
    match change {
        CatalogChange::CreateTable(table) => format!("+ {}", print_table(table)),
        CatalogChange::AlterTable { after, .. } => format!("~ {}", print_table(after)),
        CatalogChange::DropTable(id) => format!("- table {}\n", table_name(id)),
        CatalogChange::RemoveAllSegments { table } => {
            format!("- segments of {}\n", table_name(table))
        }
        CatalogChange::CreateSchema(schema) => format!("+ schema {} #{}\n", schema.name, schema.id),
        CatalogChange::DropSchema(name) => format!("- schema {name}\n"),
        CatalogChange::CreateSequence(s) => format!(
            "+ sequence {}.{} #{} max {} owned by {:?}\n",
            s.schema_name, s.name, s.id, s.max_value, s.owned_by
        ),
        other => format!("{other:?}\n"),
    }
}

fn print_table(table: &TableDef) -> String {
    let mut out = format!("table {}.{} #{}\n", table.schema_name, table.name, table.id);
    for column in &table.columns {
        write!(out, "    {} {} {}", column.id, column.name, column.sql_type).unwrap();
        if column.not_null {
            out += " not null";
        }
        if let Some(default) = &column.default {
            write!(out, " default {default}").unwrap();
        }
        out += "\n";
    }
    let key = |kind: &str, key: &KeyDef| {
        let ids: Vec<_> = key.columns.iter().map(u32::to_string).collect();
        format!("    {kind} {} #{} ({})\n", key.name, key.id, ids.join(", "))
    };
    out.extend(table.primary_key.iter().map(|k| key("primary key", k)));
    out.extend(table.unique_keys.iter().map(|k| key("unique", k)));
    let mut ids = |kind: &str, name: &str, id: u64, columns: &[u32], more: &str| {
        let columns: Vec<_> = columns.iter().map(u32::to_string).collect();
        writeln!(out, "    {kind} {name} #{id} ({}){more}", columns.join(", ")).unwrap();
    };
    for check in &table.checks {
        let condition = format!(" {}", check.condition);
        ids("check", &check.name, check.id, &check.columns, &condition);
    }
    for index in &table.indexes {
        let kind = if index.is_unique { "unique index" } else { "index" };
        ids(kind, &index.key.name, index.key.id, &index.key.columns, "");
    }
    writeln!(out, "    {}", table.distributed_clause()).unwrap();
    if let Some(key) = table.partition_key() {
        writeln!(out, "    PARTITION BY {key}").unwrap();
    }
    if let Some(of) = &table.partition_of {
        writeln!(out, "    {}", of.bound.text()).unwrap();
    }
    out
}

fn print_catalog(catalog: &Catalog) -> String {
    let schemas: Vec<_> = catalog.schemas.keys().map(String::as_str).collect();
    let mut out = format!("version {}, schemas {}\n", catalog.version, schemas.join(", "));
    for table in catalog.tables.values() {
        out += &print_table(table);
    }
    for sequence in catalog.sequences.values() {
        let (schema, name) = (&sequence.schema_name, &sequence.name);
        writeln!(out, "sequence {schema}.{name}").unwrap();
    }
    out
}
