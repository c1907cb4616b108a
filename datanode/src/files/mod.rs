//! The server's files that COPY reads: each datanode its parts, on the machine that it runs on.
//!
//! `cut` makes blocks of a part's text or csv, one after the other, and `records` has them read side
//! by side; `parquet` reads row groups side by side. All begins with `open`.

mod cut;
mod open;
mod parquet;
mod records;
#[cfg(test)]
mod test_scan;

use std::sync::Arc;

use datafusion::physical_plan::{SendableRecordBatchStream, stream::RecordBatchStreamAdapter};
use futures::{
    TryStreamExt,
    stream::{self, BoxStream, StreamExt},
};
use kestrel_planner::{
    copy::{FileKind, FileScan, Rejected},
    functions::SessionFormats,
    operators::FileReader,
};
use kestrel_proto::{ErrorReport, Result, message::RejectedRow};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::error::to_datafusion;

/// Items on their way from a thread that reads.
const QUEUED: usize = 2;

/// So many bad records of a fragment are reported.
const REPORTED_MAX: usize = 10_000;
/// And so many bytes of them, beyond which no more come.
const REPORTED_BYTES_MAX: usize = 4 << 20;

/// Reads files as this process may, for one fragment.
#[derive(Debug, Default)]
pub(crate) struct ServerFiles(Arc<Mutex<LeftOut>>);

/// The records that scans have left out.
#[derive(Debug, Default)]
struct LeftOut {
    count: u64,
    reported: Vec<RejectedRow>,
    /// Of these.
    bytes: usize,
}

impl LeftOut {
    fn note(&mut self, file: &str, rejected: Vec<Rejected>, is_reported: bool) {
        self.count += rejected.len() as u64;
        for row in rejected {
            let has_room = self.reported.len() < REPORTED_MAX && self.bytes < REPORTED_BYTES_MAX;
            if !is_reported || !has_room {
                break;
            }
            self.bytes += row.size() + file.len();
            let Rejected { line, message, text, .. } = row;
            self.reported.push(RejectedRow { file: file.to_string(), line, message, text });
        }
    }
}

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
            FileKind::Records => records::read(Arc::new(scan), Arc::clone(&self.0)),
            FileKind::Parquet => parquet::read(Arc::new(scan)),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.map_err(to_datafusion))))
    }

    fn rejected(&self) -> (u64, Vec<RejectedRow>) {
        let left_out = self.0.lock();
        (left_out.count, left_out.reported.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_bad_records_are_bounded() {
        let row = |bytes: usize| Rejected {
            line: 1,
            record: 1,
            message: "m".into(),
            text: "x".repeat(bytes),
        };
        for (bytes, rows, reported) in [(0, REPORTED_MAX, REPORTED_MAX), (1 << 20, 2, 4)] {
            let mut left_out = LeftOut::default();
            for _ in 0..4 {
                left_out.note("a", vec![row(bytes); rows], true);
            }
            assert_eq!(left_out.count, 4 * rows as u64);
            assert_eq!(left_out.reported.len(), reported, "{bytes}");
        }
    }
}
