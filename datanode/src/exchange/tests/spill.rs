//! What happens to batches for which there is no memory.

use std::path::{Path, PathBuf};

use arrow::array::{RecordBatchOptions, StringViewArray};
use arrow::datatypes::Schema;
use datafusion::{
    error::DataFusionError,
    execution::{
        SpillFile, SpillWriter, TempFileFactory,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::RuntimeEnvBuilder,
    },
};
use tokio::runtime::Builder;

use super::*;

/// A hub whose memory and files can be looked at.
struct Watched {
    hub: ExchangeHub,
    resources: Arc<RuntimeEnv>,
    query: QueryId,
}

impl Watched {
    fn new(settings: ExchangeSettings, memory_bytes: usize, disk_bytes: u64) -> Self {
        let disk = DiskManagerBuilder::default().with_max_temp_directory_size(disk_bytes);
        let resources = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
            .with_disk_manager_builder(disk)
            .build_arc()
            .unwrap();
        let hub = ExchangeHub::new(SENDER, settings, Arc::clone(&resources));
        Self { hub, resources, query: QueryId::random() }
    }

    fn open(&self, receiver: u32) -> BatchStream {
        open(&self.hub, self.query, MOTION, receiver).unwrap()
    }

    fn begin(&self) -> MotionSender {
        self.hub.begin(self.query, MOTION).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let dirs = self.resources.disk_manager.temp_dir_paths();
        let entries = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap());
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Nothing is left, except what a thread that works may still hold for a moment.
    async fn leaves_nothing(&self) {
        assert_eq!(self.resources.memory_pool.reserved(), 0);
        assert_eq!(self.hub.counters().queued_bytes, 0);
        for left in (0..200).rev() {
            if self.files().is_empty() {
                break;
            }
            assert!(left > 0, "{:?}", self.files());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let disk = self.resources.disk_manager.spilling_progress();
        assert_eq!((disk.current_bytes, disk.active_files_count), (0, 0));
    }
}

/// One receiver reads when the other has finished.
#[tokio::test]
async fn what_has_no_memory_goes_to_files_and_comes_back_in_order() {
    let one = batch_bytes(&batch(0, 100));
    // (credit, budget, memory, batches that are spilled)
    for (credit, budget, memory, spilled) in [
        (1, 0, u64::MAX, 49..=49),
        (u64::MAX, 0, u64::MAX, 49..=49),
        (1, 10 * one, u64::MAX, 39..=41),
        (1, u64::MAX, 10 * one, 39..=41),
        (1, 50 * one, u64::MAX, 0..=0),
        (1, u64::MAX, u64::MAX, 0..=0),
    ] {
        let case = format!("credit {credit}, budget {budget}, memory {memory}");
        let settings = ExchangeSettings { spill_file_bytes: 7 * one, ..settings(credit, budget) };
        let watched = Watched::new(settings, memory as usize, u64::MAX);
        let (late, soon) = (watched.open(1), watched.open(2));
        let sender = watched.begin();
        let resources = Arc::clone(&watched.resources);
        let sending = tokio::spawn(async move {
            let mut reserved_bytes = 0;
            for i in 0..50 {
                for receiver in [1, 2] {
                    let batch = batch(i * 100, 100);
                    assert!(sender.send(DatanodeId(receiver), batch).await.unwrap());
                    reserved_bytes = reserved_bytes.max(resources.memory_pool.reserved() as u64);
                }
            }
            sender.finish();
            reserved_bytes
        });
        let expected: Vec<_> = (0..5_000).collect();
        assert_eq!(rows(soon).await.unwrap(), expected, "{case}");
        let reserved_bytes = sending.await.unwrap();
        assert!(reserved_bytes <= budget.min(memory).saturating_add(2 * one), "{case}");
        let counters = watched.hub.counters();
        assert!(spilled.contains(&counters.spilled_batches), "{case}: {counters:?}");
        assert!(counters.spilled_bytes >= counters.spilled_batches * one, "{case}: {counters:?}");
        assert_eq!(watched.files().is_empty(), *spilled.end() == 0, "{case}");
        assert_eq!(rows(late).await.unwrap(), expected, "{case}");
        watched.leaves_nothing().await;
        assert_eq!(watched.hub.streams(), 0);
    }
}

/// A file goes when it was read, though the stream still spills.
#[tokio::test]
async fn read_files_leave_before_the_last_one() {
    let settings = ExchangeSettings { spill_file_bytes: 1, ..settings(1, 0) };
    let watched = Watched::new(settings, usize::MAX, u64::MAX);
    let (mut late, _starves) = (watched.open(1), watched.open(2));
    let sender = watched.begin();
    for i in 0..10 {
        sender.send(DatanodeId(1), batch(i, 1)).await.unwrap();
    }
    assert_eq!(watched.files().len(), 9);
    for read in 0..5 {
        assert_eq!(late.next().await.unwrap().unwrap(), batch(read, 1));
    }
    assert_eq!(watched.files().len(), 5);
    watched.hub.end_query(watched.query);
    watched.leaves_nothing().await;
}

#[tokio::test]
async fn batches_of_any_kind_come_back() {
    let large: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5 << 20));
    let text = |i: i64| (i % 3 != 0).then(|| format!("a text that is longer than a view {i}"));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter((0..1_000).map(text)));
    let none = RecordBatchOptions::new().with_row_count(Some(9));
    for (kind, batch) in [
        ("large", RecordBatch::try_from_iter([("n", large)]).unwrap()),
        ("texts", RecordBatch::try_from_iter([("s", texts)]).unwrap().slice(7, 600)),
        ("empty", batch(0, 0)),
        (
            "without columns",
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &none).unwrap(),
        ),
    ] {
        let watched = Watched::new(settings(1, 0), usize::MAX, u64::MAX);
        let (late, _starves) = (watched.open(1), watched.open(2));
        let sender = watched.begin();
        for _ in 0..3 {
            sender.send(DatanodeId(1), batch.clone()).await.unwrap();
        }
        sender.finish();
        let received: Vec<_> = late.map(|batch| batch.unwrap()).collect().await;
        let received = arrow::compute::concat_batches(&batch.schema(), &received).unwrap();
        assert_eq!(received.num_rows(), 3 * batch.num_rows(), "{kind}");
        assert_eq!(received.slice(batch.num_rows(), batch.num_rows()), batch, "{kind}");
        assert_eq!(sender.traffic()[0].rows, 3 * batch.num_rows() as u64);
        assert_eq!(sender.traffic()[0].bytes, 3 * batch_bytes(&batch));
        watched.leaves_nothing().await;
    }
}

#[tokio::test]
async fn the_limit_of_the_disk_ends_the_sender() {
    let watched = Watched::new(settings(1, 0), usize::MAX, 5_000);
    let (late, soon) = (watched.open(1), watched.open(2));
    let sender = watched.begin();
    let mut sent = 0;
    let error = loop {
        match sender.send(DatanodeId(1), batch(sent, 100)).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!((2..6).contains(&sent), "{sent}");
    assert_eq!(error.sqlstate, SqlState::DISK_FULL);
    assert_eq!(error.message, "queries have spilled as much as they may to disk");
    assert_eq!(error.detail.as_deref(), Some("The limit is 5000 bytes."));
    assert!(!sender.end(error.clone()));
    assert_eq!(rows(late).await, Err(error.clone()));
    assert_eq!(rows(soon).await, Err(error));
    watched.leaves_nothing().await;
}

/// A disk that fails to write.
struct BrokenDisk(std::io::ErrorKind);

impl TempFileFactory for BrokenDisk {
    fn create_temp_file(&self, _: &str) -> datafusion::error::Result<Arc<dyn SpillFile>> {
        Ok(Arc::new(Self(self.0)))
    }
}

impl SpillFile for BrokenDisk {
    fn path(&self) -> Option<&Path> {
        Some(Path::new("/broken"))
    }

    fn size(&self) -> Option<u64> {
        None
    }

    fn read_stream(
        &self,
    ) -> datafusion::error::Result<
        futures::stream::BoxStream<'static, datafusion::error::Result<bytes::Bytes>>,
    > {
        Ok(futures::stream::empty().boxed())
    }

    fn open_writer(&self) -> datafusion::error::Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Self(self.0)))
    }
}

/// As DataFusion's own writer wraps it.
impl std::io::Write for BrokenDisk {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(DataFusionError::IoError(self.0.into()))?
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for BrokenDisk {
    fn finish(&mut self) -> datafusion::error::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_broken_disk_is_named() {
    use std::io::ErrorKind::{PermissionDenied, StorageFull};
    for (kind, sqlstate) in
        [(StorageFull, SqlState::DISK_FULL), (PermissionDenied, SqlState::IO_ERROR)]
    {
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Custom(Arc::new(BrokenDisk(kind))));
        let resources =
            RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build_arc().unwrap();
        let hub = ExchangeHub::new(SENDER, settings(1, 0), resources);
        let query = QueryId::random();
        let (_late, _starves) = (open(&hub, query, MOTION, 1), open(&hub, query, MOTION, 2));
        let sender = hub.begin(query, MOTION).unwrap();
        assert!(sender.send(DatanodeId(1), batch(0, 1)).await.unwrap());
        let error = sender.send(DatanodeId(1), batch(0, 1)).await.unwrap_err();
        assert_eq!(error.sqlstate, sqlstate);
        assert!(error.message.starts_with("cannot write \"/broken\": "), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_has_changed_is_found_out() {
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1);
    type Damage<'a> = (&'a dyn Fn(&mut Vec<u8>), &'a str);
    let damages: [Damage<'_>; 2] = [(&flip, "Its checksum is wrong."), (&cut, "It is too short.")];
    for (damage, detail) in damages {
        let watched = Watched::new(settings(1, 0), usize::MAX, u64::MAX);
        let (mut late, _starves) = (watched.open(1), watched.open(2));
        let sender = watched.begin();
        for i in 0..2 {
            assert!(sender.send(DatanodeId(1), batch(i, 100)).await.unwrap());
        }
        let [file] = watched.files().try_into().unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(late.next().await.unwrap().unwrap(), batch(0, 100), "this one is in memory");
        let error = late.next().await.unwrap().unwrap_err();
        assert_eq!(error.sqlstate, SqlState::DATA_CORRUPTED);
        assert_eq!(error.detail.as_deref(), Some(detail));
        assert!(late.next().await.is_none());
        assert!(!sender.send(DatanodeId(1), batch(0, 1)).await.unwrap(), "nobody reads on");
        watched.leaves_nothing().await;
    }
}

/// Keeps the one thread that writes and reads from its work until the receiver is dropped.
async fn occupy() -> std::sync::mpsc::Sender<()> {
    let (release, occupied) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _ = begun.send(());
        let _ = occupied.recv();
    });
    has_begun.await.unwrap();
    release
}

#[test]
fn a_query_may_end_while_a_file_is_written_or_read() {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        // While it is written.
        let watched = Watched::new(settings(1, 0), usize::MAX, u64::MAX);
        let (_late, _starves) = (watched.open(1), watched.open(2));
        let sender = watched.begin();
        for i in 0..2 {
            assert!(sender.send(DatanodeId(1), batch(i, 100)).await.unwrap());
        }
        let release = occupy().await;
        let sending = tokio::spawn(async move { sender.send(DatanodeId(1), batch(2, 100)).await });
        settle().await;
        assert!(!sending.is_finished());
        watched.hub.end_query(watched.query);
        assert_eq!(watched.resources.memory_pool.reserved(), 0);
        drop(release);
        assert_eq!(sqlstate(sending.await.unwrap()), SqlState::QUERY_CANCELED);
        watched.leaves_nothing().await;

        // While it is read: the reader goes on, or has gone.
        for stays in [true, false] {
            let watched = Watched::new(settings(1, 0), usize::MAX, u64::MAX);
            let (mut late, _starves) = (watched.open(1), watched.open(2));
            let sender = watched.begin();
            for i in 0..3 {
                assert!(sender.send(DatanodeId(1), batch(i, 100)).await.unwrap());
            }
            assert!(late.next().await.unwrap().is_ok());
            let release = occupy().await;
            assert!(futures::poll!(late.next()).is_pending());
            watched.hub.end_query(watched.query);
            assert_eq!(watched.resources.memory_pool.reserved(), 0);
            let late = stays.then_some(late);
            drop(release);
            if let Some(late) = late {
                assert_eq!(sqlstate(rows(late).await), SqlState::QUERY_CANCELED);
            }
            watched.leaves_nothing().await;
        }
    });
}

/// Dropping the receiver, the sender's failure, the end of all queries.
#[tokio::test]
async fn whoever_ends_a_stream_frees_its_memory_and_files() {
    let ends: [fn(&Watched, &MotionSender, &mut Option<BatchStream>); 4] = [
        |_, _, late| *late = None,
        |_, sender, _| assert!(!sender.end(ErrorReport::internal("failed"))),
        |watched, _, _| watched.hub.end_query(watched.query),
        |watched, _, _| watched.hub.end_all(),
    ];
    for (i, end) in ends.iter().enumerate() {
        let watched = Watched::new(settings(1, 0), usize::MAX, u64::MAX);
        let (mut late, _starves) = (Some(watched.open(1)), watched.open(2));
        let sender = watched.begin();
        for from in 0..5 {
            assert!(sender.send(DatanodeId(1), batch(from, 100)).await.unwrap());
        }
        assert_eq!(watched.files().len(), 1, "{i}");
        assert!(watched.hub.counters().queued_bytes > 0);
        end(&watched, &sender, &mut late);
        watched.leaves_nothing().await;
    }
}
