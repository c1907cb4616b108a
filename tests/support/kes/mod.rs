//! A PostgreSQL 15 as like a KingbaseES as can be had without one: on the wire (`shim`), and in a
//! database (SQL that is run when it is made).

mod shim;

pub(crate) use shim::{KesShim, SERVER_VERSION, VERSION};

/// Takes away what KingbaseES, of PostgreSQL 12's lineage, does not have.
pub(crate) const KES12: &str = include_str!("kes12.sql");
/// Adds the catalogs under their `sys_` names. Needs [`SETTINGS`].
pub(crate) const SYS_CATALOG: &str = include_str!("sys_catalog.sql");
/// After that: takes `pg_` names away. Needs [`SETTINGS`].
pub(crate) const SYS_ONLY: &str = include_str!("sys_only.sql");

/// Settings of a server whose databases get these.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("allow_system_table_mods", "on"),
    // PostgreSQL 12 looks at whole tables for a range of TIDs.
    ("enable_tidscan", "off"),
    ("enable_incremental_sort", "off"),
];
