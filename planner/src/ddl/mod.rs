//! DDL is a value: a statement and a catalog snapshot give the changes that lead to the next
//! snapshot, and what to tell the user. One file per statement.
//!
//! Messages and SQLSTATEs are PostgreSQL's; those about distribution are Greenplum's.

mod columns;
mod create_schema;
mod create_table;
mod create_table_as;
mod distribution_key;
mod drop_schema;
mod drop_table;
mod foreign_key;
mod keys;
mod names;
mod role;
mod storage;
#[cfg(test)]
mod tests;
mod truncate;

use kestrel_proto::{ErrorReport, Result};

pub use create_table_as::create_table_as;
pub use role::{RoleContext, plan_role};

use crate::{
    catalog::{Catalog, CatalogChange, TableDef},
    parse::DdlStatement,
};

/// What a DDL statement does.
#[derive(Clone, Debug, PartialEq)]
pub struct DdlPlan {
    /// In order; empty when there is nothing to do (`IF NOT EXISTS`).
    pub changes: Vec<CatalogChange>,
    /// NOTICEs and WARNINGs, in order.
    pub notices: Vec<ErrorReport>,
    /// The command tag.
    pub tag: String,
}

impl DdlPlan {
    /// With nothing to do yet.
    fn new(tag: &str) -> Self {
        Self { changes: Vec::new(), notices: Vec::new(), tag: tag.into() }
    }

    /// The table that the plan creates, if it does.
    pub fn created_table(&self) -> Option<&TableDef> {
        self.changes.iter().find_map(|change| match change {
            CatalogChange::CreateTable(table) => Some(table),
            _ => None,
        })
    }
}

/// Plans a statement against one snapshot. Names without a schema are looked up along
/// `search_path`.
///
/// Errors: 42P01, 42P06, 42P07, 3F000, 42701, 42703, 2BP01 for what exists and does not; 42P16 for
/// keys that do not fit together; 42501 and 42939 for the system's own names; 0A000 for what
/// Kestrel does not have.
pub fn plan(
    statement: &DdlStatement,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    match statement {
        DdlStatement::CreateTable(table) => create_table::create_table(table, catalog, search_path),
        DdlStatement::DropTable(drop) => drop_table::drop_table(drop, catalog, search_path),
        DdlStatement::Truncate(truncate) => truncate::truncate(truncate, catalog, search_path),
        DdlStatement::CreateSchema(create) => create_schema::create_schema(create, catalog),
        DdlStatement::DropSchema(drop) => drop_schema::drop_schema(drop, catalog),
    }
}
