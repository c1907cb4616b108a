//! What is in a directory of backups, and whether it is whole.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    file,
    manifest::{Manifest, StoredFile},
    store::BackupDirectory,
};
use crate::{
    CommandError, Result,
    output::{Columns, Console},
};

/// Prints a line for each backup, oldest first.
pub(super) fn list(directory: &BackupDirectory, console: &Console) -> Result<()> {
    let manifests = directory.manifests()?;
    let rows: Vec<_> = manifests
        .iter()
        .map(|manifest| {
            [
                manifest.name.clone(),
                manifest.catalog_version.to_string(),
                manifest.datanodes.len().to_string(),
                manifest.count().to_string(),
                manifest.length().to_string(),
            ]
        })
        .collect();
    let names = ["name", "catalog version", "datanodes", "files", "bytes"];
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let headings: Vec<_> =
        names.iter().enumerate().map(|(at, name)| (*name, width(at), at == 0)).collect();
    let columns = Columns::new(&headings);
    console.result(&columns.row(names));
    console.result(&columns.rule());
    for row in &rows {
        console.result(&columns.row(row.iter().map(String::as_str)));
    }
    Ok(())
}

/// Reads all files of all backups, or of one; prints a line for each that is not as it was.
pub(super) async fn verify(
    directory: &BackupDirectory,
    name: Option<&str>,
    console: &Console,
) -> Result<()> {
    let mut problems = 0;
    let mut manifests = Vec::new();
    let names = match name {
        Some(name) => vec![directory.manifest(Some(name))?.name],
        None => directory.names()?,
    };
    for name in &names {
        match directory.read(name) {
            Ok(manifest) => manifests.push(manifest),
            Err(error) => {
                problems += 1;
                console.result(&error.to_string());
            }
        }
    }
    let files = files(directory, &manifests);
    let bar = console.bar("verify", files.values().map(|(file, _)| file.length).sum());
    let count = files.len();
    for (path, (stored, backups)) in files {
        let length = stored.length;
        let checked = path.clone();
        if let Some(what) = file::blocking(move || file::check(&checked, &stored)).await? {
            problems += 1;
            let backups = backups.join(", ");
            console.result(&format!("\"{}\": {what}; needed by {backups}", path.display()));
        }
        bar.advance(length);
    }
    if problems > 0 {
        return Err(CommandError::failure(format!(
            "{problems} files of the backups in \"{}\" are damaged or missing",
            directory.path().display()
        )));
    }
    bar.done(&format!("read {count} files"));
    console.result(&format!("{} backups are whole", manifests.len()));
    Ok(())
}

/// A file, and the backups that need it.
type Needed = (StoredFile, Vec<String>);

/// Each file once.
fn files(directory: &BackupDirectory, manifests: &[Manifest]) -> BTreeMap<PathBuf, Needed> {
    let mut files: BTreeMap<_, Needed> = BTreeMap::new();
    for manifest in manifests {
        let catalog = (directory.catalog(&manifest.name), &manifest.catalog);
        let others = manifest.datanodes.iter().flat_map(|datanode| {
            datanode.files.iter().map(move |file| (directory.file(datanode, file), file))
        });
        for (path, stored) in others.chain([catalog]) {
            let needed = files.entry(path).or_insert_with(|| (stored.clone(), Vec::new()));
            needed.1.push(manifest.name.clone());
        }
    }
    files
}
