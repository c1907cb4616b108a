//! One version of the catalog. Snapshots share what did not change.

use std::{collections::BTreeMap, sync::Arc};

use kestrel_proto::{BucketMap, DatanodeId, ErrorReport, SqlState};
use serde::{Deserialize, Serialize};

use super::{
    AccessDef, CatalogChange, CommentDef, DecisionDef, DefaultAclDef, PUBLIC_SCHEMA_ID, RoleDef,
    RoleSettings, Segment, SequenceDef, Storage, TableDef, ViewDef, is_temporary_schema,
};
use crate::statistics::TableStatistics;

/// The shard kind of datanodes that keep columnar files.
pub const COLUMNAR: &str = "columnar";
/// The shard kind of datanodes beside a KingbaseES or PostgreSQL database.
pub const KES: &str = "kes";

/// OIDs below this are PostgreSQL's own.
const FIRST_OID: u64 = 16384;

/// An immutable version of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// Grows by one with every commit.
    pub version: u64,
    /// The next unused OID.
    pub next_oid: u64,
    /// By name.
    pub schemas: BTreeMap<String, SchemaDef>,
    /// By (schema, name).
    pub tables: BTreeMap<(String, String), Arc<TableDef>>,
    /// By (schema, name).
    pub views: BTreeMap<(String, String), Arc<ViewDef>>,
    /// By (schema, name).
    pub sequences: BTreeMap<(String, String), SequenceDef>,
    /// By the object's OID.
    pub comments: BTreeMap<u64, CommentDef>,
    /// By name.
    pub roles: BTreeMap<String, RoleDef>,
    /// By the object's OID; see [`Catalog::access_of`] for those without.
    pub access: BTreeMap<u64, AccessDef>,
    /// By OID.
    pub default_acls: BTreeMap<u64, DefaultAclDef>,
    /// By the role's OID; 0: everybody's.
    pub role_settings: BTreeMap<u64, RoleSettings>,
    /// What ANALYZE has found out. By the table's OID.
    pub statistics: BTreeMap<u64, Arc<TableStatistics>>,
    /// Commits that not all datanodes are known to have heard of. By transaction.
    pub decided: BTreeMap<u64, DecisionDef>,
    /// In the order of their ids.
    pub datanodes: Vec<DatanodeDef>,
    /// Which datanode owns which bucket.
    pub bucket_map: Arc<BucketMap>,
}

/// A schema (a namespace).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDef {
    /// OID.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// A datanode that belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatanodeDef {
    /// 0 … N-1.
    pub id: u32,
    /// `dn1` …
    pub name: String,
    /// Stands in its data directory, too. Empty: it has never registered.
    pub uuid: String,
    /// Where it listens, host:port; `local` when it lives in the coordinator's process; empty when
    /// it has never registered.
    pub address: String,
    /// `columnar` or `kes`.
    pub shard_kind: String,
}

impl Catalog {
    /// The catalog of a new cluster: schema `public`, the first role, no table, no datanode.
    pub fn empty() -> Self {
        let public = SchemaDef { id: PUBLIC_SCHEMA_ID, name: "public".into() };
        let comment = CommentDef {
            id: PUBLIC_SCHEMA_ID,
            texts: [(0, "standard public schema".to_string())].into(),
        };
        let roles = RoleDef::predefined().into_iter().chain([RoleDef::initial()]);
        Self {
            version: 0,
            next_oid: FIRST_OID,
            schemas: [(public.name.clone(), public)].into(),
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
            sequences: BTreeMap::new(),
            comments: [(comment.id, comment)].into(),
            roles: roles.map(|role| (role.name.clone(), role)).collect(),
            access: BTreeMap::new(),
            default_acls: BTreeMap::new(),
            role_settings: BTreeMap::new(),
            statistics: BTreeMap::new(),
            decided: BTreeMap::new(),
            datanodes: Vec::new(),
            bucket_map: Arc::new(BucketMap::even(1, 1)),
        }
    }

    /// The ids of all datanodes.
    pub fn datanode_ids(&self) -> Vec<DatanodeId> {
        self.datanodes.iter().map(|d| DatanodeId(d.id)).collect()
    }

    /// What all datanodes keep their shards in: `columnar` or `kes`. Those that have registered
    /// tell; before that, what the cluster was started for.
    pub fn shard_kind(&self) -> &str {
        let registered = self.datanodes.iter().find(|datanode| !datanode.uuid.is_empty());
        let told = registered.or(self.datanodes.first());
        told.map_or(COLUMNAR, |datanode| datanode.shard_kind.as_str())
    }

    /// What will hold the rows of a new table in this schema. A temporary table is its session's,
    /// and databases know no sessions of ours: datanodes themselves hold its rows.
    pub fn new_storage(&self, schema: &str) -> Storage {
        match self.shard_kind() == KES && !is_temporary_schema(schema) {
            true => Storage::Shard,
            false => Storage::Columnar,
        }
    }

    /// The table of this schema and name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<TableDef>> {
        self.tables.get(&(schema.to_string(), name.to_string()))
    }

    /// The view of this schema and name.
    pub fn view(&self, schema: &str, name: &str) -> Option<&Arc<ViewDef>> {
        self.views.get(&(schema.to_string(), name.to_string()))
    }

    /// The table of this id.
    pub fn table_by_id(&self, id: u64) -> Option<&Arc<TableDef>> {
        self.tables.values().find(|t| t.id == id)
    }

    /// The snapshot after `changes`, one version on. A change that does not fit this snapshot (a
    /// table dropped since it was planned) is 40001; nothing is applied then.
    pub fn apply(&self, changes: &[CatalogChange]) -> Result<Self, ErrorReport> {
        let mut next = self.clone();
        for change in changes {
            next.apply_one(change)?;
        }
        next.count_updated(self, changes);
        next.version = self.version + 1;
        Ok(next)
    }

    fn apply_one(&mut self, change: &CatalogChange) -> Result<(), ErrorReport> {
        match change {
            CatalogChange::CreateSchema(schema) => self.create_schema(schema)?,
            CatalogChange::DropSchema(name) => self.drop_schema(name)?,
            CatalogChange::CreateTable(table) => self.create_table(table)?,
            CatalogChange::DropTable(id) => self.drop_table(*id)?,
            CatalogChange::AlterTable { before, after } => self.alter_table(before, after)?,
            CatalogChange::CreateView(view) => self.create_view(view)?,
            CatalogChange::DropView(id) => self.drop_view(*id)?,
            CatalogChange::RenameSchema { from, to } => self.rename_schema(from, to)?,
            CatalogChange::SetComment { object, column, text } => {
                self.set_comment(*object, *column, text.clone());
            }
            CatalogChange::AddSegments { table, segments } => {
                self.add_segments(*table, segments)?;
            }
            CatalogChange::ReplaceVectors { table, vectors } => {
                self.replace_vectors(*table, vectors)?;
            }
            CatalogChange::ReplaceSegments { table, rewritten, segments } => {
                self.replace_segments(*table, rewritten, segments)?;
            }
            CatalogChange::RemoveAllSegments { table } => self.remove_all_segments(*table)?,
            CatalogChange::CountShardRows { table, datanode, rows, bytes, updated } => {
                self.edit(*table, |t| t.count_shard_rows(*datanode, (*rows, *bytes), *updated))?;
            }
            CatalogChange::SetShardRows { table, shard_rows } => {
                self.edit(*table, |t| t.set_shard_rows(*shard_rows))?;
            }
            CatalogChange::SetStatistics(statistics) => self.set_statistics(statistics),
            CatalogChange::Decide(decision) => {
                self.decided.insert(decision.transaction, decision.clone());
            }
            CatalogChange::Forget(transaction) => {
                self.decided.remove(transaction);
            }
            CatalogChange::CreateSequence(sequence) => {
                self.create_sequence(sequence)?;
            }
            CatalogChange::AlterSequence { before, after } => self.alter_sequence(before, after)?,
            CatalogChange::DropSequence(id) => self.drop_sequence(*id)?,
            CatalogChange::SetSequence { id, .. } => {
                self.sequence_by_id(*id).ok_or_else(|| gone("sequence", &id.to_string()))?;
            }
            CatalogChange::CreateRole(role) => self.create_role(role)?,
            CatalogChange::AlterRole(role) => self.alter_role(role)?,
            CatalogChange::DropRole(id) => self.drop_role(*id)?,
            CatalogChange::SetOwner { object, owner } => self.set_owner(*object, *owner)?,
            CatalogChange::SetAccess { before, after } => self.set_access(before, after)?,
            CatalogChange::SetDefaultAcl(default) => self.set_default_acl(default),
            CatalogChange::DropDefaultAcl(id) => {
                self.default_acls.remove(id);
            }
            CatalogChange::SetRoleSettings(settings) => self.set_role_settings(settings),
            CatalogChange::SetDatanodes { datanodes, bucket_map_version } => {
                self.datanodes = datanodes.clone();
                let count = datanodes.len() as u32;
                self.bucket_map = Arc::new(BucketMap::even(*bucket_map_version, count));
            }
            CatalogChange::RegisterDatanode { id, uuid, address, shard_kind } => {
                let known = self.datanodes.iter_mut().find(|datanode| datanode.id == *id);
                let known = known.ok_or_else(|| conflict(format!("there is no datanode {id}")))?;
                known.uuid.clone_from(uuid);
                known.address.clone_from(address);
                known.shard_kind.clone_from(shard_kind);
            }
        }
        Ok(())
    }

    pub(super) fn table_key(&self, id: u64) -> Result<(String, String), ErrorReport> {
        let table = self.table_by_id(id).ok_or_else(|| gone("table", &id.to_string()))?;
        Ok((table.schema_name.clone(), table.name.clone()))
    }

    fn add_segments(&mut self, table: u64, segments: &[Segment]) -> Result<(), ErrorReport> {
        self.edit(table, |t| {
            t.count_added(segments);
            t.segments.extend(segments.iter().cloned().map(Arc::new));
        })
    }

    /// What was found out about the rows goes with them.
    fn remove_all_segments(&mut self, table: u64) -> Result<(), ErrorReport> {
        self.statistics.remove(&table);
        let found = self.table_by_id(table).filter(|t| t.partitioned_by.is_none());
        let rows = found.map_or(0, |found| self.live_rows(found));
        self.edit(table, |t| {
            t.changed_rows = t.changed_rows.saturating_add(rows);
            t.segments.clear();
            t.shard_rows.clear();
        })
    }

    fn edit(&mut self, id: u64, edit: impl FnOnce(&mut TableDef)) -> Result<(), ErrorReport> {
        let key = self.table_key(id)?;
        if let Some(table) = self.tables.get_mut(&key) {
            edit(Arc::make_mut(table));
        }
        Ok(())
    }

    pub(super) fn take_oid(&mut self, id: u64) {
        self.next_oid = self.next_oid.max(id + 1);
    }

    /// Every segment of every table.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.tables.values().flat_map(|t| &t.segments)
    }
}

pub(super) fn conflict(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::SERIALIZATION_FAILURE, message)
        .hint("The catalog changed meanwhile. Run the statement again.")
}

pub(super) fn gone(kind: &str, name: &str) -> ErrorReport {
    conflict(format!("{kind} {name} was dropped by another session"))
}
