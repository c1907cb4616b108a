//! A directory of backups: who may write there, what is kept.

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;

use super::{
    file::{self, NewFile},
    manifest::{DatanodeFiles, FORMAT, Manifest, StoredFile},
    store::BackupDirectory,
    verify::verify,
};
use crate::output::Console;

fn stored(path: &str, bytes: &[u8]) -> StoredFile {
    let (length, checksum) = (bytes.len() as u64, crc32c::crc32c(bytes));
    StoredFile { path: path.into(), length, checksum }
}

fn put(path: &Path, bytes: &[u8]) {
    let mut new = NewFile::create(path).unwrap();
    new.write(bytes).unwrap();
    new.finish().unwrap();
}

/// A backup whose one datanode has these files, and writes what is not there yet; how many that were.
fn add(directory: &BackupDirectory, name: &str, files: &[(&str, &str)]) -> usize {
    let files = files.iter().map(|(path, text)| (stored(path, text.as_bytes()), *text));
    let (files, texts): (Vec<_>, Vec<_>) = files.unzip();
    let datanode = DatanodeFiles { id: 1, uuid: "u".into(), files };
    let missing: Vec<_> = directory.lacks(&datanode).into_iter().cloned().collect();
    for (file, text) in datanode.files.iter().zip(texts) {
        if missing.contains(file) {
            put(&directory.file(&datanode, file), text.as_bytes());
        }
    }
    put(&directory.catalog(name), name.as_bytes());
    let manifest = Manifest {
        format: FORMAT,
        name: name.into(),
        cluster_id: "c".into(),
        catalog_version: 1,
        engine_version: "e".into(),
        catalog: stored("catalog.db", name.as_bytes()),
        tables_in_databases: 0,
        datanodes: vec![datanode],
    };
    directory.write(&manifest).unwrap();
    missing.len()
}

#[tokio::test]
async fn only_what_a_kept_backup_needs_is_kept() {
    let (root, console) = (TempDir::new().unwrap(), Console::silent());
    let directory = BackupDirectory::create(&root.path().join("new")).unwrap();
    // The third one has another file of the same name, as after a restore.
    assert_eq!(add(&directory, "1", &[("segments/7/a", "one"), ("segments/7/b", "two")]), 2);
    assert_eq!(add(&directory, "2", &[("segments/7/b", "two"), ("segments/8/c", "c")]), 1);
    assert_eq!(add(&directory, "3", &[("segments/7/b", "TWO")]), 1);
    let half = directory.path().join("files/dn2/segments/9/d.00000000.tmp");
    put(&half, b"half");
    verify(&directory, None, &console).await.unwrap();
    assert_eq!(directory.manifest(None).unwrap().name, "3");
    directory.keep(9, &console).unwrap();
    assert_eq!(directory.names().unwrap(), ["1", "2", "3"]);
    assert!(!half.exists());
    directory.keep(2, &console).unwrap();
    assert_eq!(directory.names().unwrap(), ["2", "3"]);
    verify(&directory, None, &console).await.unwrap();
    let files = directory.path().join("files/dn2/segments");
    let left = |table: &str| file::names_in(&files.join(table)).unwrap().len();
    assert_eq!((left("7"), left("8"), left("9")), (2, 1, 0));
    directory.keep(1, &console).unwrap();
    let left: BTreeSet<_> = file::names_in(&files).unwrap().into_iter().collect();
    assert_eq!(left, BTreeSet::from(["7".to_string()]));
    // With a manifest that cannot be read nothing goes.
    add(&directory, "4", &[]);
    fs::write(directory.path().join("manifests/5.manifest"), "{").unwrap();
    assert!(directory.keep(1, &console).is_err());
    assert!(verify(&directory, None, &console).await.is_err());
    verify(&directory, Some("3"), &console).await.unwrap();
}

#[test]
fn a_directory_is_one_writers_and_nobody_elses() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("backups");
    assert!(BackupDirectory::open(&path).unwrap_err().to_string().contains("no backups"));
    let writer = BackupDirectory::create(&path).unwrap();
    for other in [BackupDirectory::create(&path), BackupDirectory::open(&path)] {
        assert!(other.unwrap_err().to_string().contains("is in use by another"));
    }
    assert!(writer.manifest(None).unwrap_err().to_string().contains("no complete backup"));
    drop(writer);
    let readers = [BackupDirectory::open(&path).unwrap(), BackupDirectory::open(&path).unwrap()];
    assert!(BackupDirectory::create(&path).is_err());
    drop(readers);
    let other = root.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine.txt"), "somebody's").unwrap();
    let error = BackupDirectory::create(&other).unwrap_err().to_string();
    assert!(error.contains("is not empty (\"mine.txt\")"), "{error}");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}
