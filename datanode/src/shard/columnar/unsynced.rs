//! What a machine that stops may forget of segments and delete vectors: bytes and names that were not
//! fsynced. Noted only in processes that were started to end at a fail point.
//!
//! A file's bytes are kept by an fsync of the file, and its name, its new name and its removal by an
//! fsync of the directory. Before that the machine may keep them or not. What is noted here takes
//! them away, as a test wants it; what the catalog's database has written is SQLite's own affair.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use kestrel_proto::fail_point;
use parking_lot::Mutex;

/// What is lost when the process ends at a fail point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the machine goes on.
    Nothing,
    /// Half of the bytes of files that were not fsynced; names stay.
    Bytes,
    /// All that was not fsynced.
    All,
}

/// Of all datanodes in the process: their directories are different.
static JOURNAL: Mutex<Journal> = Mutex::new(Journal { changes: Vec::new(), files: Vec::new() });

/// Takes away what was not fsynced. For a process that is about to end; others may go on until then.
pub fn lose_unsynced(loss: Loss) {
    JOURNAL.lock().lose(loss);
}

/// Notes a change, where that is wanted.
pub(super) fn note(change: impl FnOnce() -> Change) {
    if fail_point::are_on() {
        JOURNAL.lock().note(change());
    }
}

/// Keeps a file that is about to be removed.
pub(super) fn keep(data: &Path, path: &Path) {
    if fail_point::are_on() {
        JOURNAL.lock().keep(data, path);
    }
}

/// What is done to files, in its order.
#[derive(Clone, Debug)]
pub(super) enum Change {
    CreatedDirectory(PathBuf),
    Created(PathBuf),
    Synced(PathBuf),
    Renamed {
        from: PathBuf,
        to: PathBuf,
    },
    /// `kept` is another name of the file.
    Removed {
        path: PathBuf,
        kept: PathBuf,
    },
    SyncedDirectory(PathBuf),
}

#[derive(Debug, Default)]
struct Journal {
    /// Of names that may be lost.
    changes: Vec<Change>,
    /// Files whose bytes may be lost, under their present names.
    files: Vec<PathBuf>,
}

impl Journal {
    fn note(&mut self, change: Change) {
        match &change {
            Change::Created(path) => self.files.push(path.clone()),
            Change::Renamed { from, to } => {
                self.files.iter_mut().filter(|file| **file == *from).for_each(|f| f.clone_from(to));
            }
            Change::Synced(path) => return self.files.retain(|file| file != path),
            Change::SyncedDirectory(directory) => return self.keep_names(directory),
            Change::CreatedDirectory(_) | Change::Removed { .. } => {}
        }
        self.changes.push(change);
    }

    /// What was done to the names in a directory is not lost any more.
    fn keep_names(&mut self, directory: &Path) {
        self.changes.retain(|change| {
            let is_lost = change.name().is_some_and(|name| name.parent() != Some(directory));
            if !is_lost && let Change::Removed { kept, .. } = change {
                let _ = fs::remove_file(kept);
            }
            is_lost
        });
    }

    fn keep(&mut self, data: &Path, path: &Path) {
        let Some(name) = path.file_name() else { return };
        // The next start empties that directory.
        let kept = data.join("tmp").join(name);
        // Without another name, the removal cannot be undone: a machine may do that, too.
        if fs::hard_link(path, &kept).is_ok() {
            self.note(Change::Removed { path: path.to_path_buf(), kept });
        }
    }

    /// What is not there any more needs not be taken away.
    fn lose(&mut self, loss: Loss) {
        if loss == Loss::Nothing {
            return;
        }
        for path in &self.files {
            let kept = fs::metadata(path).map_or(0, |metadata| metadata.len() / 2);
            let kept = if loss == Loss::All { 0 } else { kept };
            let file = File::options().write(true).open(path);
            let _ = file.and_then(|file| file.set_len(kept));
        }
        if loss == Loss::Bytes {
            return;
        }
        for change in self.changes.drain(..).rev() {
            let _ = match change {
                Change::CreatedDirectory(path) => fs::remove_dir_all(path),
                Change::Created(path) => fs::remove_file(path),
                Change::Renamed { from, to } => fs::rename(to, from),
                Change::Removed { path, kept } => fs::rename(kept, path),
                Change::Synced(_) | Change::SyncedDirectory(_) => Ok(()),
            };
        }
    }
}

impl Change {
    /// The name in a directory that it changes.
    fn name(&self) -> Option<&Path> {
        match self {
            Self::CreatedDirectory(path) | Self::Created(path) | Self::Removed { path, .. } => {
                Some(path)
            }
            Self::Renamed { to, .. } => Some(to),
            Self::Synced(_) | Self::SyncedDirectory(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Does what a line says, as the store would: `create a`, `rename a b`, `remove a`, `sync a`,
    /// `mkdir d`, `syncdir d`; files get the four bytes "full".
    fn act(journal: &mut Journal, root: &Path, line: &str) {
        let mut words = line.split(' ');
        let verb = words.next().unwrap();
        let paths: Vec<_> = words.map(|word| root.join(word)).collect();
        let first = paths[0].clone();
        match verb {
            "mkdir" => {
                fs::create_dir(&first).unwrap();
                journal.note(Change::CreatedDirectory(first));
            }
            "create" => {
                fs::write(&first, "full").unwrap();
                journal.note(Change::Created(first));
            }
            "rename" => {
                fs::rename(&first, &paths[1]).unwrap();
                journal.note(Change::Renamed { from: first, to: paths[1].clone() });
            }
            "remove" => {
                journal.keep(root, &first);
                fs::remove_file(&first).unwrap();
            }
            "sync" => journal.note(Change::Synced(first)),
            "syncdir" => journal.note(Change::SyncedDirectory(first)),
            other => panic!("{other} is nothing to be done"),
        }
    }

    fn contents(root: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut directories = vec![root.to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    found.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        found
    }

    fn check(lines: &str, loss: Loss, expected: &[(&str, &str)]) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tmp")).unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        let mut journal = Journal::default();
        for line in lines.split("; ") {
            act(&mut journal, root.path(), line);
        }
        journal.lose(loss);
        let expected = expected.iter().map(|(name, text)| (name.to_string(), text.to_string()));
        assert_eq!(contents(root.path()), expected.collect(), "{lines}, {loss:?}");
    }

    #[test]
    fn what_was_not_fsynced_is_lost() {
        let whole = [("d/a", "full")];
        check("create d/a", Loss::Nothing, &whole);
        check("create d/a", Loss::Bytes, &[("d/a", "fu")]);
        check("create d/a", Loss::All, &[]);
        // Bytes, and no name; a name, and no bytes.
        check("create d/a; sync d/a", Loss::Bytes, &whole);
        check("create d/a; sync d/a", Loss::All, &[]);
        check("create d/a; syncdir d", Loss::All, &[("d/a", "")]);
        check("create d/a; sync d/a; syncdir d", Loss::All, &whole);
        // As a segment is made.
        check("create d/t; sync d/t; rename d/t d/a", Loss::Bytes, &whole);
        check("create d/t; sync d/t; rename d/t d/a", Loss::All, &[]);
        check("create d/t; sync d/t; rename d/t d/a; syncdir d", Loss::All, &whole);
        // Without its fsync.
        check("create d/t; rename d/t d/a; syncdir d", Loss::Bytes, &[("d/a", "fu")]);
        check("create d/t; rename d/t d/a; syncdir d", Loss::All, &[("d/a", "")]);
        check("create d/t; sync d/t; syncdir d; rename d/t d/a", Loss::All, &[("d/t", "full")]);
        // In a directory that has no name yet.
        let made = "mkdir d/e; create d/e/a; sync d/e/a; syncdir d/e";
        check(made, Loss::All, &[]);
        check(&format!("{made}; syncdir d"), Loss::All, &[("d/e/a", "full")]);
        // A removal that is forgotten.
        let removed = "create d/a; sync d/a; syncdir d; remove d/a";
        check(removed, Loss::All, &whole);
        check(&format!("{removed}; syncdir d"), Loss::All, &[]);
    }
}
