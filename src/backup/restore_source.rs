//! Which files a datanode's directory is to have: those of a backup, or those that its cluster needs
//! now.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kestrel_coordinator::catalog::CatalogCopy;
use kestrel_planner::catalog::Catalog;

use super::{
    file::NewFile,
    manifest::{DatanodeFiles, StoredFile},
    store::BackupDirectory,
};
use crate::{
    CommandError, Result,
    client::{Client, DEFAULT_URL},
};

/// What says which files they are.
#[derive(Debug)]
pub(super) enum Source {
    /// A backup.
    Backup(String),
    /// The catalog of a cluster whose coordinator runs.
    Running(String),
    /// The catalog of one that does not, in its directory.
    Stopped(PathBuf),
}

/// What a datanode needs.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) cluster_id: String,
    pub(super) datanode: DatanodeFiles,
    /// The names of the tables, by what the paths of their files begin with.
    tables: BTreeMap<String, String>,
}

impl Source {
    /// What was asked for.
    pub(super) fn of(
        backup: Option<String>,
        coordinator_data: Option<PathBuf>,
        url: Option<String>,
    ) -> Self {
        match (backup, coordinator_data) {
            (Some(name), _) => Self::Backup(name),
            (None, Some(directory)) => Self::Stopped(directory),
            (None, None) => Self::Running(url.unwrap_or_else(|| DEFAULT_URL.to_string())),
        }
    }

    /// What the datanode of this name needs.
    pub(super) async fn needs(&self, backups: &BackupDirectory, name: &str) -> Result<Needs> {
        let (cluster_id, datanode, tables) = match self {
            Self::Backup(backup) => {
                let manifest = backups.manifest(Some(backup))?;
                let datanode = manifest.datanode(name).cloned();
                let datanode =
                    datanode.ok_or_else(|| unknown(name, &format!("backup {backup}")))?;
                (manifest.cluster_id, datanode, BTreeMap::new())
            }
            Self::Running(url) => needed(&running(url).await?, name)?,
            Self::Stopped(directory) => needed(&CatalogCopy::read_directory(directory)?, name)?,
        };
        if datanode.uuid.is_empty() {
            return Err(CommandError::failure(format!(
                "datanode {name} has never registered: start it with an empty directory"
            )));
        }
        Ok(Needs { cluster_id, datanode, tables })
    }
}

impl Needs {
    /// These files of it are missing, in words.
    pub(super) fn lacking(&self, missing: &[&StoredFile], backups: &Path) -> CommandError {
        let mut tables: BTreeMap<&str, usize> = BTreeMap::new();
        for file in missing {
            let directory = Path::new(&file.path).parent().and_then(Path::to_str);
            let directory = directory.unwrap_or_default();
            let table = self.tables.get(directory).map_or(directory, String::as_str);
            *tables.entry(table).or_default() += 1;
        }
        let tables = tables.iter().map(|(table, count)| format!("{table} ({count})"));
        let tables = tables.collect::<Vec<_>>().join(", ");
        CommandError::failure(format!(
            "the backups in \"{}\" lack {} of the {} files that {} needs: of {tables}; these were \
             written after the last backup, or are damaged there (kestrel backup --verify). Restore the \
             whole cluster as a backup has it, or this datanode with --incomplete: then queries of these \
             tables fail until they are truncated or dropped",
            backups.display(),
            missing.len(),
            self.datanode.files.len(),
            self.datanode.name()
        ))
    }
}

type NeededNow = (String, DatanodeFiles, BTreeMap<String, String>);

fn needed(copy: &CatalogCopy, name: &str) -> Result<NeededNow> {
    let mut datanodes = DatanodeFiles::of(&copy.catalog).into_iter();
    let datanode = datanodes.find(|datanode| datanode.name() == name);
    let datanode = datanode.ok_or_else(|| unknown(name, "the cluster"))?;
    Ok((copy.cluster_id.to_string(), datanode, table_names(&copy.catalog)))
}

/// By the directories of their files.
fn table_names(catalog: &Catalog) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for table in catalog.tables.values() {
        let name = format!("{}.{}", table.schema_name, table.name);
        for file in table.segments.iter().flat_map(|segment| segment.files()) {
            if let Some(directory) = Path::new(file.name).parent().and_then(Path::to_str) {
                names.insert(directory.to_string(), name.clone());
            }
        }
    }
    names
}

fn unknown(datanode: &str, place: &str) -> CommandError {
    CommandError::failure(format!("there is no datanode \"{datanode}\" in {place}"))
}

/// The catalog of a cluster that runs.
async fn running(url: &str) -> Result<CatalogCopy> {
    let client = Client::connect(url).await?;
    let failed = |e| CommandError::failure(format!("cannot make a temporary directory: {e}"));
    let directory = tempfile::tempdir().map_err(failed)?;
    let path = directory.path().join("catalog");
    let mut new = NewFile::create(&path)?;
    client.copy_out_to("BACKUP CATALOG", |piece| new.write(piece)).await?;
    new.finish()?;
    Ok(CatalogCopy::read(&path)?)
}
