//! `kestrel backup` and `kestrel restore`: copies of a running cluster, and clusters made of them.
//!
//! A backup is a manifest, which names the files that it needs. Segments never change, so what one
//! backup has copied the next one only names:
//!
//! ```text
//!   DIR/lock                                     held while somebody writes or reads here
//!   DIR/manifests/20261127T203301Z.manifest      written last: a backup without it is none
//!   DIR/catalogs/20261127T203301Z.db             the catalog
//!   DIR/files/dn1/segments/16385/1-2-3.parquet.1a2b3c4d
//!                                                a file of dn1, with its crc32c: a cluster that was
//!                                                restored may use a name again
//! ```
//!
//! 1. `take` asks the coordinator for its catalog, as a client and superuser. The session keeps the
//!    files that the catalog names from being removed.
//! 2. It asks for those that are not there yet; the coordinator reads them from the datanodes. Each
//!    is compared with the checksum in the catalog, and is on disk before the manifest is.
//! 3. `restore` makes data directories of a manifest, or one datanode's of what the cluster's catalog
//!    names now. Their last file is the one without which nobody starts there.

mod file;
mod manifest;
mod restore;
mod restore_source;
mod store;
mod take;
#[cfg(test)]
mod tests;
mod verify;

use std::path::PathBuf;

use clap::Args;

use crate::{Result, client::DEFAULT_URL, clients::parse_count, output::Console};
use store::BackupDirectory;

pub(crate) use file::{blocking, check as check_file};
pub(crate) use manifest::StoredFile;
pub(crate) use restore::{RestoreArguments, run_restore};

/// Flags of `kestrel backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The backups' directory; created when it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The coordinator; the role must be a superuser
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    /// Afterwards remove all backups but the newest ones, so many, and what only the others need
    #[arg(long, value_name = "COUNT", value_parser = parse_count,
          conflicts_with_all = ["list", "verify"])]
    keep: Option<usize>,
    /// List the backups that are in the directory
    #[arg(long, conflicts_with = "verify")]
    list: bool,
    /// Compare the files in the directory with their checksums
    #[arg(long)]
    verify: bool,
    /// Only those of this backup
    #[arg(long, value_name = "NAME", requires = "verify")]
    backup: Option<String>,
}

/// Backs up, lists or verifies.
pub(crate) async fn run_backup(arguments: BackupArguments) -> Result<()> {
    let console = Console::new();
    if arguments.list {
        let directory = BackupDirectory::open(&arguments.directory)?;
        return verify::list(&directory, &console);
    }
    if arguments.verify {
        let directory = BackupDirectory::open(&arguments.directory)?;
        return verify::verify(&directory, arguments.backup.as_deref(), &console).await;
    }
    let directory = BackupDirectory::create(&arguments.directory)?;
    take::take(&directory, &arguments.url, &console).await?;
    match arguments.keep {
        Some(count) => directory.keep(count, &console),
        None => Ok(()),
    }
}

/// What a backup does not have, and what that means; said when one is taken and when it is restored.
fn note_databases(tables: usize, console: &Console) {
    if tables > 0 {
        console.step(&format!(
            "warning: the rows of {tables} tables are in databases and not in this backup, which has \
             their definitions only: back up the databases with their own tools, while nothing is \
             written, and restore both together"
        ));
    }
}
