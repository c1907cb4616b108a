//! Record batches as bytes: Arrow's IPC stream format, in frames of a bounded size. What crosses a
//! wire and what an exchange spills have this form.

use std::sync::Arc;

use crate::{ErrorReport, Result, SqlState, batch_bytes};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    buffer::Buffer,
    datatypes::{DataType, Schema},
    error::ArrowError,
    ipc::{
        CompressionType,
        reader::StreamDecoder,
        writer::{IpcWriteOptions, StreamEncoder},
    },
};

/// A batch of more bytes is cut into frames of no more, unless it is a single row, so that no frame
/// comes near the limit of a message.
const FRAME_BYTES: u64 = 16 << 20;
/// A view array that holds this many times the bytes it uses is compacted first.
const WASTE_MAX: usize = 2;

/// What a message of Arrow's stream format begins with.
const CONTINUATION_MARKER: [u8; 4] = [0xff; 4];

/// Whether the bytes are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are: best where the network is faster than compressing.
    #[default]
    None,
    /// LZ4: for slow links.
    Lz4,
}

/// Encodes the batches of one stream. The first frame carries their schema.
pub struct BatchEncoder {
    encoder: StreamEncoder,
}

impl BatchEncoder {
    /// An encoder of a stream with this schema.
    pub fn new(schema: &Schema, compression: Compression) -> Result<Self> {
        let kind = match compression {
            Compression::None => None,
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
        };
        let encoder = IpcWriteOptions::default()
            .try_with_compression(kind)
            .and_then(|options| StreamEncoder::try_new_with_options(schema, options));
        Ok(Self { encoder: encoder.map_err(|e| broken("encoded", &e))? })
    }

    /// The frames of one batch, in order; each is a list of buffers, which are shared with the
    /// batch and not copied. A batch without rows has one frame, too.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Vec<Buffer>>> {
        let mut encoded = Vec::new();
        self.encode_part(batch, &mut encoded)?;
        Ok(encoded)
    }

    /// Halves what is too large for a frame, down to single rows.
    fn encode_part(&mut self, part: &RecordBatch, encoded: &mut Vec<Vec<Buffer>>) -> Result<()> {
        let rows = part.num_rows();
        if rows > 1 && batch_bytes(part) > FRAME_BYTES {
            let half = rows / 2;
            self.encode_part(&part.slice(0, half), encoded)?;
            return self.encode_part(&part.slice(half, rows - half), encoded);
        }
        let frame = self.encoder.encode(&compacted(part)?);
        encoded.push(frame.map_err(|e| broken("encoded", &e))?);
        Ok(())
    }
}

/// Decodes the frames of one stream.
#[derive(Debug, Default)]
pub struct BatchDecoder {
    decoder: StreamDecoder,
}

impl BatchDecoder {
    /// The batch of one frame.
    ///
    /// # Errors
    /// XX001 when the bytes are no frame of this stream.
    pub fn decode(&mut self, frame: impl Into<Buffer>) -> Result<RecordBatch> {
        let mut buffer = frame.into();
        let mut batch = self.decode_part(&mut buffer)?;
        if batch.is_none() && buffer.is_empty() {
            // The decoder looks at a message without a body, such as that of a batch without
            // columns, only when more bytes come: those that begin the next message.
            buffer = Buffer::from(CONTINUATION_MARKER);
            batch = self.decode_part(&mut buffer)?;
            if buffer.len() == CONTINUATION_MARKER.len() {
                buffer = Buffer::default();
            }
        }
        match batch {
            Some(batch) if buffer.is_empty() => Ok(batch),
            _ => Err(corrupted("a frame does not hold one batch")),
        }
    }

    fn decode_part(&mut self, buffer: &mut Buffer) -> Result<Option<RecordBatch>> {
        self.decoder.decode(buffer).map_err(|e| broken("decoded", &e))
    }
}

/// The batch without the bytes that its views do not refer to: those would be sent, too.
fn compacted(batch: &RecordBatch) -> Result<RecordBatch> {
    let wasteful = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8View => {
            let views = column.as_string_view();
            is_wasteful(views.data_buffers(), views.total_buffer_bytes_used())
        }
        DataType::BinaryView => {
            let views = column.as_binary_view();
            is_wasteful(views.data_buffers(), views.total_buffer_bytes_used())
        }
        _ => false,
    };
    if !batch.columns().iter().any(wasteful) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View if wasteful(column) => Arc::new(column.as_string_view().gc()) as _,
        DataType::BinaryView if wasteful(column) => Arc::new(column.as_binary_view().gc()) as _,
        _ => Arc::clone(column),
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(|e| broken("encoded", &e))
}

fn is_wasteful(buffers: &[Buffer], used: usize) -> bool {
    let held: usize = buffers.iter().map(Buffer::len).sum();
    held > used.saturating_mul(WASTE_MAX)
}

fn broken(what: &str, error: &ArrowError) -> ErrorReport {
    corrupted(&format!("rows cannot be {what}: {error}"))
}

fn corrupted(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DATA_CORRUPTED, message)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatchOptions, StringViewArray};
    use bytes::Bytes;

    use super::*;

    fn joined(frame: &[Buffer]) -> Bytes {
        frame.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect::<Vec<_>>().into()
    }

    fn sample(rows: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let text = |i: i64| (i % 3 != 0).then(|| format!("a text that is longer than a view {i}"));
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter((0..rows).map(text)));
        RecordBatch::try_from_iter([("n", numbers), ("s", texts)]).unwrap()
    }

    #[test]
    fn batches_come_out_as_they_went_in() {
        for compression in [Compression::None, Compression::Lz4] {
            let all = sample(1000);
            let batches = [(0, 5), (0, 0), (10, 7), (999, 1)];
            check(batches.map(|(at, rows)| all.slice(at, rows)), compression);
        }
    }

    #[test]
    fn batches_without_columns_have_rows() {
        let rows = |rows| {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
                .unwrap()
        };
        check([rows(3), rows(0), rows(8192)], Compression::None);
    }

    fn check<const N: usize>(batches: [RecordBatch; N], compression: Compression) {
        let mut encoder = BatchEncoder::new(&batches[0].schema(), compression).unwrap();
        let mut decoder = BatchDecoder::default();
        for batch in batches {
            let frames = encoder.encode(&batch).unwrap();
            assert_eq!(frames.len(), 1);
            assert_eq!(decoder.decode(joined(&frames[0])).unwrap(), batch);
        }
    }

    /// Rows of these texts, in frames that are all small enough and together not much larger.
    fn check_cut(texts: Vec<String>) {
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
        let batch = RecordBatch::try_from_iter([("s", texts)]).unwrap();
        let mut encoder = BatchEncoder::new(&batch.schema(), Compression::None).unwrap();
        let frames = encoder.encode(&batch).unwrap();
        let sizes: Vec<u64> =
            frames.iter().map(|frame| frame.iter().map(|b| b.len() as u64).sum()).collect();
        assert!(frames.len() > 2, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size < FRAME_BYTES + 4096), "{sizes:?}");
        assert!(sizes.iter().sum::<u64>() < batch_bytes(&batch) * 11 / 10, "{sizes:?}");
        let mut decoder = BatchDecoder::default();
        let parts: Vec<_> =
            frames.iter().map(|frame| decoder.decode(joined(frame)).unwrap()).collect();
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &parts).unwrap(), batch);
    }

    #[test]
    fn large_batches_are_cut() {
        check_cut((0..1 << 20).map(|i| format!("a text that is longer than a view {i}")).collect());
        check_cut((0..8192).map(|_| "long".repeat(2000)).collect());
        // Large rows side by side among small ones.
        let large =
            |i: i32| if (4000..4030).contains(&i) { "long".repeat(500_000) } else { i.to_string() };
        check_cut((0..8192).map(large).collect());
    }

    #[test]
    fn a_slice_of_strings_is_sent_alone() {
        let batch = sample(10_000).slice(5, 3);
        let mut encoder = BatchEncoder::new(&batch.schema(), Compression::None).unwrap();
        let frames = encoder.encode(&batch).unwrap();
        let bytes: usize = frames[0].iter().map(Buffer::len).sum();
        assert!(bytes < 2000, "{bytes}");
    }

    #[test]
    fn garbage_is_refused() {
        let batch = sample(3);
        let mut encoder = BatchEncoder::new(&batch.schema(), Compression::None).unwrap();
        let frame = joined(&encoder.encode(&batch).unwrap()[0]);
        for bytes in [Bytes::from_static(b"garbage"), Bytes::new(), frame.slice(..frame.len() - 9)]
        {
            let error = BatchDecoder::default().decode(bytes).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::DATA_CORRUPTED, "{error}");
        }
    }
}
