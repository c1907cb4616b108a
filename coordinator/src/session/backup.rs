//! BACKUP: the files of the cluster, as they are at one moment, for `kestrel backup`.
//!
//! 1. `BACKUP CATALOG` pins the newest version, so that the files of this and all later versions stay,
//!    and then copies the catalog: of the pinned version or a later one. So all files that the copy
//!    names stay for as long as the session lasts, or until it asks for another copy.
//! 2. `BACKUP FILE … ON dn1` sends one of them. Who copies them compares them with the checksums that
//!    the catalog has.

use std::fs::File;

use bytes::{Bytes, BytesMut};
use futures::stream;
use kestrel_planner::{access::insufficient, parse::BackupStatement};
use kestrel_proto::{ByteStream, DatanodeId, ErrorReport, Result, SqlState};
use tokio::io::AsyncReadExt;

use super::{ClientSession, Outcome};

/// Bytes of the catalog that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

impl ClientSession {
    /// BACKUP
    ///
    /// # Errors
    /// 42501 for who is no superuser; 55000 for a file before the catalog; 42704 for a datanode that is
    /// not there; those of the catalog's disk and of datanodes.
    pub(super) async fn backup(&mut self, statement: &BackupStatement) -> Result<Outcome> {
        let catalog = self.engine.catalog.snapshot();
        if !catalog.is_superuser(self.identity(&catalog).current) {
            return Err(insufficient("must be superuser to back up the cluster".into()));
        }
        let bytes = match statement {
            BackupStatement::Catalog => {
                // The one before goes first: it would keep more than is needed.
                self.backup_pin = None;
                let pin = self.engine.pin_newest();
                let copy = self.engine.catalog.copy().await?;
                self.backup_pin = Some(pin);
                pieces(copy)
            }
            BackupStatement::File { file, datanode } => {
                if self.backup_pin.is_none() {
                    let message = "no backup has begun in this session";
                    let state = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
                    return Err(ErrorReport::new(state, message).hint("BACKUP CATALOG begins one."));
                }
                let known = catalog.datanodes.iter().find(|known| known.name == *datanode);
                let known = known.ok_or_else(|| {
                    let message = format!("datanode \"{datanode}\" does not exist");
                    ErrorReport::new(SqlState::UNDEFINED_OBJECT, message)
                })?;
                let datanode = self.engine.cluster.datanode(DatanodeId(known.id))?;
                datanode.read_file(file.clone()).await?
            }
        };
        Ok(Outcome::Bytes(bytes))
    }
}

/// All bytes of a file.
fn pieces(file: File) -> ByteStream {
    let file = tokio::fs::File::from_std(file);
    Box::pin(stream::try_unfold(file, async |mut file| {
        let piece = next(&mut file).await?;
        Ok((!piece.is_empty()).then_some((piece, file)))
    }))
}

/// The next bytes; none at the end.
async fn next(file: &mut tokio::fs::File) -> Result<Bytes> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    file.read_buf(&mut piece).await.map_err(|error| {
        let message = format!("could not read the copy of the catalog: {error}");
        ErrorReport::new(SqlState::IO_ERROR, message)
    })?;
    Ok(piece.freeze())
}
