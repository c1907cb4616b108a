//! A datanode's directory that a backup's files are put into.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use kestrel_proto::{DatanodeId, Result};

use super::{
    FORMAT, IDENTITY_FILE, Identity, lock, make_directories, not_ours, read_identity,
    read_identity_file, write_identity_file,
};
use crate::io_error::io_error;

/// Whose the directory will be; its name until then. No datanode starts there meanwhile.
pub(super) const UNFINISHED: &str = "restoring.json";

/// What an empty directory may have: what a datanode that was refused, or a file system, has made.
const OF_NOBODY: &[&str] = &[IDENTITY_FILE, "lock", "lost+found", "segments", "tmp"];

/// A datanode's directory that files are being put into; nobody else has it meanwhile.
#[derive(Debug)]
pub struct RestoredDir {
    path: PathBuf,
    _lock: File,
}

impl RestoredDir {
    /// Takes a directory that is not there, is empty, or is this datanode's own and lacks something.
    ///
    /// # Errors
    /// 55000 when it is in use, another datanode's, or holds anything else; XX001, 58030, 53100.
    pub fn open(path: &Path, cluster_id: &str, id: DatanodeId, uuid: &str) -> Result<Self> {
        let own = Identity {
            format: FORMAT,
            cluster_id: cluster_id.into(),
            datanode_id: id.0,
            datanode_uuid: uuid.into(),
        };
        let begun = read_identity_file(&path.join(UNFINISHED))?;
        match begun.or(read_identity(path)?) {
            Some(identity) if identity == own => {}
            Some(identity) if !identity.cluster_id.is_empty() => {
                let what = format!(
                    "belongs to {} of cluster {}",
                    DatanodeId(identity.datanode_id),
                    identity.cluster_id
                );
                return Err(not_ours(path, &what, "Name a new or an empty directory."));
            }
            Some(_) | None => check_empty(path)?,
        }
        make_directories(path)?;
        let lock = lock(path)?;
        write_identity_file(path, UNFINISHED, &own)?;
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All files are there, and on disk: from now on the datanode may be started.
    ///
    /// # Errors
    /// 58030, 53100.
    pub fn finish(self) -> Result<()> {
        let identity = self.path.join(IDENTITY_FILE);
        fs::rename(self.path.join(UNFINISHED), &identity)
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(|e| io_error("write", &identity, &e))
    }
}

fn check_empty(path: &Path) -> Result<()> {
    let names = |directory: &Path| -> Result<Vec<String>> {
        let entries = match fs::read_dir(directory) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| io_error("read", directory, &e))?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<std::io::Result<_>>().map_err(|e| io_error("read", directory, &e))
    };
    let other = names(path)?.into_iter().find(|name| !OF_NOBODY.contains(&name.as_str()));
    let segments = names(&path.join("segments"))?.into_iter().next();
    match other.or(segments.map(|name| format!("segments/{name}"))) {
        Some(name) => {
            let what = format!("is not empty (\"{name}\")");
            Err(not_ours(path, &what, "Name a new or an empty directory."))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;
    use uuid::Uuid;

    use super::*;
    use crate::data_dir::{ReservedDir, check_directory};

    #[test]
    fn a_restored_directory_is_the_datanodes_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dn2");
        let (cluster, id) = (Uuid::new_v4(), DatanodeId(1));
        let uuid = Uuid::new_v4().to_string();
        // What a datanode has made that was refused.
        drop(ReservedDir::open(&path).unwrap());
        let open = |id, uuid: &str| RestoredDir::open(&path, &cluster.to_string(), id, uuid);
        let restored = open(id, &uuid).unwrap();
        assert!(open(id, &uuid).unwrap_err().message.contains("in use"));
        fs::create_dir(restored.path().join("segments/7")).unwrap();
        drop(restored);
        // Interrupted: nobody starts there, and nobody else restores there.
        for error in [
            ReservedDir::open(&path).unwrap_err(),
            check_directory(&path, id, &uuid).unwrap_err(),
            open(DatanodeId(0), &uuid).unwrap_err(),
        ] {
            assert_eq!(error.sqlstate, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{error}");
        }
        open(id, &uuid).unwrap().finish().unwrap();
        check_directory(&path, id, &uuid).unwrap();
        let claimed = ReservedDir::open(&path).unwrap().claim(cluster, id).unwrap();
        assert_eq!(claimed.uuid().to_string(), uuid);
        drop(claimed);
        // Its own may be completed, another one's may not.
        open(id, &uuid).unwrap().finish().unwrap();
        let other = open(id, &Uuid::new_v4().to_string()).unwrap_err();
        assert!(other.message.contains("belongs to dn2"), "{other}");
        let full = dir.path().join("full");
        fs::create_dir_all(full.join("segments/7")).unwrap();
        let error = RestoredDir::open(&full, &cluster.to_string(), id, &uuid).unwrap_err();
        assert!(error.message.contains("is not empty (\"segments/7\")"), "{error}");
    }
}
