//! The files of a datanode: those that the catalog names, and what else is there.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use kestrel_planner::catalog::{Catalog, DatanodeDef, Segment, TableDef};
use kestrel_proto::DatanodeId;

use super::report::{Problem, ProblemKind, Report};
use crate::{
    CommandError, Result,
    backup::{StoredFile, blocking, check_file},
};

/// Held locked by a datanode that runs.
const LOCK: &str = "lock";
/// What segments and delete vectors are in.
const SEGMENTS: &str = "segments";

/// A datanode's data directory, in which nobody runs meanwhile.
pub(super) struct Directory {
    pub(super) id: DatanodeId,
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Segments whose files are not as they must be, by their ids.
    damaged: BTreeSet<u64>,
    _lock: Option<File>,
}

impl Directory {
    /// Takes the directory as it is.
    pub(super) fn open(datanode: &DatanodeDef, path: &Path) -> Result<Self> {
        let lock = path.join(LOCK);
        let failed =
            |error| CommandError::failure(format!("cannot lock \"{}\": {error}", lock.display()));
        let lock = match File::open(&lock) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Some(file),
                Err(TryLockError::WouldBlock) => {
                    let (name, path) = (&datanode.name, path.display());
                    let message = format!("datanode {name} runs in \"{path}\": stop it first");
                    return Err(CommandError::failure(message));
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            id: DatanodeId(datanode.id),
            name: datanode.name.clone(),
            path: path.to_path_buf(),
            damaged: BTreeSet::new(),
            _lock: lock,
        })
    }

    /// Compares a segment's files with what the catalog says.
    pub(super) async fn check(
        &mut self,
        table: &TableDef,
        segment: &Segment,
        report: &mut Report,
    ) -> Result<()> {
        for file in segment.files() {
            report.files += 1;
            report.bytes += file.length;
            let path = self.path.join(file.name);
            let (length, checksum) = (file.length, file.checksum);
            let expected = StoredFile { path: file.name.into(), length, checksum };
            if let Some(what) = blocking(move || check_file(&path, &expected)).await? {
                self.damaged.insert(segment.id);
                let problem = Problem::of(ProblemKind::File, table, what).on(&self.name);
                report.problems.push(Problem {
                    file: Some(file.name.into()),
                    rows: Some(segment.live_rows()),
                    ..problem
                });
            }
        }
        Ok(())
    }

    /// A table's segments here that can be read, and whether these are all.
    pub(super) fn readable<'a>(&self, table: &'a TableDef) -> (Vec<&'a Segment>, bool) {
        let here = || table.segments_on(self.id).map(AsRef::as_ref);
        let readable: Vec<_> = here().filter(|s| !self.damaged.contains(&s.id)).collect();
        let is_all = readable.len() == here().count();
        (readable, is_all)
    }

    /// How many files there are that the catalog does not name.
    pub(super) fn unknown_files(&self, catalog: &Catalog) -> Result<u64> {
        let segments = catalog.segments().filter(|segment| segment.datanode == self.id.0);
        let known: BTreeSet<PathBuf> = segments
            .flat_map(|segment| {
                segment.files().map(|file| self.path.join(file.name)).collect::<Vec<_>>()
            })
            .collect();
        let mut unknown = 0;
        let mut open = vec![self.path.join(SEGMENTS)];
        while let Some(directory) = open.pop() {
            let failed = |error| {
                let path = directory.display();
                CommandError::failure(format!("cannot read directory \"{path}\": {error}"))
            };
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                // Told by its files.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            for entry in entries {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    unknown += u64::from(!known.contains(&path));
                }
            }
        }
        Ok(unknown)
    }
}
