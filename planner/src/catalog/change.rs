//! What a commit does to the catalog. The durable catalog keeps a log of these.

use serde::{Deserialize, Serialize};

use super::{DatanodeDef, RoleDef, SchemaDef, Segment, SequenceDef, TableDef};

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
    /// Rows appended: new segments become visible.
    AddSegments {
        /// The table.
        table: u64,
        /// On all datanodes.
        segments: Vec<Segment>,
    },
    /// TRUNCATE
    RemoveAllSegments {
        /// The table.
        table: u64,
    },
    /// CREATE SEQUENCE, or the sequence of a SERIAL column
    CreateSequence(SequenceDef),
    /// CREATE ROLE
    CreateRole(RoleDef),
    /// ALTER ROLE: the role of this id becomes this one
    AlterRole(RoleDef),
    /// DROP ROLE
    DropRole(u64),
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
