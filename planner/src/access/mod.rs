//! Who may do what: pure decisions over a catalog snapshot, with PostgreSQL's rules and words
//! (catalog/aclchk.c).
//!
//! - `actor`: what a role holds on an object.
//! - `reads`: what a query reads, and whether a role may read that; views read as their owners.
//! - `statement`: what a DDL statement names, before it is planned.
//! - `changes`: whether a role may make the changes of a DDL statement, and who owns what is new.

mod actor;
mod changes;
mod denied;
mod reads;
mod statement;
#[cfg(test)]
mod tests;

pub use actor::Actor;
pub use changes::{check_changes, with_owners};
pub use denied::{denied, insufficient, must_be_member, must_be_owner, not_same_owner};
pub use reads::{check_reads, check_schema, check_sequence, check_table};
pub use statement::check_statement;
