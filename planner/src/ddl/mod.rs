//! DDL is a value: a statement and a catalog snapshot give the changes that lead to the next
//! snapshot, and what to tell the user. One file per statement.
//!
//! Messages and SQLSTATEs are PostgreSQL's; those about distribution are Greenplum's.

mod access;
mod alter;
mod alter_column;
mod alter_schema;
mod alter_sequence;
mod check;
mod columns;
mod comment;
mod create_schema;
mod create_table;
mod create_table_as;
mod create_view;
mod dependents;
mod distribution_key;
mod drop_schema;
mod drop_sequence;
mod drop_table;
mod drop_view;
mod extended_statistics;
mod foreign_key;
mod identity;
mod index;
mod keys;
mod missing;
mod names;
mod partition;
mod rename;
mod role;
mod role_settings;
mod sequence;
mod set_distributed;
mod storage;
#[cfg(test)]
mod tests;
mod truncate;
mod view_text;

use kestrel_proto::{ErrorReport, Result};

pub use access::{Identity, plan_access, with_named_owners};
pub use create_table_as::create_table_as;
pub use create_view::create_view;
pub use partition::BoundValues;
pub use role::{CheckedSetting, RoleContext, plan_role};
pub use view_text::view_text;

use crate::{
    catalog::{Catalog, CatalogChange, TableDef},
    parse::DdlStatement,
    partition::plain_value,
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
    /// What must be true of the rows after the changes, in order.
    pub row_checks: Vec<RowCheck>,
    /// The rows of all tables that are altered are to be where the changes say, which they are not yet.
    pub moves_rows: bool,
}

/// What must be true of a table's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowCheck {
    /// No NULL in a column.
    NotNull {
        /// The table.
        table: u64,
        /// The column's id.
        column: u32,
    },
    /// No row for which a CHECK constraint is false.
    Check {
        /// The table.
        table: u64,
        /// The constraint's OID.
        check: u64,
    },
    /// No two rows with the same key.
    Unique {
        /// The table.
        table: u64,
        /// The index's OID.
        key: u64,
    },
    /// No row that another partition takes, or none.
    Partition {
        /// The partition.
        table: u64,
        /// It becomes one. Otherwise it is the default partition, and another is new.
        is_new: bool,
    },
}

impl RowCheck {
    /// The table.
    pub fn table(&self) -> u64 {
        match self {
            Self::NotNull { table, .. }
            | Self::Check { table, .. }
            | Self::Unique { table, .. }
            | Self::Partition { table, .. } => *table,
        }
    }

    fn is_of_partition(&self) -> bool {
        matches!(self, Self::Partition { .. })
    }
}

impl DdlPlan {
    /// With nothing to do yet.
    fn new(tag: &str) -> Self {
        Self {
            changes: Vec::new(),
            notices: Vec::new(),
            tag: tag.into(),
            row_checks: Vec::new(),
            moves_rows: false,
        }
    }

    /// The table that the plan creates, if it does.
    pub fn created_table(&self) -> Option<&TableDef> {
        self.changes.iter().find_map(|change| match change {
            CatalogChange::CreateTable(table) => Some(table),
            _ => None,
        })
    }
}

/// Plans a statement against one snapshot, with nothing but plain values in partitions' bounds: see
/// [`plan_with`].
///
/// Errors: as [`plan_with`]'s.
pub fn plan(
    statement: &DdlStatement,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    plan_with(statement, catalog, search_path, &plain_value)
}

/// Plans a statement against one snapshot. Names without a schema are looked up along
/// `search_path`; `values` computes what stands in partitions' bounds.
///
/// Errors: 42P01, 42P06, 42P07, 3F000, 42701, 42703, 2BP01 for what exists and does not; 42P16 for
/// keys that do not fit together; 42501 and 42939 for the system's own names; 0A000 for what
/// Kestrel does not have.
pub fn plan_with(
    statement: &DdlStatement,
    catalog: &Catalog,
    search_path: &[String],
    values: BoundValues<'_>,
) -> Result<DdlPlan> {
    let mut plan = planned(statement, catalog, search_path, values)?;
    partition::spread(&mut plan, catalog)?;
    Ok(plan)
}

fn planned(
    statement: &DdlStatement,
    catalog: &Catalog,
    search_path: &[String],
    values: BoundValues<'_>,
) -> Result<DdlPlan> {
    match statement {
        DdlStatement::CreateTable(table) => {
            create_table::create_table(table, catalog, search_path, values)
        }
        DdlStatement::DropTable(drop) => drop_table::drop_table(drop, catalog, search_path),
        DdlStatement::Truncate(truncate) => truncate::truncate(truncate, catalog, search_path),
        DdlStatement::CreateSchema(create) => create_schema::create_schema(create, catalog),
        DdlStatement::DropSchema(drop) => drop_schema::drop_schema(drop, catalog, search_path),
        DdlStatement::AlterSchema(alter) => alter_schema::alter_schema(alter, catalog),
        DdlStatement::AlterTable(alter) => alter::alter(alter, catalog, search_path, values),
        DdlStatement::DropView(drop) => drop_view::drop_view(drop, catalog, search_path),
        DdlStatement::CreateIndex(create) => index::create_index(create, catalog, search_path),
        DdlStatement::DropIndex(drop) => index::drop_index(drop, catalog, search_path),
        DdlStatement::AlterIndex(alter) => rename::alter_index(alter, catalog, search_path),
        DdlStatement::CreateSequence(create) => {
            sequence::create_sequence(create, catalog, search_path)
        }
        DdlStatement::AlterSequence(alter) => {
            alter_sequence::alter_sequence(alter, catalog, search_path)
        }
        DdlStatement::DropSequence(drop) => {
            drop_sequence::drop_sequence(drop, catalog, search_path)
        }
        DdlStatement::CreateStatistics(create) => {
            extended_statistics::create_statistics(create, catalog, search_path)
        }
        DdlStatement::DropStatistics(drop) => {
            extended_statistics::drop_statistics(drop, catalog, search_path)
        }
        DdlStatement::Comment(comment) => comment::comment(comment, catalog, search_path),
    }
}
