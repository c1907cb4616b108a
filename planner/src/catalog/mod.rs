//! The catalog as the planner sees it: an immutable, versioned snapshot, and the changes that lead
//! from one to the next.

mod access;
mod acl;
mod apply;
mod change;
mod comment;
mod decision;
mod distribution;
mod element;
mod membership;
mod partition;
mod partition_tree;
mod privilege;
mod resolve;
mod role;
mod segment;
mod segment_files;
mod sequence;
mod sequence_default;
mod snapshot;
mod sql_type;
mod statistics;
mod table;
mod temporary;
mod view;

pub use access::{AccessDef, DefaultAclDef, PUBLIC_SCHEMA_ID};
pub use acl::{AclChange, AclItem, PUBLIC, default_acl, grant, revoke};
pub use change::CatalogChange;
pub use comment::{CommentDef, DATABASE_OID};
pub use decision::DecisionDef;
pub use distribution::Distribution;
pub use element::Element;
pub use membership::{
    DATABASE_OWNER_ID, Membership, READ_ALL_DATA_ID, READ_ALL_SETTINGS_ID, READ_ALL_STATS_ID,
    RoleSettings, SIGNAL_BACKEND_ID, WRITE_ALL_DATA_ID,
};
pub use partition::{
    BoundValue, PartitionBound, PartitionOf, PartitionStrategy, PartitionTemplate, PartitionedBy,
    RangeEnd, ends_text,
};
pub use partition_tree::PartitionTree;
pub use privilege::{COLUMN_PRIVILEGES, ObjectKind, Privilege, Privileges};
pub use resolve::{
    Found, SYSTEM_SCHEMAS, creation_schema, find_relation, find_sequence, find_table,
    is_system_schema, resolve_table,
};
pub(crate) use resolve::{RelationKind, relation_kind};
pub use role::{INITIAL_ROLE, INITIAL_ROLE_ID, RoleDef, Verifier};
pub use segment::{DeleteVector, ReplacedVector, RewrittenSegment, Segment};
pub use segment_files::SegmentFile;
pub use sequence::{SequenceDef, SequenceState, largest, smallest};
pub use sequence_default::sequence_of;
pub(crate) use sequence_default::{default_of, rename_sequence};
pub use snapshot::{COLUMNAR, Catalog, DatanodeDef, KES, SchemaDef};
pub use sql_type::{HashClass, SQL_TYPE_METADATA, SqlType};
pub use table::{
    CheckDef, ColumnDef, ExtendedStatistics, Identity, IndexDef, KeyDef, MISSING_VALUE_METADATA,
    ShardRows, Storage, TableDef,
};
pub(crate) use temporary::of_other_session;
pub use temporary::{
    OnCommit, PG_TEMP, is_temporary_schema, own_temporary_schema, schemas_of, temporary_schema,
};
pub use view::{NamedRelation, ViewColumn, ViewDef, ViewRelation};
