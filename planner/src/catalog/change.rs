//! What a commit does to the catalog. The durable catalog keeps a log of these.

use serde::{Deserialize, Serialize};

use super::{
    AccessDef, DatanodeDef, DecisionDef, DefaultAclDef, ReplacedVector, RewrittenSegment, RoleDef,
    RoleSettings, SchemaDef, Segment, SequenceDef, SequenceState, ShardRows, TableDef, ViewDef,
};
use crate::statistics::TableStatistics;

/// One step from a snapshot to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CatalogChange {
    /// CREATE SCHEMA
    CreateSchema(SchemaDef),
    /// DROP SCHEMA, empty by now
    DropSchema(String),
    /// CREATE TABLE
    CreateTable(TableDef),
    /// DROP TABLE; the sequences it owns go, too
    DropTable(u64),
    /// ALTER TABLE, CREATE INDEX, DROP INDEX: all but the table's segments. Both without segments.
    AlterTable {
        /// What it was: another change in between is a conflict.
        before: Box<TableDef>,
        /// What it becomes, with the same id.
        after: Box<TableDef>,
    },
    /// CREATE VIEW; a view of the same id is replaced.
    CreateView(ViewDef),
    /// DROP VIEW
    DropView(u64),
    /// ALTER SCHEMA … RENAME, with all that is in it
    RenameSchema {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// COMMENT
    SetComment {
        /// The object's OID.
        object: u64,
        /// The column's id; 0: the object itself.
        column: u32,
        /// `None`: no comment any more.
        text: Option<String>,
    },
    /// Rows appended: new segments become visible.
    AddSegments {
        /// The table.
        table: u64,
        /// On all datanodes.
        segments: Vec<Segment>,
    },
    /// Rows deleted: segments get other delete vectors, or go when no row is left in them.
    ReplaceVectors {
        /// The table.
        table: u64,
        /// One for each segment, on all datanodes.
        vectors: Vec<ReplacedVector>,
    },
    /// Rows written anew, as VACUUM does it: segments take the place of others that had them.
    ReplaceSegments {
        /// The table.
        table: u64,
        /// What goes, on all datanodes. If something of it is gone or changed, that is a conflict.
        rewritten: Vec<RewrittenSegment>,
        /// What comes.
        segments: Vec<Segment>,
    },
    /// TRUNCATE
    RemoveAllSegments {
        /// The table.
        table: u64,
    },
    /// Rows were written into a datanode's database: about so many more or fewer are there.
    CountShardRows {
        /// The table.
        table: u64,
        /// On which datanode.
        datanode: u32,
        /// More or fewer rows.
        rows: i64,
        /// More or fewer bytes.
        bytes: i64,
        /// Rows that have other values.
        #[serde(default)]
        updated: u64,
    },
    /// ANALYZE: what a datanode's database holds
    SetShardRows {
        /// The table.
        table: u64,
        /// So much.
        shard_rows: ShardRows,
    },
    /// ANALYZE: all that is known of a table. One that has been dropped meanwhile has none.
    SetStatistics(Box<TableStatistics>),
    /// The transaction is committed: datanodes commit what they have prepared.
    Decide(DecisionDef),
    /// They all have committed what was decided of this transaction.
    Forget(u64),
    /// CREATE SEQUENCE, or the sequence of a SERIAL column
    CreateSequence(SequenceDef),
    /// ALTER SEQUENCE
    AlterSequence {
        /// What it was: another change in between is a conflict.
        before: SequenceDef,
        /// What it becomes, with the same id.
        after: SequenceDef,
    },
    /// DROP SEQUENCE
    DropSequence(u64),
    /// Where a sequence stands, which is in no snapshot: RESTART, or values that were taken in the
    /// transaction that made the sequence.
    SetSequence {
        /// The sequence.
        id: u64,
        /// Where it stands.
        state: SequenceState,
    },
    /// CREATE ROLE
    CreateRole(RoleDef),
    /// ALTER ROLE: the role of this id becomes this one
    AlterRole(RoleDef),
    /// DROP ROLE
    DropRole(u64),
    /// OWNER TO; the sequences of a table go with it
    SetOwner {
        /// The object's OID.
        object: u64,
        /// The new owner's.
        owner: u64,
    },
    /// GRANT, REVOKE, or what a new object begins with
    SetAccess {
        /// What it was: another change in between is a conflict.
        before: Box<AccessDef>,
        /// What it becomes, of the same object.
        after: Box<AccessDef>,
    },
    /// ALTER DEFAULT PRIVILEGES
    SetDefaultAcl(DefaultAclDef),
    /// ALTER DEFAULT PRIVILEGES, back to what there is without it
    DropDefaultAcl(u64),
    /// ALTER ROLE … SET, ALTER DATABASE … SET: all of a role's
    SetRoleSettings(RoleSettings),
    /// The cluster's datanodes; buckets are dealt out evenly.
    SetDatanodes {
        /// All of them, in the order of their ids.
        datanodes: Vec<DatanodeDef>,
        /// The new map's version.
        bucket_map_version: u64,
    },
    /// A datanode of the cluster has told who and where it is.
    RegisterDatanode {
        /// Which one.
        id: u32,
        /// Stands in its data directory.
        uuid: String,
        /// Where it listens: host:port.
        address: String,
        /// `columnar` or `kes`.
        shard_kind: String,
    },
}
