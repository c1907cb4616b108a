//! The catalog as rows: loading it, and writing what differs between two snapshots.
//!
//! What is written follows from the snapshots alone, so a new kind of change needs nothing here; but
//! for where sequences stand, which is in no snapshot.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use kestrel_planner::{
    catalog::{
        AccessDef, Catalog, CatalogChange, CommentDef, DatanodeDef, DecisionDef, DefaultAclDef,
        DeleteVector, RoleDef, RoleSettings, SchemaDef, Segment, SequenceDef, TableDef, ViewDef,
    },
    statistics::TableStatistics,
};
use kestrel_proto::{BucketMap, Result, message};
use prost::Message;
use rusqlite::{
    Connection, Row, Transaction, params,
    types::{Type, ValueRef},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{corrupted, sqlite_error},
    sequences::write_state,
};

/// One commit, as the change log keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// The catalog's version after it.
    pub version: u64,
    /// When, by the clock of the coordinator that committed.
    pub committed_at: DateTime<Utc>,
    /// What it did, in order; of statistics only that there are new ones, not what they say of
    /// columns.
    pub changes: Vec<CatalogChange>,
}

/// The newest snapshot on disk.
pub(super) fn load(connection: &Connection) -> Result<Catalog> {
    let fail = |e| sqlite_error("read", e);
    let (version, next_oid, bucket_map) = connection
        .query_row("SELECT version, next_oid, bucket_map FROM cluster", [], |row| {
            Ok((unsigned(row, 0)?, unsigned(row, 1)?, row.get::<_, Vec<u8>>(2)?))
        })
        .map_err(fail)?;
    let bucket_map = message::BucketMap::decode(bucket_map.as_slice())
        .ok()
        .and_then(|m| BucketMap::from_message(&m))
        .ok_or_else(|| corrupted("bucket map", "it does not cover every bucket once"))?;

    let schemas: Vec<SchemaDef> = load_objects(connection, "schemas").map_err(fail)?;
    let sequences: Vec<SequenceDef> = load_objects(connection, "sequences").map_err(fail)?;
    let datanodes: Vec<DatanodeDef> = load_objects(connection, "datanodes").map_err(fail)?;
    let views: Vec<ViewDef> = load_objects(connection, "views").map_err(fail)?;
    let comments: Vec<CommentDef> = load_objects(connection, "comments").map_err(fail)?;
    let roles: Vec<RoleDef> = load_objects(connection, "roles").map_err(fail)?;
    let access: Vec<AccessDef> = load_objects(connection, "access").map_err(fail)?;
    let defaults: Vec<DefaultAclDef> = load_objects(connection, "default_acls").map_err(fail)?;
    let settings: Vec<RoleSettings> = load_objects(connection, "role_settings").map_err(fail)?;
    let statistics: Vec<TableStatistics> = load_objects(connection, "statistics").map_err(fail)?;
    let decided: Vec<DecisionDef> = load_objects(connection, "decisions").map_err(fail)?;
    let mut tables: Vec<TableDef> = load_objects(connection, "tables").map_err(fail)?;
    let mut segments = load_segments(connection).map_err(fail)?;
    for table in &mut tables {
        table.segments = segments.remove(&table.id).unwrap_or_default();
    }
    Ok(Catalog {
        version,
        next_oid,
        schemas: schemas.into_iter().map(|s| (s.name.clone(), s)).collect(),
        tables: tables
            .into_iter()
            .map(|t| ((t.schema_name.clone(), t.name.clone()), Arc::new(t)))
            .collect(),
        views: views
            .into_iter()
            .map(|v| ((v.schema_name.clone(), v.name.clone()), Arc::new(v)))
            .collect(),
        comments: comments.into_iter().map(|c| (c.id, c)).collect(),
        sequences: sequences
            .into_iter()
            .map(|s| ((s.schema_name.clone(), s.name.clone()), s))
            .collect(),
        roles: roles.into_iter().map(|r| (r.name.clone(), r)).collect(),
        access: access.into_iter().map(|a| (a.id, a)).collect(),
        default_acls: defaults.into_iter().map(|d| (d.id, d)).collect(),
        role_settings: settings.into_iter().map(|s| (s.id, s)).collect(),
        statistics: statistics.into_iter().map(|s| (s.table, Arc::new(s))).collect(),
        decided: decided.into_iter().map(|d| (d.transaction, d)).collect(),
        datanodes,
        bucket_map: Arc::new(bucket_map),
    })
}

/// Writes one commit: `entry` into the log, and what differs between `before` and `after`.
pub(super) fn write_commit(
    transaction: &Transaction<'_>,
    before: &Catalog,
    after: &Catalog,
    entry: &LogEntry,
) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT INTO change_log VALUES (?1, ?2, ?3)")?.execute(params![
        entry.version.cast_signed(),
        entry.committed_at.timestamp_micros(),
        json(&logged(&entry.changes))?,
    ])?;
    transaction
        .prepare_cached("UPDATE cluster SET version = ?1, next_oid = ?2, bucket_map = ?3")?
        .execute(params![
            after.version.cast_signed(),
            after.next_oid.cast_signed(),
            after.bucket_map.to_message().encode_to_vec(),
        ])?;
    write_schemas(transaction, &before.schemas, &after.schemas)?;
    let sequences = (before.sequences.values(), after.sequences.values());
    write_objects(transaction, "sequences", sequences, |s| s.id)?;
    for change in &entry.changes {
        // A sequence that is made, restarted and dropped again has no state.
        if let CatalogChange::SetSequence { id, state } = change
            && after.sequence_by_id(*id).is_some()
        {
            write_state(transaction, *id, *state)?;
        }
    }
    let views = (before.views.values().map(|v| &**v), after.views.values().map(|v| &**v));
    write_objects(transaction, "views", views, |v| v.id)?;
    let comments = (before.comments.values(), after.comments.values());
    write_objects(transaction, "comments", comments, |c| c.id)?;
    let datanodes = (before.datanodes.iter(), after.datanodes.iter());
    write_objects(transaction, "datanodes", datanodes, |d| d.id.into())?;
    write_roles(transaction, &before.roles, &after.roles)?;
    let access = (before.access.values(), after.access.values());
    write_objects(transaction, "access", access, |a| a.id)?;
    let defaults = (before.default_acls.values(), after.default_acls.values());
    write_objects(transaction, "default_acls", defaults, |d| d.id)?;
    let settings = (before.role_settings.values(), after.role_settings.values());
    write_objects(transaction, "role_settings", settings, |s| s.id)?;
    let decided = (before.decided.values(), after.decided.values());
    write_objects(transaction, "decisions", decided, |d| d.transaction)?;
    write_statistics(transaction, &before.statistics, &after.statistics)?;
    write_tables(transaction, before, after)
}

/// Statistics are large, and only the newest ones tell anything.
fn logged(changes: &[CatalogChange]) -> Cow<'_, [CatalogChange]> {
    let is_statistics = |change: &CatalogChange| matches!(change, CatalogChange::SetStatistics(_));
    if !changes.iter().any(is_statistics) {
        return Cow::Borrowed(changes);
    }
    let mut changes = changes.to_vec();
    for change in &mut changes {
        if let CatalogChange::SetStatistics(statistics) = change {
            statistics.columns.clear();
            statistics.groups.clear();
        }
    }
    Cow::Owned(changes)
}

/// Writes the statistics that differ: snapshots share those that did not change.
fn write_statistics(
    transaction: &Transaction<'_>,
    before: &BTreeMap<u64, Arc<TableStatistics>>,
    after: &BTreeMap<u64, Arc<TableStatistics>>,
) -> rusqlite::Result<()> {
    for (id, statistics) in after {
        if !before.get(id).is_some_and(|old| Arc::ptr_eq(old, statistics)) {
            write_object(transaction, "statistics", *id, &**statistics)?;
        }
    }
    let gone = before.keys().filter(|id| !after.contains_key(id));
    gone.copied().try_for_each(|id| remove_object(transaction, "statistics", id))
}

/// Writes the roles that differ.
pub(super) fn write_roles(
    transaction: &Transaction<'_>,
    before: &BTreeMap<String, RoleDef>,
    after: &BTreeMap<String, RoleDef>,
) -> rusqlite::Result<()> {
    write_objects(transaction, "roles", (before.values(), after.values()), |r| r.id)
}

/// Writes the comments on objects that have none.
pub(super) fn write_missing_comments(
    transaction: &Transaction<'_>,
    comments: &BTreeMap<u64, CommentDef>,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare("INSERT OR IGNORE INTO comments VALUES (?1, ?2)")?;
    for (id, comment) in comments {
        insert.execute(params![id.cast_signed(), json(comment)?])?;
    }
    Ok(())
}

/// Writes the schemas that differ.
pub(super) fn write_schemas(
    transaction: &Transaction<'_>,
    before: &BTreeMap<String, SchemaDef>,
    after: &BTreeMap<String, SchemaDef>,
) -> rusqlite::Result<()> {
    write_objects(transaction, "schemas", (before.values(), after.values()), |s| s.id)
}

/// The log's entries after `version`, oldest first.
pub(super) fn changes_since(connection: &Connection, version: u64) -> Result<Vec<LogEntry>> {
    let read = || -> rusqlite::Result<Vec<LogEntry>> {
        let mut statement = connection.prepare_cached(
            "SELECT version, committed_at_us, changes FROM change_log
             WHERE version > ?1 ORDER BY version",
        )?;
        let entries = statement.query_map([version.cast_signed()], |row| {
            Ok(LogEntry {
                version: unsigned(row, 0)?,
                committed_at: DateTime::from_timestamp_micros(row.get(1)?).unwrap_or_default(),
                changes: from_json(row, 2)?,
            })
        })?;
        entries.collect()
    };
    read().map_err(|e| sqlite_error("read", e))
}

/// Rows of a table `(id, definition)`, by id.
fn load_objects<T: DeserializeOwned>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Vec<T>> {
    let mut statement =
        connection.prepare(&format!("SELECT definition FROM {name} ORDER BY id"))?;
    statement.query_map([], |row| from_json(row, 0))?.collect()
}

/// Writes the objects that differ, and removes those that are gone.
fn write_objects<'a, T: Serialize + PartialEq + 'a>(
    transaction: &Transaction<'_>,
    name: &str,
    (before, after): (impl Iterator<Item = &'a T>, impl Iterator<Item = &'a T>),
    id: impl Fn(&T) -> u64,
) -> rusqlite::Result<()> {
    let mut old: HashMap<u64, &T> = before.map(|object| (id(object), object)).collect();
    for object in after {
        let key = id(object);
        if old.remove(&key) != Some(object) {
            write_object(transaction, name, key, object)?;
        }
    }
    old.into_keys().try_for_each(|id| remove_object(transaction, name, id))
}

/// Inserts or replaces the definition. An update in place: a sequence keeps where it stands, a
/// table its segments.
fn write_object<T: Serialize>(
    transaction: &Transaction<'_>,
    name: &str,
    id: u64,
    object: &T,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {name} (id, definition) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET definition = excluded.definition"
    );
    transaction.prepare_cached(&sql)?.execute(params![id.cast_signed(), json(object)?])?;
    Ok(())
}

fn remove_object(transaction: &Transaction<'_>, name: &str, id: u64) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {name} WHERE id = ?1");
    transaction.prepare_cached(&sql)?.execute([id.cast_signed()])?;
    Ok(())
}

fn write_tables(
    transaction: &Transaction<'_>,
    before: &Catalog,
    after: &Catalog,
) -> rusqlite::Result<()> {
    let mut old: HashMap<u64, &Arc<TableDef>> = before.tables.values().map(|t| (t.id, t)).collect();
    for table in after.tables.values() {
        let old_table = old.remove(&table.id);
        // Snapshots share the tables that did not change.
        if old_table.is_some_and(|o| Arc::ptr_eq(o, table)) {
            continue;
        }
        let definition = TableDef { segments: Vec::new(), ..(**table).clone() };
        write_object(transaction, "tables", table.id, &definition)?;
        let old_segments = old_table.map_or(&[][..], |t| &t.segments);
        write_segments(transaction, table.id, old_segments, &table.segments)?;
    }
    old.into_keys().try_for_each(|id| remove_object(transaction, "tables", id))
}

/// Writes the segments that differ, each at its position.
fn write_segments(
    transaction: &Transaction<'_>,
    table: u64,
    before: &[Arc<Segment>],
    after: &[Arc<Segment>],
) -> rusqlite::Result<()> {
    if after.len() < before.len() {
        transaction
            .prepare_cached("DELETE FROM segments WHERE table_id = ?1 AND position >= ?2")?
            .execute(params![table.cast_signed(), after.len() as i64])?;
    }
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO segments (table_id, position, datanode, id, kind, file,
            file_offset, length, rows, bytes, zone_summary, checksum, deletes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for (position, segment) in after.iter().enumerate() {
        // Snapshots share the segments that did not change.
        if before.get(position).is_some_and(|old| Arc::ptr_eq(old, segment)) {
            continue;
        }
        insert.execute(params![
            table.cast_signed(),
            position as i64,
            segment.datanode,
            segment.id.cast_signed(),
            segment.kind,
            segment.file,
            segment.offset.cast_signed(),
            segment.length.cast_signed(),
            segment.rows.cast_signed(),
            segment.bytes.cast_signed(),
            segment.zone_summary,
            segment.checksum,
            segment.deletes.as_ref().map(json).transpose()?,
        ])?;
    }
    Ok(())
}

/// All segments, by table.
fn load_segments(connection: &Connection) -> rusqlite::Result<HashMap<u64, Vec<Arc<Segment>>>> {
    let mut statement = connection.prepare(
        "SELECT table_id, datanode, id, kind, file, file_offset, length, rows, bytes,
            zone_summary, checksum, deletes
         FROM segments ORDER BY table_id, position",
    )?;
    let mut rows = statement.query([])?;
    let mut segments: HashMap<u64, Vec<Arc<Segment>>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let segment = Segment {
            datanode: row.get(1)?,
            id: unsigned(row, 2)?,
            kind: row.get(3)?,
            file: row.get(4)?,
            offset: unsigned(row, 5)?,
            length: unsigned(row, 6)?,
            rows: unsigned(row, 7)?,
            bytes: unsigned(row, 8)?,
            zone_summary: row.get(9)?,
            checksum: row.get(10)?,
            deletes: vector(row, 11)?,
        };
        segments.entry(unsigned(row, 0)?).or_default().push(Arc::new(segment));
    }
    Ok(segments)
}

fn vector(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DeleteVector>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => from_json(row, column).map(Some),
    }
}

/// SQLite's integers are signed: all 64 bits are kept.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, e.into()))
}
