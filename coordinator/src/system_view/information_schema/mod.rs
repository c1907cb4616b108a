//! Schema `information_schema`: what the SQL standard says a catalog shows.

pub(super) mod columns;
pub(super) mod constraints;
pub(super) mod privileges;
pub(super) mod roles;
pub(super) mod schemata;
pub(super) mod sequences;
pub(super) mod tables;
pub(super) mod views;
