//! The sending end of a stream to another process.

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt, stream};
use kestrel_proto::{
    BatchStream, DatanodeId, ErrorReport, ExchangeRequest, MotionId, Result,
    message::ExchangeControl,
    rpc::{BatchEncoder, Compression, Content, Frame, to_status},
};
use tokio::{runtime::Handle, sync::mpsc};
use tonic::{Status, Streaming};

use super::calls::query_id;

/// Encoded frames that wait for the connection.
const FRAMES_IN_FLIGHT: usize = 2;

/// What the first message asks for.
pub(super) fn request(first: &ExchangeControl) -> Result<ExchangeRequest> {
    let open = first.open.as_ref();
    let open = open.ok_or_else(|| ErrorReport::internal("a stream without a name"))?;
    Ok(ExchangeRequest {
        query: query_id(&open.query_id)?,
        motion: MotionId(open.motion),
        sender: DatanodeId(open.sender),
        receiver: DatanodeId(open.receiver),
    })
}

/// The frames of `rows`, as credit allows. Dropping them closes `rows`.
pub(super) fn send(
    rows: BatchStream,
    controls: Streaming<ExchangeControl>,
    credit_bytes: u64,
    compression: Compression,
    runtime: &Handle,
) -> impl Stream<Item = Result<Frame, Status>> + Send + use<> {
    let (frames, receiver) = mpsc::channel(FRAMES_IN_FLIGHT);
    let sender = Sender {
        controls,
        credit: Credit(i64::try_from(credit_bytes).unwrap_or(i64::MAX)),
        compression,
        frames,
        sequence: 0,
    };
    runtime.spawn(sender.run(rows));
    stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|frame| (frame, receiver))
    })
}

/// Bytes that may be sent. Any credit allows one frame, whatever its size: then it is below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Credit(i64);

impl Credit {
    fn allows(self) -> bool {
        self.0 > 0
    }

    fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub_unsigned(bytes as u64);
    }

    fn grant(&mut self, bytes: u64) {
        self.0 = self.0.saturating_add_unsigned(bytes);
    }
}

struct Sender {
    controls: Streaming<ExchangeControl>,
    credit: Credit,
    compression: Compression,
    frames: mpsc::Sender<Result<Frame, Status>>,
    sequence: u64,
}

/// Why sending stops before the end.
enum Stop {
    /// The receiver wants no more, or is gone.
    Closed,
    /// The rows have failed.
    Failed(ErrorReport),
}

impl From<ErrorReport> for Stop {
    fn from(report: ErrorReport) -> Self {
        Self::Failed(report)
    }
}

impl Sender {
    async fn run(mut self, rows: BatchStream) {
        // `rows` has been dropped by then: a receiver that closes is no error.
        if let Err(Stop::Failed(report)) = self.send_all(rows).await {
            let _ = self.frames.send(Err(to_status(&report))).await;
        }
    }

    async fn send_all(&mut self, mut rows: BatchStream) -> Result<(), Stop> {
        let mut encoder = None;
        while let Some(batch) = self.next(&mut rows).await? {
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                None => encoder.insert(BatchEncoder::new(&batch.schema(), self.compression)?),
            };
            for buffers in encoder.encode(&batch)? {
                self.wait_for_credit().await?;
                self.put(Content::Rows(buffers)).await?;
            }
        }
        self.put(Content::End).await
    }

    /// The next batch. It is not taken from its queue before it can be sent.
    async fn next(&mut self, rows: &mut BatchStream) -> Result<Option<RecordBatch>, Stop> {
        self.wait_for_credit().await?;
        loop {
            tokio::select! {
                batch = rows.next() => return Ok(batch.transpose()?),
                control = self.controls.message() => self.hear(control)?,
                () = self.frames.closed() => return Err(Stop::Closed),
            }
        }
    }

    async fn wait_for_credit(&mut self) -> Result<(), Stop> {
        while !self.credit.allows() {
            tokio::select! {
                control = self.controls.message() => self.hear(control)?,
                () = self.frames.closed() => return Err(Stop::Closed),
            }
        }
        Ok(())
    }

    fn hear(&mut self, control: Result<Option<ExchangeControl>, Status>) -> Result<(), Stop> {
        match control {
            Ok(Some(control)) => self.credit.grant(control.credit_bytes),
            Ok(None) | Err(_) => return Err(Stop::Closed),
        }
        Ok(())
    }

    async fn put(&mut self, content: Content) -> Result<(), Stop> {
        let frame = Frame { sequence: self.sequence, content };
        self.sequence += 1;
        self.credit.spend(frame.payload_bytes());
        self.frames.send(Ok(frame)).await.map_err(|_| Stop::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_credit_allows_one_frame() {
        let mut credit = Credit(1);
        assert!(credit.allows());
        credit.spend(1000);
        assert!(!credit.allows());
        credit.grant(999);
        assert!(!credit.allows());
        credit.grant(1);
        assert_eq!(credit, Credit(1));
        credit.grant(u64::MAX);
        assert_eq!(credit, Credit(i64::MAX));
    }
}
