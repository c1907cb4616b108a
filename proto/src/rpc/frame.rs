//! One message of a stream of rows, as it crosses the wire.
//!
//! ```text
//!   sequence: u64 | kind: u8 | payload … | crc32c: u32        (little endian)
//! ```
//!
//! A frame that is lost, doubled, out of order or changed on its way is found by its receiver: the
//! sequence counts from 0, the checksum covers all that stands before it. Payloads go from Arrow's
//! buffers to the connection's in one copy.

use arrow::buffer::Buffer;
use bytes::{Buf, BufMut, Bytes};
use tonic::{Status, codec::EncodeBuf};

use super::codec::WireMessage;

/// Bytes around the payload.
const HEAD_BYTES: usize = 8 + 1;
const TAIL_BYTES: usize = 4;

/// A message of a stream of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// 0, 1, 2, …
    pub sequence: u64,
    /// What it carries.
    pub content: Content,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// An encoded message that says what the stream is about; only the first frame.
    Header(Bytes),
    /// A batch, see [`super::BatchEncoder`].
    Rows(Vec<Buffer>),
    /// All rows were sent. A stream that ends without it was cut off.
    End,
}

impl Content {
    fn kind(&self) -> u8 {
        match self {
            Self::Header(_) => 0,
            Self::Rows(_) => 1,
            Self::End => 2,
        }
    }

    fn parse(kind: u8, payload: Bytes) -> Option<Self> {
        match kind {
            0 => Some(Self::Header(payload)),
            1 => Some(Self::Rows(vec![Buffer::from(payload)])),
            2 => payload.is_empty().then_some(Self::End),
            _ => None,
        }
    }

    fn parts(&self) -> Vec<&[u8]> {
        match self {
            Self::Header(bytes) => vec![bytes],
            Self::Rows(buffers) => buffers.iter().map(Buffer::as_slice).collect(),
            Self::End => Vec::new(),
        }
    }
}

impl Frame {
    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.content.parts().iter().map(|part| part.len()).sum()
    }

    /// Checks the sequence number.
    pub fn expect(self, sequence: u64) -> Result<Content, Status> {
        if self.sequence == sequence {
            return Ok(self.content);
        }
        let found = self.sequence;
        Err(Status::data_loss(format!("frame {found} came in place of frame {sequence}")))
    }
}

impl WireMessage for Frame {
    fn put(self, buf: &mut EncodeBuf<'_>) {
        buf.reserve(HEAD_BYTES + self.payload_bytes() + TAIL_BYTES);
        let mut checksum = 0;
        let mut put = |part: &[u8]| {
            checksum = crc32c::crc32c_append(checksum, part);
            buf.put_slice(part);
        };
        put(&self.sequence.to_le_bytes());
        put(&[self.content.kind()]);
        self.content.parts().into_iter().for_each(&mut put);
        buf.put_u32_le(checksum);
    }

    fn take(mut bytes: Bytes) -> Result<Self, Status> {
        if bytes.len() < HEAD_BYTES + TAIL_BYTES {
            return Err(Status::data_loss("a frame is too short"));
        }
        let mut tail = bytes.split_off(bytes.len() - TAIL_BYTES);
        if crc32c::crc32c(&bytes) != tail.get_u32_le() {
            return Err(Status::data_loss("a frame's checksum is wrong"));
        }
        let (sequence, kind) = (bytes.get_u64_le(), bytes.get_u8());
        let content = Content::parse(kind, bytes);
        let content = content.ok_or_else(|| Status::data_loss("a frame is of no known kind"))?;
        Ok(Self { sequence, content })
    }
}
