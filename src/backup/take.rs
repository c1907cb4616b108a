//! A backup is taken: catalog, files, manifest.

use std::{fs, path::Path};

use chrono::Utc;
use kestrel_coordinator::catalog::{CATALOG_FILE, CatalogCopy};
use kestrel_proto::ENGINE_VERSION;

use super::{
    file::{self, NewFile},
    manifest::{DatanodeFiles, FORMAT, Manifest, StoredFile},
    note_databases,
    store::BackupDirectory,
};
use crate::{CommandError, Result, client::Client, output::Console};

/// What was asked of the cluster, and not found in the directory.
#[derive(Default)]
struct Copied {
    files: usize,
    bytes: u64,
}

/// Takes a backup of the cluster at `url`.
pub(super) async fn take(directory: &BackupDirectory, url: &str, console: &Console) -> Result<()> {
    let client = Client::connect(url).await?;
    // The role's sessions may begin with one.
    client.execute("SET statement_timeout = 0").await?;
    let name = new_name(directory)?;
    let path = directory.catalog(&name);
    let taken = async {
        let catalog = receive_catalog(&client, &path).await?;
        let manifest = manifest(directory, name.clone(), catalog)?;
        let copied = copy_files(directory, &client, &manifest, console).await?;
        directory.write(&manifest)?;
        Ok::<_, CommandError>((manifest, copied))
    };
    let (manifest, copied) = taken.await.inspect_err(|_| {
        // The files that have come are of use to the next backup, the catalog is to nobody.
        let _ = fs::remove_file(&path);
    })?;
    note_databases(manifest.tables_in_databases, console);
    console.result(&format!(
        "backup {name} in {}: {} files, {} bytes; of these {} files, {} bytes were copied now",
        directory.path().display(),
        manifest.count(),
        manifest.length(),
        copied.files,
        copied.bytes
    ));
    Ok(())
}

/// The time, and a number if there is one of this second already.
fn new_name(directory: &BackupDirectory) -> Result<String> {
    let time = Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
    let known = directory.names()?;
    let numbered = (2..).map(|number| format!("{time}-{number}"));
    let mut names = std::iter::once(time.clone()).chain(numbered);
    let free = names.find(|name| !known.contains(name));
    Ok(free.unwrap_or(time))
}

/// Asks for the catalog; from then on its files stay.
async fn receive_catalog(client: &Client, path: &Path) -> Result<StoredFile> {
    let mut new = NewFile::create(path)?;
    client.copy_out_to("BACKUP CATALOG", |piece| new.write(piece)).await?;
    let (length, checksum) = new.written();
    new.finish()?;
    Ok(StoredFile { path: CATALOG_FILE.into(), length, checksum })
}

/// What the backup with this catalog will need.
fn manifest(directory: &BackupDirectory, name: String, catalog: StoredFile) -> Result<Manifest> {
    let copy = CatalogCopy::read(&directory.catalog(&name))?;
    let cluster_id = copy.cluster_id.to_string();
    // A damaged one is for --verify to find, and keeps nobody from taking the next.
    let known = directory.names()?.iter().rev().find_map(|name| directory.read(name).ok());
    if let Some(other) = known.filter(|known| known.cluster_id != cluster_id) {
        return Err(CommandError::failure(format!(
            "directory \"{}\" has backups of cluster {}, and this is {cluster_id}: each cluster needs \
             a directory of its own",
            directory.path().display(),
            other.cluster_id
        )));
    }
    let tables = copy.catalog.tables.values();
    Ok(Manifest {
        format: FORMAT,
        name,
        cluster_id,
        catalog_version: copy.catalog.version,
        engine_version: ENGINE_VERSION.into(),
        catalog,
        tables_in_databases: tables.filter(|table| table.is_on_shards()).count(),
        datanodes: DatanodeFiles::of(&copy.catalog),
    })
}

/// Asks for the files that are not there yet.
async fn copy_files(
    directory: &BackupDirectory,
    client: &Client,
    manifest: &Manifest,
    console: &Console,
) -> Result<Copied> {
    let missing: Vec<_> = manifest
        .datanodes
        .iter()
        .flat_map(|datanode| {
            directory.lacks(datanode).into_iter().map(move |file| (datanode, file))
        })
        .collect();
    let total = missing.iter().map(|(_, file)| file.length).sum();
    let bar = console.bar("backup", total);
    let mut copied = Copied { files: 1, bytes: manifest.catalog.length };
    for (datanode, stored) in missing {
        let mut new = NewFile::create(&directory.file(datanode, stored))?;
        let (name, path) = (datanode.name(), stored.path.replace('\'', "''"));
        let command = format!("BACKUP FILE '{path}' ON {name}");
        let take = |piece: &[u8]| {
            bar.advance(piece.len() as u64);
            new.write(piece)
        };
        client.copy_out_to(&command, take).await?;
        if let Some(what) = new.difference(stored) {
            let path = &stored.path;
            let message = format!("segment file \"{path}\" of {name} is damaged there: {what}");
            return Err(CommandError::failure(message));
        }
        file::blocking(move || new.finish()).await??;
        copied.files += 1;
        copied.bytes += stored.length;
    }
    bar.done(&format!("copied {} files", copied.files));
    Ok(copied)
}
