//! Removing segments and delete vectors: on the coordinator's order only.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use kestrel_proto::{
    DropSegments, Result, TransactionId,
    fail_point::{self, FailPoint},
};

use super::{
    files::{self, FileName, SEGMENTS},
    store::StoreState,
    unsynced,
};
use crate::io_error::io_error;

/// Carries out an order. Goes on after an error, and returns the first.
pub(super) fn remove(state: &StoreState, order: &DropSegments) -> Result<()> {
    let files = match order {
        DropSegments::Files(files) => files.clone(),
        DropSegments::Transaction(transaction) => written_by(state, *transaction)?,
        DropSegments::AllBut(keep) => all_but(state, keep)?,
    };
    state.chunks.forget(&files.iter().map(String::as_str).collect());
    let mut result = Ok(());
    for file in files {
        let removed = remove_file(state, &file);
        result = result.and(removed);
    }
    if matches!(order, DropSegments::AllBut(_)) {
        remove_empty_dirs(state)?;
    }
    result
}

/// Only while nobody writes: a writer makes its table's directory before its file.
fn remove_empty_dirs(state: &StoreState) -> Result<()> {
    for dir in entries(&state.data.join(SEGMENTS))? {
        // Fails while the table has segments, which is as it should be.
        let _ = fs::remove_dir(dir);
    }
    Ok(())
}

fn remove_file(state: &StoreState, file: &str) -> Result<()> {
    let path = files::path_of(&state.data, file)?;
    state.footers.remove(file);
    unsynced::keep(&state.data, &path);
    match fs::remove_file(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io_error("remove", &path, &e)),
        Ok(()) => {
            fail_point::reached(FailPoint::FileRemoved);
            Ok(())
        }
    }
}

/// The files of a transaction, finished or not: their names tell.
fn written_by(state: &StoreState, transaction: TransactionId) -> Result<Vec<String>> {
    let mut files = all_files(state)?;
    files.retain(|file| {
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        name.and_then(FileName::parse).is_some_and(|n| n.transaction == transaction)
    });
    Ok(files)
}

fn all_but(state: &StoreState, keep: &[String]) -> Result<Vec<String>> {
    let mut keep: HashSet<_> = keep.iter().map(String::as_str).collect();
    let known = keep.len();
    let mut files = all_files(state)?;
    files.retain(|file| !keep.remove(file.as_str()));
    if let Some(first) = keep.iter().min() {
        let (datanode, missing) = (state.datanode, keep.len());
        tracing::error!(
            %datanode, missing, known, first,
            "files of segments are missing: queries that need them fail until they are restored"
        );
    }
    Ok(files)
}

/// Every file in the tables' directories, relative to the data directory.
fn all_files(state: &StoreState) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for dir in entries(&state.data.join(SEGMENTS))? {
        if !dir.is_dir() {
            continue;
        }
        for file in entries(&dir)? {
            if let Some(name) = file.strip_prefix(&state.data).ok().and_then(Path::to_str) {
                files.push(name.to_string());
            }
        }
    }
    Ok(files)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // Another order has just removed it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error("read", dir, &e)),
    };
    entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<_>>()
        .map_err(|e| io_error("read", dir, &e))
}
