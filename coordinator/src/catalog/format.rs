//! The catalog's file: opening, recognising and creating it.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use kestrel_planner::catalog::{Catalog, RoleDef};
use kestrel_proto::{ErrorReport, Result, SqlState};
use prost::Message;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::{
    error::{corrupted, io_error, sqlite_error},
    lock::LOCK_FILE,
    rows,
};
use crate::access::{MockNonce, RULE_FILE};

/// The file in the data directory.
pub const CATALOG_FILE: &str = "catalog.db";

/// Marks an SQLite file as Kestrel's catalog: "KSTL".
const APPLICATION_ID: i32 = 0x4b53_544c;

/// Grows when the tables below change; stands in SQLite's `user_version`.
const FORMAT: i32 = 1 + UPGRADES.len() as i32;

/// Only the owner reads what passwords are checked against.
pub(super) const MODE_OF_FILES: u32 = 0o600;
const MODE_OF_DIRECTORY: u32 = 0o700;

/// One row of `cluster`; the change log; and one row per object: schemas, tables, sequences and
/// datanodes as JSON (tables without their segments), segments as rows.
const CREATE: &str = "
    CREATE TABLE cluster (
        singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
        cluster_id TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        version INTEGER NOT NULL,
        next_oid INTEGER NOT NULL,
        bucket_map BLOB NOT NULL
    ) STRICT;
    CREATE TABLE change_log (
        version INTEGER PRIMARY KEY,
        committed_at_us INTEGER NOT NULL,
        changes TEXT NOT NULL
    ) STRICT;
    CREATE TABLE schemas (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE datanodes (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE sequences (
        id INTEGER PRIMARY KEY,
        definition TEXT NOT NULL,
        last_value INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE tables (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE segments (
        table_id INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        datanode INTEGER NOT NULL,
        id INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        file TEXT NOT NULL,
        file_offset INTEGER NOT NULL,
        length INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        zone_summary BLOB NOT NULL,
        delete_vector INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (table_id, position)
    ) STRICT, WITHOUT ROWID;
";

/// What each later format adds to the one before: a catalog of an older format gets it when it is
/// opened.
const UPGRADES: &[fn(&Transaction<'_>) -> rusqlite::Result<()>] = &[
    add_views,
    add_roles,
    add_sequence_values,
    add_privileges,
    add_public_comment,
    add_decisions,
    add_delete_vectors,
    add_partitions,
    add_statistics,
    add_clustering_columns,
];

const CREATE_VIEWS: &str = "
    CREATE TABLE views (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE comments (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
";

/// Roles as JSON, and one row of `security`.
const CREATE_ROLES: &str = "
    CREATE TABLE roles (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE security (
        singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
        mock_nonce BLOB NOT NULL
    ) STRICT;
";

/// Where sequences stand; one that has given no value has no row. Before, all of them counted from 1
/// by 1, and their largest value told the type.
const CREATE_SEQUENCE_VALUES: &str = "
    CREATE TABLE sequence_values (
        id INTEGER PRIMARY KEY REFERENCES sequences (id) ON DELETE CASCADE,
        last_value INTEGER NOT NULL,
        is_called INTEGER NOT NULL
    ) STRICT;
    INSERT INTO sequence_values SELECT id, last_value, 1 FROM sequences WHERE last_value > 0;
    ALTER TABLE sequences DROP COLUMN last_value;
    UPDATE sequences SET definition = json_set(definition, '$.data_type',
        CASE WHEN json_extract(definition, '$.max_value') <= 32767 THEN 'SmallInt'
             WHEN json_extract(definition, '$.max_value') <= 2147483647 THEN 'Integer'
             ELSE 'BigInt' END);
";

/// Who owns what and may do what with it, as JSON.
const CREATE_PRIVILEGES: &str = "
    CREATE TABLE access (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE default_acls (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE role_settings (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
";

/// Commits that not all datanodes are known to have heard of, as JSON.
const CREATE_DECISIONS: &str = "
    CREATE TABLE decisions (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
";

/// What ANALYZE has found out about tables, as JSON.
const CREATE_STATISTICS: &str = "
    CREATE TABLE statistics (id INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
";

/// A segment's delete vector as JSON; NULL: no row is deleted. Before, no segment had one, and their
/// column always 0.
const ADD_DELETE_VECTORS: &str = "
    ALTER TABLE segments DROP COLUMN delete_vector;
    ALTER TABLE segments ADD COLUMN deletes TEXT;
";

/// What [`open`] found or made.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) cluster_id: Uuid,
    /// This start's; already durable.
    pub(super) epoch: u64,
    pub(super) catalog: Catalog,
    /// What makes up salts for roles that are not there.
    pub(super) mock_nonce: MockNonce,
}

/// Opens the catalog in `dir`, which is locked; creates it where there is none.
pub(super) fn open(dir: &Path) -> Result<Opened> {
    let path = dir.join(CATALOG_FILE);
    let fail = |e| not_ours_or(dir, e);
    let mut connection = Connection::open(&path).map_err(fail)?;
    connection.execute_batch("PRAGMA foreign_keys = ON").map_err(fail)?;
    let application_id = pragma(&connection, dir, "application_id")?;
    let format = pragma(&connection, dir, "user_version")?;
    let is_new =
        application_id == 0 && format == 0 && pragma(&connection, dir, "schema_version")? == 0;
    if is_new {
        check_empty(dir)?;
    } else {
        check_format(dir, application_id, format)?;
    }
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        .map_err(fail)?;
    // IMMEDIATE: an old SQLite tool that still has the file open shows up here, not at a commit.
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    if is_new {
        create(&transaction).map_err(|e| sqlite_error("create", e))?;
    } else {
        upgrade(&transaction, format).map_err(|e| sqlite_error("upgrade", e))?;
    }
    let (cluster_id, epoch) = next_epoch(&transaction)?;
    let catalog = rows::load(&transaction)?;
    let mock_nonce = mock_nonce(&transaction)?;
    transaction.commit().map_err(|e| sqlite_error("open", e))?;
    if is_new {
        // SQLite syncs the files, not the directory entry of the database itself.
        File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io_error("sync", dir, &e))?;
    }
    restrict(dir)?;
    Ok(Opened { connection, cluster_id, epoch, catalog, mock_nonce })
}

/// Creates `dir` where it is missing. Somebody else's directory is refused before anything is
/// written there.
pub(super) fn prepare_directory(dir: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(MODE_OF_DIRECTORY).create(dir);
    made.map_err(|e| io_error("create directory", dir, &e))?;
    if dir.join(CATALOG_FILE).exists() { Ok(()) } else { check_empty(dir) }
}

fn pragma(connection: &Connection, dir: &Path, name: &str) -> Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|e| not_ours_or(dir, e))
}

/// A new catalog only goes where nothing else is: a directory full of other files is a wrong path,
/// and shards without their catalog are a lost catalog. Neither must become a fresh cluster.
fn check_empty(dir: &Path) -> Result<()> {
    // The rules may have been put there before the first start.
    let entries = fs::read_dir(dir).map_err(|e| io_error("read directory", dir, &e))?;
    for entry in entries {
        let name = entry.map_err(|e| io_error("read directory", dir, &e))?.file_name();
        let name = name.to_string_lossy();
        let is_known = [LOCK_FILE, RULE_FILE, "lost+found"].contains(&&*name);
        if !is_known && !name.starts_with(CATALOG_FILE) {
            return Err(refused(dir, format!("is not empty (\"{name}\") and has no catalog"))
                .hint("Name an empty or a new directory, or one that Kestrel has made."));
        }
    }
    Ok(())
}

/// Whether this is a catalog, and of this version's format: it is only read.
///
/// # Errors
/// 55000.
pub(super) fn check_current(connection: &Connection, file: &Path) -> Result<()> {
    let application_id = pragma(connection, file, "application_id")?;
    let format = pragma(connection, file, "user_version")?;
    if (application_id, format) == (APPLICATION_ID, FORMAT) {
        return Ok(());
    }
    let message = format!("\"{}\" is no catalog of this version of Kestrel", file.display());
    Err(ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("Use the version of Kestrel that wrote it."))
}

fn check_format(dir: &Path, application_id: i32, format: i32) -> Result<()> {
    if application_id != APPLICATION_ID {
        return Err(not_ours(dir));
    }
    if format > FORMAT {
        return Err(refused(
            dir,
            format!(
                "was written by a newer Kestrel (catalog format {format}; this one reads up to \
                 {FORMAT})"
            ),
        )
        .hint("Start it with the version of Kestrel that wrote it, or a newer one."));
    }
    Ok(())
}

fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(CREATE)?;
    upgrade(transaction, 1)?;
    let empty = Catalog::empty();
    transaction.execute(
        "INSERT INTO cluster VALUES (1, ?1, 0, ?2, ?3, ?4)",
        params![
            Uuid::new_v4().to_string(),
            empty.version.cast_signed(),
            empty.next_oid.cast_signed(),
            empty.bucket_map.to_message().encode_to_vec(),
        ],
    )?;
    rows::write_schemas(transaction, &Default::default(), &empty.schemas)
}

/// Brings a catalog of an older format to this one.
fn upgrade(transaction: &Transaction<'_>, from: i32) -> rusqlite::Result<()> {
    let done = usize::try_from(from - 1).unwrap_or(0);
    UPGRADES.iter().skip(done).try_for_each(|upgrade| upgrade(transaction))?;
    transaction.pragma_update(None, "user_version", FORMAT)
}

fn add_views(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE_VIEWS)
}

fn add_roles(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE_ROLES)?;
    let nonce: [u8; 32] = rand::random();
    transaction.execute("INSERT INTO security VALUES (1, ?1)", params![nonce.as_slice()])?;
    rows::write_roles(transaction, &Default::default(), &Catalog::empty().roles)
}

fn add_sequence_values(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE_SEQUENCE_VALUES)
}

/// What has no entry belongs to the first role: all that is there.
fn add_privileges(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE_PRIVILEGES)?;
    let predefined = RoleDef::predefined().into_iter().map(|role| (role.name.clone(), role));
    rows::write_roles(transaction, &Default::default(), &predefined.collect())
}

/// The comment that schema `public` begins with, unless somebody has written another one.
fn add_public_comment(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    rows::write_missing_comments(transaction, &Catalog::empty().comments)
}

fn add_decisions(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE_DECISIONS)
}

fn add_delete_vectors(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(ADD_DELETE_VECTORS)
}

/// Definitions of tables tell what they are partitions of. Older versions would read past that.
fn add_partitions(_: &Transaction<'_>) -> rusqlite::Result<()> {
    Ok(())
}

fn add_statistics(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE_STATISTICS)
}

/// Definitions of tables tell by which columns segments are sorted. Older versions would lose that.
fn add_clustering_columns(_: &Transaction<'_>) -> rusqlite::Result<()> {
    Ok(())
}

fn mock_nonce(transaction: &Transaction<'_>) -> Result<MockNonce> {
    let nonce: Vec<u8> = transaction
        .query_row("SELECT mock_nonce FROM security", [], |row| row.get(0))
        .map_err(|e| sqlite_error("read", e))?;
    nonce.try_into().map(MockNonce).map_err(|_| corrupted("nonce", "it has another length"))
}

/// Keeps others from the files, in a directory that was made by somebody else, too.
fn restrict(dir: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let path = dir.join(format!("{CATALOG_FILE}{suffix}"));
        if path.exists() {
            fs::set_permissions(&path, Permissions::from_mode(MODE_OF_FILES))
                .map_err(|e| io_error("restrict", &path, &e))?;
        }
    }
    Ok(())
}

fn next_epoch(transaction: &Transaction<'_>) -> Result<(Uuid, u64)> {
    let (cluster_id, epoch) = transaction
        .query_row("UPDATE cluster SET epoch = epoch + 1 RETURNING cluster_id, epoch", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })
        .map_err(|e| sqlite_error("open", e))?;
    let cluster_id = Uuid::parse_str(&cluster_id).map_err(|e| corrupted("cluster id", e))?;
    Ok((cluster_id, epoch.cast_unsigned()))
}

fn not_ours_or(dir: &Path, error: rusqlite::Error) -> ErrorReport {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => not_ours(dir),
        _ => sqlite_error("open", error),
    }
}

fn not_ours(dir: &Path) -> ErrorReport {
    refused(dir, format!("holds a file {CATALOG_FILE} that is not Kestrel's"))
        .hint("Name an empty or a new directory, or one that Kestrel has made.")
}

fn refused(dir: &Path, why: String) -> ErrorReport {
    ErrorReport::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("data directory \"{}\" {why}", dir.display()),
    )
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::SqlType;

    use super::*;
    use crate::catalog::CatalogStore;

    #[test]
    fn a_catalog_of_an_older_format_is_upgraded() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let older = "
            DROP TABLE views; DROP TABLE comments; DROP TABLE roles; DROP TABLE security;
            DROP TABLE sequence_values; DROP TABLE access; DROP TABLE default_acls;
            DROP TABLE role_settings; DROP TABLE decisions; DROP TABLE statistics;
            ALTER TABLE segments DROP COLUMN deletes;
            ALTER TABLE segments ADD COLUMN delete_vector INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE sequences ADD COLUMN last_value INTEGER NOT NULL DEFAULT 0;
            INSERT INTO sequences VALUES (16385, '{\"id\":16385,\"schema_name\":\"public\",\"name\":
                \"s\",\"max_value\":2147483647,\"owned_by\":null}', 7);
            PRAGMA user_version = 1";
        Connection::open(dir.path().join(CATALOG_FILE)).unwrap().execute_batch(older).unwrap();
        let opened = open(dir.path()).unwrap();
        assert_eq!(opened.epoch, 2);
        assert_eq!(pragma(&opened.connection, dir.path(), "user_version").unwrap(), FORMAT);
        assert!(opened.catalog.views.is_empty());
        assert_eq!(opened.catalog.comments, Catalog::empty().comments);
        assert_eq!(opened.catalog.roles, Catalog::empty().roles);
        let sequence = opened.catalog.sequence("public", "s").unwrap();
        assert_eq!((sequence.data_type, sequence.increment), (SqlType::Integer, 1));
        drop(opened);
        let store = CatalogStore::open(dir.path()).unwrap();
        let sequence = store.snapshot().sequence("public", "s").unwrap().clone();
        assert_eq!(store.next_values(&sequence, 2).unwrap(), [8, 9]);
    }
}
