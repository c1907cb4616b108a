//! Data directories are made of a backup.
//!
//! An interrupted restore is run again, with the same options: what it had put there is used, and
//! until its end nobody starts there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use kestrel_coordinator::{
    access::RULE_FILE,
    catalog::{CATALOG_FILE, detach},
};
use kestrel_datanode::RestoredDir;
use kestrel_proto::DatanodeId;

use super::{
    file::{self, NewFile, blocking, failed},
    manifest::{DatanodeFiles, Manifest, StoredFile},
    note_databases,
    restore_source::Source,
    store::BackupDirectory,
};
use crate::{
    CommandError, Result,
    output::{Bar, Console},
};

/// Where the catalog is made ready, in a coordinator's directory that is being restored.
const STAGING: &str = "restoring";
/// Which backup is being restored there.
const STAGED_BACKUP: &str = "backup";

/// Flags of `kestrel restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backups' directory
    #[arg(value_name = "DIR")]
    backups: PathBuf,
    /// The data directory to make; it must not be there, or be empty
    #[arg(long)]
    directory: PathBuf,
    /// Which backup [default: the newest]
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
    /// Only the coordinator's directory, as the backup has it
    #[arg(long, requires = "backup", conflicts_with = "datanode")]
    coordinator: bool,
    /// Only this datanode's directory: as its cluster needs it now, or as --backup has it
    #[arg(long, value_name = "NAME")]
    datanode: Option<String>,
    /// The coordinator of the datanode's cluster [default: that of kestrel up]
    #[arg(long, requires = "datanode", conflicts_with_all = ["backup", "coordinator_data"])]
    url: Option<String>,
    /// The coordinator's data directory, if the coordinator does not run
    #[arg(long, value_name = "DIRECTORY", requires = "datanode", conflicts_with = "backup")]
    coordinator_data: Option<PathBuf>,
    /// Leave out the datanode's files that no backup has
    #[arg(long, requires = "datanode")]
    incomplete: bool,
}

/// What a restore has put into a directory.
#[derive(Clone, Copy, Debug, Default)]
struct Restored {
    files: usize,
    bytes: u64,
    /// Files that were there already.
    kept: usize,
    /// Files that were left out.
    missing: usize,
}

/// Restores a cluster, its coordinator, or one datanode.
pub(crate) async fn run_restore(arguments: RestoreArguments) -> Result<()> {
    let console = Console::new();
    let backups = BackupDirectory::open(&arguments.backups)?;
    if let Some(name) = arguments.datanode {
        let source = Source::of(arguments.backup, arguments.coordinator_data, arguments.url);
        let options = (arguments.directory.as_path(), arguments.incomplete);
        return restore_datanode(&backups, &name, &source, options, &console).await;
    }
    let manifest = backups.manifest(arguments.backup.as_deref())?;
    let datanodes = if arguments.coordinator { &[][..] } else { &manifest.datanodes[..] };
    restore_cluster(&backups, &manifest, datanodes, &arguments.directory, &console).await
}

/// One datanode, in this directory.
async fn restore_datanode(
    backups: &BackupDirectory,
    name: &str,
    source: &Source,
    (directory, incomplete): (&Path, bool),
    console: &Console,
) -> Result<()> {
    let needs = source.needs(backups, name).await?;
    // Its own directory may have what no backup has.
    let missing: Vec<_> = backups
        .lacks(&needs.datanode)
        .into_iter()
        .filter(|file| file::check(&directory.join(&file.path), file).is_some())
        .collect();
    if !missing.is_empty() && !incomplete {
        return Err(needs.lacking(&missing, backups.path()));
    }
    let restored = open(directory, &needs.cluster_id, &needs.datanode)?;
    let bar = console.bar(name, needs.datanode.length());
    let put = put_files(backups, &needs.datanode, restored, &missing, &bar).await?;
    bar.done(&format!("restored {} files", put.files));
    console.result(&format!(
        "datanode {name} is restored in {}: {} files, {} bytes; {} files were there, {} are missing",
        directory.display(),
        put.files,
        put.bytes,
        put.kept,
        put.missing
    ));
    Ok(())
}

/// The coordinator, and these datanodes in directories below it, as `kestrel up` has them.
async fn restore_cluster(
    backups: &BackupDirectory,
    manifest: &Manifest,
    datanodes: &[DatanodeFiles],
    directory: &Path,
    console: &Console,
) -> Result<()> {
    // What has never registered has no directory.
    let datanodes: Vec<_> = datanodes.iter().filter(|d| !d.uuid.is_empty()).collect();
    check_there(backups, manifest, &datanodes)?;
    let staging = begin(directory, manifest)?;
    let bytes = manifest.catalog.length + datanodes.iter().map(|d| d.length()).sum::<u64>();
    let bar = console.bar("restore", bytes);
    let mut files = 1;
    for datanode in &datanodes {
        let restored = open(&directory.join(datanode.name()), &manifest.cluster_id, datanode)?;
        let put = put_files(backups, datanode, restored, &[], &bar).await?;
        files += put.files + put.kept;
    }
    let (from, stored) = (backups.catalog(&manifest.name), manifest.catalog.clone());
    let place = directory.to_path_buf();
    blocking(move || put_catalog(&from, &stored, &staging, &place)).await??;
    bar.done(&format!("restored {files} files"));
    note_databases(manifest.tables_in_databases, console);
    console.result(&format!(
        "backup {} is restored in {}: {files} files, {bytes} bytes, {} datanodes",
        manifest.name,
        directory.display(),
        datanodes.len()
    ));
    Ok(())
}

fn open(directory: &Path, cluster_id: &str, datanode: &DatanodeFiles) -> Result<RestoredDir> {
    let id = DatanodeId(datanode.id);
    Ok(RestoredDir::open(directory, cluster_id, id, &datanode.uuid)?)
}

/// All files have the lengths that they must have: a restore that cannot end does not begin.
fn check_there(
    backups: &BackupDirectory,
    manifest: &Manifest,
    datanodes: &[&DatanodeFiles],
) -> Result<()> {
    let catalog = backups.catalog(&manifest.name);
    let catalog = file::check_length(&catalog, &manifest.catalog).map(|_| catalog);
    let others = datanodes.iter().flat_map(|datanode| {
        backups.lacks(datanode).into_iter().map(move |file| backups.file(datanode, file))
    });
    let missing: Vec<_> = catalog.into_iter().chain(others).collect();
    match missing.first() {
        Some(first) => Err(CommandError::failure(format!(
            "backup {} lacks {} of its files, such as \"{}\"",
            manifest.name,
            missing.len(),
            first.display()
        ))),
        None => Ok(()),
    }
}

/// Takes the coordinator's directory; where the catalog is made ready.
fn begin(directory: &Path, manifest: &Manifest) -> Result<PathBuf> {
    let staging = directory.join(STAGING);
    let begun = fs::read_to_string(staging.join(STAGED_BACKUP)).ok();
    let is_begun = begun.is_some_and(|name| name == manifest.name);
    let names = file::names_in(directory)?;
    let of_nobody = |name: &String| ["lost+found", RULE_FILE].contains(&name.as_str());
    let in_the_way = match is_begun {
        // Then what is there is its own, but for a catalog, which is put there last.
        true => names.into_iter().find(|name| name == CATALOG_FILE),
        false => names.into_iter().find(|name| !of_nobody(name)),
    };
    if let Some(name) = in_the_way {
        return Err(CommandError::failure(format!(
            "directory \"{}\" is not empty (\"{name}\"): name a new or an empty one",
            directory.display()
        )));
    }
    // The catalog of the restore that was interrupted.
    for name in file::names_in(&staging)?.iter().filter(|name| *name != STAGED_BACKUP) {
        let path = staging.join(name);
        fs::remove_file(&path).map_err(|e| failed("remove", &path, &e))?;
    }
    let mut marker = NewFile::create(&staging.join(STAGED_BACKUP))?;
    marker.write(manifest.name.as_bytes())?;
    marker.finish()?;
    Ok(staging)
}

/// Puts a datanode's files where they belong, but for those that are `missing`.
async fn put_files(
    backups: &BackupDirectory,
    datanode: &DatanodeFiles,
    directory: RestoredDir,
    missing: &[&StoredFile],
    bar: &Bar,
) -> Result<Restored> {
    let mut restored = Restored::default();
    let mut paths = Vec::with_capacity(datanode.files.len());
    for stored in &datanode.files {
        if missing.contains(&stored) {
            restored.missing += 1;
            continue;
        }
        let (from, to) = (backups.file(datanode, stored), directory.path().join(&stored.path));
        paths.push(to.clone());
        let expected = stored.clone();
        if blocking(move || put(&from, &to, &expected)).await?? {
            restored.files += 1;
            restored.bytes += stored.length;
        } else {
            restored.kept += 1;
        }
        bar.advance(stored.length);
    }
    let place = directory.path().to_path_buf();
    blocking(move || file::sync_directories_of(paths, &place)).await??;
    directory.finish()?;
    Ok(restored)
}

/// Whether the file was not there as it must be, and is now.
fn put(from: &Path, to: &Path, expected: &StoredFile) -> Result<bool> {
    if file::check(to, expected).is_none() {
        return Ok(false);
    }
    file::copy(from, to, expected)?;
    Ok(true)
}

/// Makes the catalog ready, and puts it where a coordinator looks for it.
fn put_catalog(from: &Path, stored: &StoredFile, staging: &Path, directory: &Path) -> Result<()> {
    file::copy(from, &staging.join(CATALOG_FILE), stored)?;
    let ready = detach(staging)?;
    let place = directory.join(CATALOG_FILE);
    fs::rename(&ready, &place).map_err(|e| failed("write", &place, &e))?;
    fs::remove_dir_all(staging).map_err(|e| failed("remove", staging, &e))?;
    file::sync_directory(directory)
}
