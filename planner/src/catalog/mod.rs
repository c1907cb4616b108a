//! The catalog as the planner sees it: an immutable, versioned snapshot, and the changes that lead
//! from one to the next.

mod change;
mod distribution;
mod resolve;
mod role;
mod snapshot;
mod sql_type;
mod table;

pub use change::CatalogChange;
pub use distribution::Distribution;
pub(crate) use resolve::{RelationKind, relation_kind};
pub use resolve::{SYSTEM_SCHEMAS, creation_schema, find_table, is_system_schema, resolve_table};
pub use role::{INITIAL_ROLE, INITIAL_ROLE_ID, RoleDef, Verifier};
pub use snapshot::{Catalog, DatanodeDef, SchemaDef, SequenceDef};
pub use sql_type::{HashClass, SQL_TYPE_METADATA, SqlType};
pub use table::{ColumnDef, KeyDef, Segment, TableDef};
