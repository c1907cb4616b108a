//! Files that have their names only when they are whole, and the checksums that say so.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::manifest::StoredFile;
use crate::{CommandError, Result};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Rows and verifiers of passwords are their owner's alone.
const MODE_OF_FILES: u32 = 0o600;
const MODE_OF_DIRECTORIES: u32 = 0o700;
/// What is not whole yet ends with this.
pub(super) const UNFINISHED: &str = ".tmp";

/// A file that is being written; it goes again unless it is finished.
pub(super) struct NewFile {
    file: File,
    path: PathBuf,
    length: u64,
    checksum: u32,
    is_finished: bool,
}

impl NewFile {
    /// Makes the directories above it, too.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        let unfinished = unfinished(path);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(MODE_OF_FILES);
        let file = options.open(&unfinished).map_err(|e| failed("create", &unfinished, &e))?;
        Ok(Self { file, path: path.to_path_buf(), length: 0, checksum: 0, is_finished: false })
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| failed("write", &self.path, &e))?;
        self.length += bytes.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        Ok(())
    }

    /// So many bytes, with this checksum, were written.
    pub(super) fn written(&self) -> (u64, u32) {
        (self.length, self.checksum)
    }

    /// What is wrong with what was written, if it is to be this file.
    pub(super) fn difference(&self, expected: &StoredFile) -> Option<String> {
        difference(self.written(), expected)
    }

    /// It is on disk, and has its name from now on. The directory is not on disk yet.
    pub(super) fn finish(mut self) -> Result<()> {
        let finished = self.file.sync_all();
        let finished = finished.and_then(|()| fs::rename(unfinished(&self.path), &self.path));
        finished.map_err(|e| failed("write", &self.path, &e))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // The next one overwrites it.
            let _ = fs::remove_file(unfinished(&self.path));
        }
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// Copies a file that must be as expected.
pub(super) fn copy(from: &Path, to: &Path, expected: &StoredFile) -> Result<()> {
    let mut file = File::open(from).map_err(|e| failed("open", from, &e))?;
    let mut copy = NewFile::create(to)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = read(&mut file, &mut piece).map_err(|e| failed("read", from, &e))?;
        if read == 0 {
            break;
        }
        copy.write(&piece[..read])?;
    }
    match copy.difference(expected) {
        Some(what) => {
            Err(CommandError::failure(format!("\"{}\" is damaged: {what}", from.display())))
        }
        None => copy.finish(),
    }
}

/// What is wrong with a file that must be as expected; reads all of it.
pub(crate) fn check(path: &Path, expected: &StoredFile) -> Option<String> {
    if let Some(what) = check_length(path, expected) {
        return Some(what);
    }
    let checksum = File::open(path).and_then(|mut file| {
        let mut piece = vec![0; PIECE_BYTES];
        let (mut length, mut checksum) = (0, 0);
        loop {
            match read(&mut file, &mut piece)? {
                0 => return Ok((length, checksum)),
                count => {
                    length += count as u64;
                    checksum = crc32c::crc32c_append(checksum, &piece[..count]);
                }
            }
        }
    });
    match checksum {
        Ok(found) => difference(found, expected),
        Err(error) => Some(format!("it cannot be read: {error}")),
    }
}

/// The same, without reading it.
pub(super) fn check_length(path: &Path, expected: &StoredFile) -> Option<String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() == expected.length => None,
        Ok(metadata) => Some(wrong_length(metadata.len(), expected)),
        Err(error) if error.kind() == ErrorKind::NotFound => Some("it is missing".to_string()),
        Err(error) => Some(format!("it cannot be read: {error}")),
    }
}

fn difference((length, checksum): (u64, u32), expected: &StoredFile) -> Option<String> {
    if length != expected.length {
        return Some(wrong_length(length, expected));
    }
    (checksum != expected.checksum).then(|| "its bytes do not have their checksum".to_string())
}

fn wrong_length(found: u64, expected: &StoredFile) -> String {
    format!("it has {found} bytes in place of {}", expected.length)
}

fn read(file: &mut File, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Its owner's alone, unless it is there already; and those above it.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(MODE_OF_DIRECTORIES).create(path);
    made.map_err(|e| failed("create directory", path, &e))
}

/// The names in a directory are on disk from now on.
pub(super) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| failed("sync", path, &e))
}

/// The same of all directories above these files, up to `root`.
pub(super) fn sync_directories_of(
    files: impl IntoIterator<Item = PathBuf>,
    root: &Path,
) -> Result<()> {
    let mut directories = BTreeSet::from([root.to_path_buf()]);
    for file in files {
        let above = file.ancestors().skip(1).take_while(|directory| directory.starts_with(root));
        directories.extend(above.map(Path::to_path_buf));
    }
    directories.iter().try_for_each(|directory| sync_directory(directory))
}

/// The names in a directory; none if it is not there.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| failed("read", path, &e))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(|e| failed("read", path, &e))?;
    names.sort();
    Ok(names)
}

pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> CommandError {
    CommandError::failure(format!("cannot {what} \"{}\": {error}", path.display()))
}

/// Work that waits for the disk, and that a signal need not wait for.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let lost = |error| CommandError::failure(format!("a task was lost: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(lost)
}
