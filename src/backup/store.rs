//! The directory that backups are in.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    file::{self, NewFile, failed},
    manifest::{DatanodeFiles, Manifest, StoredFile},
};
use crate::{CommandError, Result, output::Console};

const LOCK: &str = "lock";
const MANIFESTS: &str = "manifests";
const CATALOGS: &str = "catalogs";
const FILES: &str = "files";
/// Of a manifest's name.
const EXTENSION: &str = ".manifest";

/// A directory with backups, which nobody changes meanwhile.
#[derive(Debug)]
pub(super) struct BackupDirectory {
    path: PathBuf,
    /// Held locked: by all who read together, or by one who writes.
    _lock: Option<File>,
}

impl BackupDirectory {
    /// To write in; made when it is not there. Somebody else's directory is refused.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let is_ours = path.join(MANIFESTS).is_dir();
        let of_nobody = |name: &String| [LOCK, "lost+found"].contains(&name.as_str());
        let other = file::names_in(path)?.into_iter().find(|name| !of_nobody(name));
        if let Some(name) = other.filter(|_| !is_ours) {
            return Err(CommandError::failure(format!(
                "directory \"{}\" is not empty (\"{name}\") and has no backups: name an empty or a \
                 new one, or one with backups of the same cluster",
                path.display()
            )));
        }
        file::make_directory(path)?;
        let lock = path.join(LOCK);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let lock_file = options.open(&lock).map_err(|e| failed("open", &lock, &e))?;
        locked(lock_file.try_lock(), path)?;
        for name in [MANIFESTS, CATALOGS, FILES] {
            file::make_directory(&path.join(name))?;
        }
        Ok(Self { path: path.to_path_buf(), _lock: Some(lock_file) })
    }

    /// To read from; the medium may be read-only.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if !path.join(MANIFESTS).is_dir() {
            let message = format!("there are no backups in \"{}\"", path.display());
            return Err(CommandError::failure(message));
        }
        let lock = path.join(LOCK);
        let lock = match File::open(&lock) {
            Ok(file) => {
                locked(file.try_lock_shared(), path)?;
                Some(file)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed("open", &lock, &error)),
        };
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a backup's catalog is.
    pub(super) fn catalog(&self, name: &str) -> PathBuf {
        self.path.join(CATALOGS).join(format!("{name}.db"))
    }

    /// Where a datanode's file is. Another one of the same name is another one here, too.
    pub(super) fn file(&self, datanode: &DatanodeFiles, file: &StoredFile) -> PathBuf {
        let stored = format!("{}.{:08x}", file.path, file.checksum);
        self.path.join(FILES).join(datanode.name()).join(stored)
    }

    /// Those of a datanode's files that are not there, or have another length.
    pub(super) fn lacks<'a>(&self, datanode: &'a DatanodeFiles) -> Vec<&'a StoredFile> {
        let is_missing =
            |file: &&StoredFile| file::check_length(&self.file(datanode, file), file).is_some();
        datanode.files.iter().filter(is_missing).collect()
    }

    /// The backups, oldest first.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let files = file::names_in(&self.path.join(MANIFESTS))?;
        let names = files.iter().filter_map(|name| name.strip_suffix(EXTENSION));
        let mut names: Vec<_> = names.map(String::from).collect();
        // Without their extensions: one with a number comes after the one without.
        names.sort();
        Ok(names)
    }

    /// The backup of this name, or the newest one.
    pub(super) fn manifest(&self, name: Option<&str>) -> Result<Manifest> {
        let names = self.names()?;
        let found = match name {
            Some(name) => names.iter().find(|known| *known == name),
            None => names.last(),
        };
        let found = found.ok_or_else(|| {
            let directory = self.path.display();
            CommandError::failure(match name {
                Some(name) => format!(
                    "there is no backup \"{name}\" in \"{directory}\": see kestrel backup --list"
                ),
                None => format!("there is no complete backup in \"{directory}\""),
            })
        })?;
        self.read(found)
    }

    /// All backups, oldest first.
    pub(super) fn manifests(&self) -> Result<Vec<Manifest>> {
        self.names()?.iter().map(|name| self.read(name)).collect()
    }

    /// The backup of this name.
    pub(super) fn read(&self, name: &str) -> Result<Manifest> {
        let path = self.manifest_path(name);
        let bytes = fs::read(&path).map_err(|e| failed("read", &path, &e))?;
        let manifest = Manifest::decode(&bytes).and_then(|manifest| match manifest.name == name {
            true => Ok(manifest),
            false => Err(format!("it is that of backup {}", manifest.name)),
        });
        manifest.map_err(|what| {
            CommandError::failure(format!("manifest \"{}\" is damaged: {what}", path.display()))
        })
    }

    /// A backup becomes one: all that it needs is on disk, and then its manifest.
    pub(super) fn write(&self, manifest: &Manifest) -> Result<()> {
        let files = manifest
            .datanodes
            .iter()
            .flat_map(|datanode| datanode.files.iter().map(move |file| self.file(datanode, file)));
        let files = files.chain([self.catalog(&manifest.name)]);
        file::sync_directories_of(files, &self.path)?;
        let path = self.manifest_path(&manifest.name);
        let mut new = NewFile::create(&path)?;
        new.write(&manifest.encode()?)?;
        new.finish()?;
        file::sync_directory(&self.path.join(MANIFESTS))
    }

    fn manifest_path(&self, name: &str) -> PathBuf {
        self.path.join(MANIFESTS).join(format!("{name}{EXTENSION}"))
    }

    /// Removes all backups but the newest `count`, then what no backup needs; of that, too, what an
    /// interrupted one has left.
    pub(super) fn keep(&self, count: usize, console: &Console) -> Result<()> {
        // All are read before any goes: nobody knows what a damaged one needs.
        let manifests = self.manifests()?;
        let (old, kept) = manifests.split_at(manifests.len().saturating_sub(count));
        for manifest in old {
            let path = self.manifest_path(&manifest.name);
            fs::remove_file(&path).map_err(|e| failed("remove", &path, &e))?;
        }
        // No backup is there whose files are gone.
        file::sync_directory(&self.path.join(MANIFESTS))?;
        let needed: BTreeSet<PathBuf> = kept
            .iter()
            .flat_map(|manifest| {
                let datanodes = manifest.datanodes.iter();
                let files = datanodes.flat_map(move |datanode| {
                    datanode.files.iter().map(move |file| self.file(datanode, file))
                });
                files.chain([self.catalog(&manifest.name)])
            })
            .collect();
        let removed = [FILES, CATALOGS].iter().try_fold(0, |removed, directory| {
            Ok::<_, CommandError>(removed + remove_all_but(&self.path.join(directory), &needed)?)
        })?;
        let (old, kept) = (old.len(), kept.len());
        console
            .step(&format!("removed {old} backups and {removed} files; {kept} backups are kept"));
        Ok(())
    }
}

fn locked(lock: Result<(), TryLockError>, path: &Path) -> Result<()> {
    lock.map_err(|error| match error {
        TryLockError::WouldBlock => CommandError::failure(format!(
            "directory \"{}\" is in use by another kestrel backup or restore",
            path.display()
        )),
        TryLockError::Error(error) => failed("lock", path, &error),
    })
}

/// How many files below the directory went, with the directories that are empty then.
fn remove_all_but(directory: &Path, needed: &BTreeSet<PathBuf>) -> Result<u64> {
    let mut removed = 0;
    for name in file::names_in(directory)? {
        let path = directory.join(name);
        if path.is_dir() {
            removed += remove_all_but(&path, needed)?;
            // It stays while it holds something.
            let _ = fs::remove_dir(&path);
        } else if !needed.contains(&path) {
            fs::remove_file(&path).map_err(|e| failed("remove", &path, &e))?;
            removed += 1;
        }
    }
    Ok(removed)
}
