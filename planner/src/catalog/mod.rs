//! The catalog as the planner sees it: an immutable, versioned snapshot, and the changes that lead
//! from one to the next.

mod access;
mod acl;
mod apply;
mod change;
mod comment;
mod distribution;
mod membership;
mod privilege;
mod resolve;
mod role;
mod snapshot;
mod sql_type;
mod table;
mod view;

pub use access::{AccessDef, DefaultAclDef, PUBLIC_SCHEMA_ID};
pub use acl::{AclChange, AclItem, PUBLIC, default_acl, grant, revoke};
pub(crate) use apply::move_sequences;
pub use change::CatalogChange;
pub use comment::{CommentDef, DATABASE_OID};
pub use distribution::Distribution;
pub use membership::{
    DATABASE_OWNER_ID, Membership, READ_ALL_DATA_ID, READ_ALL_SETTINGS_ID, READ_ALL_STATS_ID,
    RoleSettings, SIGNAL_BACKEND_ID, WRITE_ALL_DATA_ID,
};
pub use privilege::{COLUMN_PRIVILEGES, ObjectKind, Privilege, Privileges};
pub use resolve::{
    Found, SYSTEM_SCHEMAS, creation_schema, find_relation, find_table, is_system_schema,
    resolve_table,
};
pub(crate) use resolve::{RelationKind, relation_kind};
pub use role::{INITIAL_ROLE, INITIAL_ROLE_ID, RoleDef, Verifier};
pub use snapshot::{Catalog, DatanodeDef, SchemaDef, SequenceDef};
pub use sql_type::{HashClass, SQL_TYPE_METADATA, SqlType};
pub use table::{CheckDef, ColumnDef, IndexDef, KeyDef, MISSING_VALUE_METADATA, Segment, TableDef};
pub use view::{NamedRelation, ViewColumn, ViewDef, ViewRelation};
