//! Schema `pg_catalog`: PostgreSQL's system catalogs and views, and Greenplum's policy table.

pub(super) mod fixed;
pub(super) mod gp_distribution_policy;
pub(super) mod pg_acl;
pub(super) mod pg_attrdef;
pub(super) mod pg_attribute;
pub(super) mod pg_class;
pub(super) mod pg_constraint;
pub(super) mod pg_cursors;
pub(super) mod pg_database;
pub(super) mod pg_depend;
pub(super) mod pg_description;
pub(super) mod pg_index;
pub(super) mod pg_indexes;
pub(super) mod pg_locks;
pub(super) mod pg_namespace;
pub(super) mod pg_prepared_statements;
pub(super) mod pg_rewrite;
pub(super) mod pg_roles;
pub(super) mod pg_sequence;
pub(super) mod pg_settings;
pub(super) mod pg_stat_activity;
pub(super) mod pg_stat_database;
pub(super) mod pg_stat_indexes;
pub(super) mod pg_stat_tables;
pub(super) mod pg_tables;
pub(super) mod pg_timezones;
