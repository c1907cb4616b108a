//! Copies of the catalog, for backups: made beside the commits, and read apart from any cluster.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use chrono::Utc;
use kestrel_planner::catalog::{Catalog, CatalogChange};
use kestrel_proto::{ErrorReport, Result, SqlState};
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::{
    error::{corrupted, io_error, sqlite_error},
    format::{self, CATALOG_FILE, MODE_OF_FILES},
    lock::DirectoryLock,
    rows,
    store::CatalogStore,
};

/// What a copy is called while it is made.
const UNFINISHED: &str = "catalog.db-copy-";

impl CatalogStore {
    /// A copy of the newest version or of a later one, as an SQLite file without a name: it goes when
    /// it is closed. Commits go on meanwhile.
    ///
    /// # Errors
    /// 58030, 53100.
    pub fn copy(&self) -> Result<File> {
        let directory = &self.directory;
        let path = directory.join(format!("{UNFINISHED}{}", Uuid::new_v4().simple()));
        let copied = copy(directory, &path);
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&path);
        copied
    }
}

fn copy(directory: &Path, path: &Path) -> Result<File> {
    // VACUUM INTO takes an empty file, and would make one that others may read.
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true).mode(MODE_OF_FILES);
    let file = options.open(path).map_err(|e| io_error("create", path, &e))?;
    let text = path.to_str().ok_or_else(|| {
        let message = format!("the name of \"{}\" is not UTF-8", directory.display());
        ErrorReport::new(SqlState::IO_ERROR, message)
    })?;
    // A connection of its own, so that it reads one version and holds up nobody.
    let source = open(&directory.join(CATALOG_FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.execute("VACUUM INTO ?1", [text]).map_err(|e| sqlite_error("copy", e))?;
    Ok(file)
}

/// Removes what copies have left that a crash has ended.
pub(super) fn remove_unfinished(directory: &Path) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(|e| io_error("read directory", directory, &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| io_error("read directory", directory, &e))?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|e| io_error("remove", &path, &e))?;
        }
    }
    Ok(())
}

/// A catalog that is read apart from its cluster.
#[derive(Clone, Debug)]
pub struct CatalogCopy {
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// What the cluster held.
    pub catalog: Catalog,
}

impl CatalogCopy {
    /// Reads what [`CatalogStore::copy`] has made.
    ///
    /// # Errors
    /// 55000 when it is not Kestrel's, or another version's; XX001, 58030.
    pub fn read(file: &Path) -> Result<Self> {
        read(open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?, file)
    }

    /// Reads the catalog of a coordinator that does not run, in its data directory.
    ///
    /// # Errors
    /// 55000 when it runs, too; those of [`Self::read`].
    pub fn read_directory(directory: &Path) -> Result<Self> {
        let file = directory.join(CATALOG_FILE);
        if !file.exists() {
            let message = format!("there is no catalog in \"{}\"", directory.display());
            return Err(ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Name the data directory of the cluster's coordinator."));
        }
        let _lock = DirectoryLock::acquire(directory)?;
        // After a crash its last commits are in the WAL still, and reading these writes.
        read(open(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?, &file)
    }
}

fn open(file: &Path, flags: OpenFlags) -> Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags).map_err(|e| sqlite_error("open", e))
}

fn read(connection: Connection, file: &Path) -> Result<CatalogCopy> {
    format::check_current(&connection, file)?;
    let catalog = rows::load(&connection)?;
    let cluster_id: String = connection
        .query_row("SELECT cluster_id FROM cluster", [], |row| row.get(0))
        .map_err(|e| sqlite_error("read", e))?;
    let cluster_id = Uuid::parse_str(&cluster_id).map_err(|e| corrupted("cluster id", e))?;
    Ok(CatalogCopy { cluster_id, catalog })
}

/// Puts a backup's catalog in place: `file` in an otherwise empty directory becomes the catalog of a
/// coordinator that has not found its datanodes yet. So a cluster that is restored elsewhere does not
/// call the datanodes of the first one. It has a new epoch.
///
/// # Errors
/// Those of [`CatalogStore::open`]; 58030 when it cannot be closed in order.
pub fn detach(directory: &Path) -> Result<PathBuf> {
    let store = CatalogStore::open(directory)?;
    let snapshot = store.snapshot();
    let known = snapshot.datanodes.iter().filter(|datanode| !datanode.address.is_empty());
    let changes = known.map(|datanode| CatalogChange::RegisterDatanode {
        id: datanode.id,
        uuid: datanode.uuid.clone(),
        address: String::new(),
        shard_kind: datanode.shard_kind.clone(),
    });
    store.commit(None, changes.collect(), Utc::now())?;
    // Its last connection folds the WAL into the file, and removes it.
    drop(store);
    let wal = directory.join(format!("{CATALOG_FILE}-wal"));
    if wal.exists() {
        let message = format!("\"{}\" was not folded into the catalog", wal.display());
        return Err(ErrorReport::new(SqlState::IO_ERROR, message).hint("Look at the disk."));
    }
    Ok(directory.join(CATALOG_FILE))
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::SchemaDef;

    use super::*;

    fn schema(id: u64) -> Vec<CatalogChange> {
        vec![CatalogChange::CreateSchema(SchemaDef { id, name: format!("s{id}") })]
    }

    #[test]
    fn a_copy_is_a_version_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let store = CatalogStore::open(dir.path()).unwrap();
        store.commit(None, schema(16384), Utc::now()).unwrap();
        let mut copy = store.copy().unwrap();
        store.commit(None, schema(16385), Utc::now()).unwrap();
        let restored = tempfile::tempdir().unwrap();
        let file = restored.path().join(CATALOG_FILE);
        std::io::copy(&mut copy, &mut File::create(&file).unwrap()).unwrap();
        let read = CatalogCopy::read(&file).unwrap();
        assert_eq!((read.catalog.version, read.cluster_id), (1, store.cluster_id()));
        assert_eq!(fs::read_dir(restored.path()).unwrap().count(), 1);
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left = names.filter(|name| name.to_string_lossy().starts_with(UNFINISHED));
        assert_eq!(left.count(), 0);
        // A stopped cluster's catalog is read as it stands, a running one's is not.
        assert!(CatalogCopy::read_directory(dir.path()).unwrap_err().message.contains("in use"));
        drop(store);
        assert_eq!(CatalogCopy::read_directory(dir.path()).unwrap().catalog.version, 2);
        assert!(CatalogCopy::read_directory(&dir.path().join("no")).is_err());
        // What is restored goes on.
        let detached = detach(restored.path()).unwrap();
        assert_eq!(detached, file);
        let again = CatalogStore::open(restored.path()).unwrap();
        assert_eq!(again.cluster_id(), read.cluster_id);
        assert!(again.snapshot().schemas.contains_key("s16384"));
    }

    #[test]
    fn what_a_crash_left_of_a_copy_goes_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        drop(CatalogStore::open(dir.path()).unwrap());
        let left = dir.path().join(format!("{UNFINISHED}1"));
        fs::write(&left, "half").unwrap();
        drop(CatalogStore::open(dir.path()).unwrap());
        assert!(!left.exists());
    }
}
