//! The server's files that COPY reads: each datanode its parts, on the machine that it runs on.
//!
//! `cut` makes blocks of a part's text or csv, one after the other, and `records` has them read side
//! by side; `parquet` reads row groups side by side. All begins with `open`.

mod cut;
mod open;
mod parquet;
mod records;

use std::sync::Arc;

use datafusion::physical_plan::{SendableRecordBatchStream, stream::RecordBatchStreamAdapter};
use futures::{
    TryStreamExt,
    stream::{self, BoxStream, StreamExt},
};
use kestrel_planner::{
    copy::{FileKind, FileScan},
    functions::SessionFormats,
    operators::FileReader,
};
use kestrel_proto::{ErrorReport, Result};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::error::to_datafusion;

/// Items on their way from a thread that reads.
const QUEUED: usize = 2;

/// Reads files as this process may.
#[derive(Debug)]
pub(crate) struct ServerFiles;

impl FileReader for ServerFiles {
    fn read(
        &self,
        scan: &Arc<FileScan>,
        formats: SessionFormats,
    ) -> Result<SendableRecordBatchStream> {
        let mut scan = scan.as_ref().clone();
        scan.parser.layout.formats = formats;
        let schema = scan.schema();
        let rows = match scan.kind {
            FileKind::Records => records::read(Arc::new(scan)),
            FileKind::Parquet => parquet::read(Arc::new(scan)),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.map_err(to_datafusion))))
    }
}

/// What takes items; `false`: nobody wants more.
type Take<'a, T> = &'a mut dyn FnMut(T) -> bool;

/// The items that `work` gives, from a thread that may wait for the disk.
fn from_thread<T: Send + 'static>(
    work: impl FnOnce(Take<'_, T>) -> Result<()> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let (sender, receiver) = mpsc::channel(QUEUED);
    let work = move || work(&mut |item| sender.blocking_send(item).is_ok());
    let task = AbortOnDropHandle::new(tokio::task::spawn_blocking(work));
    let items = stream::unfold(Some((receiver, task)), async |state| {
        let (mut receiver, task): (mpsc::Receiver<T>, _) = state?;
        if let Some(item) = receiver.recv().await {
            return Some((Ok(item), Some((receiver, task))));
        }
        let ended = task.await.unwrap_or_else(|error| Err(lost(&error)));
        ended.err().map(|error| (Err(error), None))
    });
    items.boxed()
}

fn lost(error: &tokio::task::JoinError) -> ErrorReport {
    ErrorReport::internal(format!("a task that reads a file was lost: {error}"))
}

/// How much is read at once.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
