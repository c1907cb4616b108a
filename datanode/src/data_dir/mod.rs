//! A datanode's data directory: whose it is, and that nobody else uses it.
//!
//! ```text
//!   <data>/datanode.json    cluster id, datanode id and UUID
//!   <data>/lock             locked while a process uses the directory
//!   <data>/segments/        see `shard`
//!   <data>/tmp/             what queries spill; emptied at start
//!   <data>/restoring.json   what datanode.json will be when all files have been put there
//! ```

mod restored;

use std::{
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use kestrel_proto::{DatanodeId, ErrorReport, Result, SqlState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use restored::RestoredDir;

use crate::io_error::io_error;

/// Whose the directory is.
const IDENTITY_FILE: &str = "datanode.json";

/// The form of the directory; a greater one is another Kestrel's.
const FORMAT: u32 = 1;

/// A data directory that nobody else can take, and that has not been claimed for a datanode yet.
#[derive(Debug)]
pub struct ReservedDir {
    path: PathBuf,
    identity: Identity,
    uuid: Uuid,
    lock: File,
}

/// A data directory in use by this process.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    uuid: Uuid,
    /// Held locked.
    _lock: File,
}

/// `datanode.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    format: u32,
    /// Empty: no cluster has it yet, and `datanode_id` says nothing.
    cluster_id: String,
    datanode_id: u32,
    datanode_uuid: String,
}

impl ReservedDir {
    /// Takes the directory; creates it when it is not there.
    ///
    /// # Errors
    /// 55000 when it is in use, or has lost its segments; XX001 when `datanode.json` cannot be read;
    /// 58030, 53100.
    pub fn open(path: &Path) -> Result<Self> {
        check_whole(path)?;
        make_directories(path)?;
        let lock = lock(path)?;
        let identity = match read_identity(path)? {
            Some(identity) => identity,
            None => {
                // Written before anybody hears of it: a datanode that dies between registering and
                // claiming its directory comes back as the one that has registered.
                let identity = Identity::unclaimed(Uuid::new_v4());
                write_identity(path, &identity)?;
                identity
            }
        };
        let uuid = identity.uuid(path)?;
        Ok(Self { path: path.to_path_buf(), identity, uuid, lock })
    }

    /// The UUID of the datanode whose it is, or will be.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The cluster whose data it holds; empty: it is new.
    pub fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    /// Makes it the directory of this datanode, if it is not another's.
    ///
    /// # Errors
    /// 55000 when it belongs to another cluster or datanode, or is a newer Kestrel's; 58030, 53100.
    pub(crate) fn claim(self, cluster_id: Uuid, id: DatanodeId) -> Result<DataDir> {
        if self.identity.cluster_id.is_empty() {
            let (cluster_id, datanode_id) = (cluster_id.to_string(), id.0);
            write_identity(&self.path, &Identity { cluster_id, datanode_id, ..self.identity })?;
        } else {
            check_identity(&self.path, &self.identity, cluster_id, id)?;
        }
        let dir = DataDir { path: self.path, uuid: self.uuid, _lock: self.lock };
        dir.empty_tmp()?;
        Ok(dir)
    }
}

impl DataDir {
    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The datanode's UUID, which it got when the directory was made.
    pub(crate) fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Where queries spill.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// What a killed process left.
    fn empty_tmp(&self) -> Result<()> {
        let tmp = self.tmp();
        fs::remove_dir_all(&tmp)
            .and_then(|()| fs::create_dir(&tmp))
            .map_err(|e| io_error("empty", &tmp, &e))
    }
}

/// Whether the directory of a datanode that the cluster knows by this UUID is there: for those who
/// start the datanode, before anything is written.
///
/// # Errors
/// 55000 when it is lost, has lost its segments, or is another datanode's; XX001, 58030.
pub fn check_directory(path: &Path, id: DatanodeId, uuid: &str) -> Result<()> {
    check_whole(path)?;
    match read_identity(path)? {
        Some(identity) if identity.datanode_uuid == uuid => Ok(()),
        Some(identity) if !identity.cluster_id.is_empty() => {
            let message = format!("\"{}\" holds another datanode than {id}", path.display());
            Err(ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Put back the directory that was there when the cluster stopped."))
        }
        Some(_) | None => Err(lost(path, "has been lost or wiped")
            .detail(format!("It held {id} of the cluster, with all rows of that datanode."))),
    }
}

/// A directory that was a datanode's, and is not any more what it was.
fn lost(path: &Path, what: &str) -> ErrorReport {
    let message = format!("data directory \"{}\" {what}", path.display());
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(
        "Put it back as it was, or restore it from a backup: kestrel restore BACKUP --datanode NAME \
         --directory DIRECTORY (with --coordinator-data while the coordinator does not run).",
    )
}

/// A datanode without its segments is not started as if it had none.
fn check_whole(path: &Path) -> Result<()> {
    if path.join(restored::UNFINISHED).exists() {
        return Err(not_ours(
            path,
            "is being restored, or its restore has been interrupted",
            "Run kestrel restore again, with the same options.",
        ));
    }
    match read_identity(path)? {
        Some(identity) if !identity.cluster_id.is_empty() && !path.join("segments").is_dir() => {
            Err(lost(path, "has lost its directory of segments"))
        }
        Some(_) | None => Ok(()),
    }
}

fn make_directories(path: &Path) -> Result<()> {
    for dir in [path.to_path_buf(), path.join("segments"), path.join("tmp")] {
        fs::create_dir_all(&dir).map_err(|e| io_error("create", &dir, &e))?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File> {
    let file = path.join("lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|e| io_error("open", &file, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(not_ours(
            path,
            "is in use by another process",
            "Stop that process, or give another directory.",
        )),
        Err(TryLockError::Error(e)) => Err(io_error("lock", &file, &e)),
    }
}

fn read_identity(path: &Path) -> Result<Option<Identity>> {
    read_identity_file(&path.join(IDENTITY_FILE))
}

fn read_identity_file(file: &Path) -> Result<Option<Identity>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("read", file, &e)),
    };
    let damaged = |detail: String| {
        ErrorReport::new(SqlState::DATA_CORRUPTED, format!("\"{}\" is damaged", file.display()))
            .detail(detail)
    };
    serde_json::from_slice(&text).map(Some).map_err(|e| damaged(format!("{e}.")))
}

fn check_identity(path: &Path, found: &Identity, cluster_id: Uuid, id: DatanodeId) -> Result<()> {
    let hint = "Give the directory that this datanode was started with before, or an empty one.";
    if found.format > FORMAT {
        let what = format!("has form {}, and this Kestrel knows {FORMAT}", found.format);
        return Err(not_ours(path, &what, "Start a newer Kestrel."));
    }
    if found.cluster_id != cluster_id.to_string() {
        let what =
            format!("belongs to cluster {}, and this cluster is {cluster_id}", found.cluster_id);
        return Err(not_ours(path, &what, hint));
    }
    if found.datanode_id != id.0 {
        let what = format!("belongs to {}, and this is {id}", DatanodeId(found.datanode_id));
        return Err(not_ours(path, &what, hint));
    }
    Ok(())
}

impl Identity {
    fn unclaimed(uuid: Uuid) -> Self {
        Self {
            format: FORMAT,
            cluster_id: String::new(),
            datanode_id: 0,
            datanode_uuid: uuid.to_string(),
        }
    }

    fn uuid(&self, path: &Path) -> Result<Uuid> {
        Uuid::parse_str(&self.datanode_uuid).map_err(|e| {
            let file = path.join(IDENTITY_FILE);
            let message = format!("\"{}\" is damaged", file.display());
            ErrorReport::new(SqlState::DATA_CORRUPTED, message)
                .detail(format!("The datanode's UUID is none: {e}."))
        })
    }
}

fn write_identity(path: &Path, identity: &Identity) -> Result<()> {
    write_identity_file(path, IDENTITY_FILE, identity)
}

fn write_identity_file(path: &Path, name: &str, identity: &Identity) -> Result<()> {
    let text = serde_json::to_vec_pretty(identity)
        .map_err(|e| ErrorReport::internal(format!("cannot encode datanode.json: {e}")))?;
    let (temporary, file) = (path.join(format!("{name}.tmp")), path.join(name));
    let written = File::create(&temporary).and_then(|mut f| {
        f.write_all(&text)?;
        f.sync_all()?;
        fs::rename(&temporary, &file)?;
        File::open(path)?.sync_all()
    });
    written.map_err(|e| io_error("write", &file, &e))
}

fn not_ours(path: &Path, what: &str, hint: &str) -> ErrorReport {
    let message = format!("data directory \"{}\" {what}", path.display());
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_datanodes_and_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (cluster, id) = (Uuid::new_v4(), DatanodeId(1));
        let path = dir.path().join("new/dn2");
        let open = |cluster, id| ReservedDir::open(&path)?.claim(cluster, id);
        let first = open(cluster, id).unwrap();
        let uuid = first.uuid();
        fs::write(first.tmp().join("spilled"), "rows").unwrap();
        assert!(open(cluster, id).unwrap_err().message.ends_with("is in use by another process"));
        drop(first);
        let unclaimed = dir.path().join("unclaimed");
        let uuid_before = ReservedDir::open(&unclaimed).unwrap().uuid();
        let reserved = ReservedDir::open(&unclaimed).unwrap();
        assert_eq!((reserved.uuid(), reserved.cluster_id()), (uuid_before, ""));

        let again = open(cluster, id).unwrap();
        assert_eq!(again.uuid(), uuid);
        assert_eq!(fs::read_dir(again.tmp()).unwrap().count(), 0);
        drop(again);

        let other_cluster = open(Uuid::new_v4(), id).unwrap_err();
        assert_eq!(other_cluster.sqlstate, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        let error = open(cluster, DatanodeId(0)).unwrap_err();
        assert!(error.message.ends_with("belongs to dn2, and this is dn1"), "{}", error.message);

        fs::write(path.join("datanode.json"), "{").unwrap();
        assert_eq!(open(cluster, id).unwrap_err().sqlstate, SqlState::DATA_CORRUPTED);
    }

    #[test]
    fn a_directory_that_has_lost_something_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (cluster, id) = (Uuid::new_v4(), DatanodeId(1));
        let path = dir.path().join("dn2");
        let uuid = ReservedDir::open(&path).unwrap().claim(cluster, id).unwrap().uuid().to_string();
        check_directory(&path, id, &uuid).unwrap();
        let another = check_directory(&path, id, &Uuid::new_v4().to_string()).unwrap_err();
        assert!(another.message.ends_with("holds another datanode than dn2"), "{another}");
        fs::remove_dir(path.join("segments")).unwrap();
        let opened = ReservedDir::open(&path).unwrap_err();
        for error in [check_directory(&path, id, &uuid).unwrap_err(), opened] {
            assert_eq!(error.sqlstate, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
            assert!(error.message.ends_with("has lost its directory of segments"), "{error}");
        }
        assert!(!path.join("segments").exists());
        fs::remove_dir_all(&path).unwrap();
        for _ in 0..2 {
            let error = check_directory(&path, id, &uuid).unwrap_err();
            assert!(error.message.ends_with("has been lost or wiped"), "{error}");
            // A datanode that was started in the meantime has made another one of its own.
            ReservedDir::open(&path).unwrap();
        }
    }
}
