//! What Kestrel tells about itself: schema `kestrel`, and PostgreSQL's `pg_catalog` and
//! `information_schema`, which clients ask about tables, columns and keys.
//!
//! Everything here is computed from one catalog version and the facts about one session (a
//! [`SystemViewContext`]), so a statement that reads system views
//!
//! 1. is rewritten where clients write what the SQL planner cannot take ([`rewrite`]),
//! 2. is planned over the views as tables ([`SystemView::arrow_schema`]) with [`functions`],
//! 3. runs on the coordinator over [`SystemView::batch`].
//!
//! The columns of all system relations are in `data/relations.txt`. A view with rows is a function
//! in a file of its own and a line in `SYSTEM_VIEWS`; a relation without such a line is empty:
//! Kestrel has no triggers, policies, publications, …
//!
//! OIDs of tables, indexes and sequences are those of the catalog and never change; those below
//! 16384 are PostgreSQL's where PostgreSQL has the object, and 15000 to 15999 our own.

mod context;
mod definition;
pub mod functions;
mod gp_toolkit;
mod information_schema;
mod kestrel;
mod name;
mod pg_catalog;
mod privileges;
mod relation;
pub mod rewrite;
mod rows;
#[cfg(test)]
mod test_context;
#[cfg(test)]
mod tests;
mod types;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    datatypes::{Field, Schema, SchemaRef},
};
use kestrel_planner::{
    access::insufficient,
    catalog::{INITIAL_ROLE_ID, SequenceDef, SqlType},
    error::report,
};
use kestrel_proto::Result;

use crate::catalog::SequenceStanding;
pub use context::{
    AdvisoryLock, CursorFacts, Lazy, PreparedFacts, SessionControl, SessionFacts, SettingFacts,
    SystemViewContext, lazy,
};
use definition::{DEFINITIONS, Definition};
use rows::Rows;

/// The role that owns the system.
const OWNER_OID: i64 = INITIAL_ROLE_ID.cast_signed();
const DATABASE_OID: i64 = 5;

/// The one row of a sequence.
///
/// Errors: 58030 when it cannot be read.
pub fn sequence_row(context: &SystemViewContext, sequence: &SequenceDef) -> Result<RecordBatch> {
    let standing = match &context.control {
        Some(control) => control.standing(sequence)?,
        None => SequenceStanding { state: sequence.initial_state(), leased: 0 },
    };
    let fields: Vec<Field> = vec![
        SqlType::BigInt.field("last_value", false),
        SqlType::BigInt.field("log_cnt", false),
        SqlType::Boolean.field("is_called", false),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![standing.state.last_value])),
        Arc::new(Int64Array::from(vec![standing.leased.cast_signed()])),
        Arc::new(BooleanArray::from(vec![standing.state.is_called])),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| report(e.into()))
}

/// Computes a view's rows.
type Fill = fn(&SystemViewContext) -> Rows;

/// Every view that has rows: one line each.
const SYSTEM_VIEWS: &[(&str, &str, Fill)] = &[
    ("gp_toolkit", "gp_bloat_diag", gp_toolkit::gp_bloat_diag::rows),
    ("gp_toolkit", "gp_skew_coefficients", gp_toolkit::gp_skew::coefficients),
    ("gp_toolkit", "gp_skew_idle_fractions", gp_toolkit::gp_skew::idle_fractions),
    ("gp_toolkit", "gp_stats_missing", gp_toolkit::gp_stats_missing::rows),
    ("kestrel", "advice", kestrel::advice::rows),
    ("kestrel", "auto_analyze_history", kestrel::auto_analyze_history::rows),
    ("kestrel", "copy_errors", kestrel::copy_errors::rows),
    ("kestrel", "datanodes", kestrel::datanodes::rows),
    ("kestrel", "load_progress", kestrel::load_progress::rows),
    ("kestrel", "queries", kestrel::queries::rows),
    ("kestrel", "redistribution_progress", kestrel::redistribution_progress::rows),
    ("kestrel", "table_distributions", kestrel::table_distributions::rows),
    ("kestrel", "table_placement", kestrel::table_placement::rows),
    ("kestrel", "table_skew", kestrel::table_skew::rows),
    ("kestrel", "table_statistics", kestrel::table_statistics::rows),
    ("kestrel", "transactions_in_doubt", kestrel::transactions_in_doubt::rows),
    ("pg_catalog", "gp_distribution_policy", pg_catalog::gp_distribution_policy::rows),
    ("pg_catalog", "pg_am", pg_catalog::fixed::pg_am),
    ("pg_catalog", "pg_attrdef", pg_catalog::pg_attrdef::rows),
    ("pg_catalog", "pg_attribute", pg_catalog::pg_attribute::rows),
    ("pg_catalog", "pg_auth_members", pg_catalog::pg_acl::pg_auth_members),
    ("pg_catalog", "pg_authid", pg_catalog::pg_roles::pg_authid),
    ("pg_catalog", "pg_class", pg_catalog::pg_class::rows),
    ("pg_catalog", "pg_collation", pg_catalog::fixed::pg_collation),
    ("pg_catalog", "pg_constraint", pg_catalog::pg_constraint::rows),
    ("pg_catalog", "pg_cursors", pg_catalog::pg_cursors::rows),
    ("pg_catalog", "pg_database", pg_catalog::pg_database::rows),
    ("pg_catalog", "pg_db_role_setting", pg_catalog::pg_acl::pg_db_role_setting),
    ("pg_catalog", "pg_default_acl", pg_catalog::pg_acl::pg_default_acl),
    ("pg_catalog", "pg_depend", pg_catalog::pg_depend::rows),
    ("pg_catalog", "pg_description", pg_catalog::pg_description::pg_description),
    ("pg_catalog", "pg_group", pg_catalog::pg_acl::pg_group),
    ("pg_catalog", "pg_index", pg_catalog::pg_index::rows),
    ("pg_catalog", "pg_indexes", pg_catalog::pg_indexes::rows),
    ("pg_catalog", "pg_inherits", pg_catalog::pg_partition::pg_inherits),
    ("pg_catalog", "pg_language", pg_catalog::fixed::pg_language),
    ("pg_catalog", "pg_locks", pg_catalog::pg_locks::rows),
    ("pg_catalog", "pg_namespace", pg_catalog::pg_namespace::rows),
    ("pg_catalog", "pg_opclass", pg_catalog::fixed::pg_opclass),
    ("pg_catalog", "pg_partitioned_table", pg_catalog::pg_partition::pg_partitioned_table),
    ("pg_catalog", "pg_prepared_statements", pg_catalog::pg_prepared_statements::rows),
    ("pg_catalog", "pg_proc", pg_catalog::fixed::pg_proc),
    ("pg_catalog", "pg_rewrite", pg_catalog::pg_rewrite::rows),
    ("pg_catalog", "pg_roles", pg_catalog::pg_roles::pg_roles),
    ("pg_catalog", "pg_sequence", pg_catalog::pg_sequence::pg_sequence),
    ("pg_catalog", "pg_sequences", pg_catalog::pg_sequence::pg_sequences),
    ("pg_catalog", "pg_settings", pg_catalog::pg_settings::rows),
    ("pg_catalog", "pg_shdescription", pg_catalog::pg_description::pg_shdescription),
    ("pg_catalog", "pg_shadow", pg_catalog::pg_roles::pg_shadow),
    ("pg_catalog", "pg_stat_activity", pg_catalog::pg_stat_activity::rows),
    ("pg_catalog", "pg_stat_all_indexes", pg_catalog::pg_stat_indexes::rows),
    ("pg_catalog", "pg_stat_all_tables", pg_catalog::pg_stat_tables::rows),
    ("pg_catalog", "pg_stat_database", pg_catalog::pg_stat_database::rows),
    ("pg_catalog", "pg_stat_progress_copy", pg_catalog::pg_stat_progress_copy::rows),
    ("pg_catalog", "pg_stat_user_indexes", pg_catalog::pg_stat_indexes::rows),
    ("pg_catalog", "pg_stat_user_tables", pg_catalog::pg_stat_tables::rows),
    ("pg_catalog", "pg_statistic_ext", pg_catalog::pg_statistic_ext::pg_statistic_ext),
    ("pg_catalog", "pg_stats", pg_catalog::pg_stats::rows),
    ("pg_catalog", "pg_stats_ext", pg_catalog::pg_statistic_ext::pg_stats_ext),
    ("pg_catalog", "pg_tables", pg_catalog::pg_tables::pg_tables),
    ("pg_catalog", "pg_tablespace", pg_catalog::fixed::pg_tablespace),
    ("pg_catalog", "pg_timezone_abbrevs", pg_catalog::pg_timezones::abbreviations),
    ("pg_catalog", "pg_timezone_names", pg_catalog::pg_timezones::names),
    ("pg_catalog", "pg_type", pg_catalog::fixed::pg_type),
    ("pg_catalog", "pg_user", pg_catalog::pg_roles::pg_user),
    ("pg_catalog", "pg_views", pg_catalog::pg_tables::pg_views),
    (
        "information_schema",
        "administrable_role_authorizations",
        information_schema::roles::administrable,
    ),
    ("information_schema", "applicable_roles", information_schema::roles::applicable_roles),
    ("information_schema", "check_constraints", information_schema::constraints::check_constraints),
    ("information_schema", "character_sets", information_schema::schemata::character_sets),
    ("information_schema", "column_privileges", information_schema::privileges::column_privileges),
    ("information_schema", "columns", information_schema::columns::rows),
    (
        "information_schema",
        "constraint_column_usage",
        information_schema::constraints::constraint_column_usage,
    ),
    (
        "information_schema",
        "constraint_table_usage",
        information_schema::constraints::constraint_table_usage,
    ),
    ("information_schema", "enabled_roles", information_schema::roles::enabled_roles),
    (
        "information_schema",
        "information_schema_catalog_name",
        information_schema::schemata::information_schema_catalog_name,
    ),
    ("information_schema", "key_column_usage", information_schema::constraints::key_column_usage),
    (
        "information_schema",
        "role_column_grants",
        information_schema::privileges::role_column_grants,
    ),
    ("information_schema", "role_table_grants", information_schema::privileges::role_table_grants),
    ("information_schema", "role_usage_grants", information_schema::privileges::role_usage_grants),
    ("information_schema", "schemata", information_schema::schemata::schemata),
    ("information_schema", "sequences", information_schema::sequences::rows),
    ("information_schema", "table_constraints", information_schema::constraints::table_constraints),
    ("information_schema", "table_privileges", information_schema::privileges::table_privileges),
    ("information_schema", "tables", information_schema::tables::rows),
    ("information_schema", "usage_privileges", information_schema::privileges::usage_privileges),
    ("information_schema", "view_column_usage", information_schema::views::view_column_usage),
    ("information_schema", "view_table_usage", information_schema::views::view_table_usage),
    ("information_schema", "views", information_schema::views::views),
];

/// A system relation that statements can read.
#[derive(Clone, Copy, Debug)]
pub struct SystemView {
    definition: &'static Definition,
    fill: Option<Fill>,
}

/// All system relations.
pub fn system_views() -> impl Iterator<Item = SystemView> {
    DEFINITIONS.iter().map(SystemView::of)
}

/// The system relation of this schema and name. Every name in a statement is looked for here.
pub fn system_view(schema: &str, name: &str) -> Option<SystemView> {
    static BY_NAME: LazyLock<HashMap<(&str, &str), SystemView>> = LazyLock::new(|| {
        system_views().map(|view| ((view.schema_name(), view.name()), view)).collect()
    });
    BY_NAME.get(&(schema, name)).copied()
}

impl SystemView {
    fn of(definition: &'static Definition) -> Self {
        let line = SYSTEM_VIEWS
            .iter()
            .find(|(schema, name, _)| (*schema, *name) == (definition.schema, definition.name));
        Self { definition, fill: line.map(|(_, _, fill)| *fill) }
    }

    /// `kestrel`, `pg_catalog`, `information_schema` or `gp_toolkit`
    pub fn schema_name(&self) -> &'static str {
        self.definition.schema
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.definition.name
    }

    /// Its OID, as `pg_class` shows it.
    pub fn oid(&self) -> u32 {
        self.definition.oid as u32
    }

    /// No cluster has rows in it.
    pub fn is_always_empty(&self) -> bool {
        self.fill.is_none()
    }

    /// Its columns. `oid` is held as Int64 and `name` and `"char"` as Utf8View
    /// (`SqlType::Oid`, `Name` and `Text`); vectors and arrays as List of Int16, Int64, floats or Utf8View,
    /// arrays with PostgreSQL's name of the type (`_text`) under `SQL_TYPE_METADATA`.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.definition.arrow)
    }

    /// Its rows. 42501 for those that only superusers see.
    pub fn batch(&self, context: &SystemViewContext) -> Result<RecordBatch> {
        let is_hidden = privileges::ONLY_FOR_SUPERUSERS.contains(&self.definition.name);
        if is_hidden && !context.actor().is_superuser() {
            let kind = if self.definition.kind == "r" { "table" } else { "view" };
            return Err(insufficient(format!("permission denied for {kind} {}", self.name())));
        }
        self.fill.map_or_else(Rows::none, |fill| fill(context)).batch(self.definition)
    }
}
