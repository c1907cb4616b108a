//! The SQL that is sent to the databases that hold shards: texts, made by pure functions. Datanodes
//! scan with it; the coordinator makes tables and changes rows with it.
//!
//! Names are quoted and types are called by their names in `pg_catalog`, which mean the same in every
//! compatibility mode of KingbaseES and under every `search_path`. Values stand in the text as
//! quoted literals with their type, since shards are spoken to without parameters: the extended
//! protocol is not everywhere. Every session has `standard_conforming_strings = on`.
//!
//! A filter of a scan is pushed to the database only if its answer there is Kestrel's for every row, and if it
//! can fail for none: `expr` has the list. UPDATE and DELETE are the databases' own statements: what
//! they compute may fail there, as it may in PostgreSQL.

pub mod bucket;
mod capabilities;
pub mod change;
pub mod ddl;
mod expr;
mod literal;
pub mod maintenance;
mod quote;
mod ranges;
pub mod redistribution;
mod relation;
mod sample;
mod scan;
mod types;

pub use capabilities::Capabilities;
pub use expr::{computed, obstacle, pushed};
pub use literal::literal;
pub use quote::{identifier, string};
pub use ranges::{HashKey, Piece, pieces};
pub use relation::Relation;
pub use sample::SampleSize;
pub use scan::ScanSql;
pub use types::type_name;
