//! The bytes of a file, as it stands: for a backup.

use std::{fs::File, io::ErrorKind, path::PathBuf};

use bytes::{Bytes, BytesMut};
use futures::stream;
use kestrel_proto::{ByteStream, DatanodeId, ErrorReport, Result, SqlState};
use tokio::io::AsyncReadExt;

use super::{files, store::StoreState};
use crate::io_error::io_error;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What the bytes of one file are read with.
struct Reader {
    file: tokio::fs::File,
    path: PathBuf,
    datanode: DatanodeId,
}

/// Opens the file that the catalog calls `name`; blocks. Its bytes are read as they are asked for,
/// also when somebody removes the file meanwhile.
///
/// # Errors
/// 58P01 when that is no segment's name; XX001 when it is not there; 58030.
pub(super) fn open(state: &StoreState, name: &str) -> Result<ByteStream> {
    let no_segment = |_| {
        let message = format!("\"{name}\" is not the name of a segment's file");
        ErrorReport::new(SqlState::UNDEFINED_FILE, message)
    };
    let path = files::path_of(&state.data, name).map_err(no_segment)?;
    let file = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let message = format!("segment file \"{name}\" is missing");
            ErrorReport::new(SqlState::DATA_CORRUPTED, message)
        }
        _ => io_error("open", &path, &error),
    })?;
    let file = tokio::fs::File::from_std(file);
    let reader = Reader { file, path, datanode: state.datanode };
    Ok(Box::pin(stream::try_unfold(reader, async |mut reader| {
        let piece = reader.next().await?;
        Ok((!piece.is_empty()).then_some((piece, reader)))
    })))
}

impl Reader {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Bytes> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let read = self.file.read_buf(&mut piece).await;
        read.map_err(|error| {
            io_error("read", &self.path, &error).on_datanode(self.datanode.name())
        })?;
        Ok(piece.freeze())
    }
}
