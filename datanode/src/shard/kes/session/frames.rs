//! What has come of messages, and where they end. A message's length is believed only as far as its
//! bytes have come.

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::backend::{COPY_DATA_TAG, DATA_ROW_TAG, Header, Message};

use super::report::Lost;

/// An idle session's buffers are no larger.
const IDLE_BYTES_MAX: usize = 256 << 10;
/// Of a message that carries no row: an error, a description.
const CONTROL_BYTES_MAX: usize = 16 << 20;
/// The tag and the length.
const HEADER_BYTES: usize = 5;

/// What a server sends.
pub(super) enum Incoming {
    /// The payloads of some `CopyData` messages, one after the other.
    CopyData(Bytes),
    /// Any other message.
    Message(Message),
}

/// The bytes that have come, and were not taken.
#[derive(Default)]
pub(super) struct Frames {
    bytes: BytesMut,
    message_bytes_max: usize,
}

impl Frames {
    /// Nothing has come; a message has so many bytes at most.
    pub(super) fn new(message_bytes_max: usize) -> Self {
        Self { bytes: BytesMut::new(), message_bytes_max }
    }

    /// For what comes next to be appended to.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Gives back what a large message has made the buffer grow to.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.bytes);
    }

    /// Takes one message, or the COPY data that has come; `None`: nothing is whole.
    pub(super) fn take_next(&mut self) -> Result<Option<Incoming>, Lost> {
        let Some(header) = self.complete(0)? else { return Ok(None) };
        if header.tag == COPY_DATA_TAG {
            return self.buffered_copy_data().map(|data| Some(Incoming::CopyData(data)));
        }
        let message = Message::parse(&mut self.bytes).map_err(Lost::malformed)?;
        Ok(message.map(Incoming::Message))
    }

    /// Takes all whole `CopyData` messages at the front of the buffer. PostgreSQL sends one for each
    /// row; the payloads are moved together in place, over the headers between them:
    ///
    /// ```text
    ///   d len row1 d len row2 d len row3 d len ro   ->   row1 row2 row3   and   d len ro
    /// ```
    ///
    /// The first is where it should be already, so a single large row is not moved at all.
    fn buffered_copy_data(&mut self) -> Result<Bytes, Lost> {
        let (mut taken, mut kept) = (0, HEADER_BYTES);
        while let Some(header) = self.complete(taken)? {
            if header.tag != COPY_DATA_TAG {
                break;
            }
            let end = taken + header.total_bytes;
            if taken > 0 {
                self.bytes.copy_within(taken + HEADER_BYTES..end, kept);
            }
            kept += header.total_bytes - HEADER_BYTES;
            taken = end;
        }
        let mut data = self.bytes.split_to(taken);
        data.truncate(kept);
        data.advance(HEADER_BYTES);
        Ok(data.freeze())
    }

    /// The message that begins at `at`, if all of it is there.
    fn complete(&self, at: usize) -> Result<Option<Framed>, Lost> {
        let bytes = self.bytes.get(at..).unwrap_or_default();
        let Some(header) = Header::parse(bytes).map_err(Lost::malformed)? else { return Ok(None) };
        let total_bytes = usize::try_from(header.len()).map_err(Lost::malformed)? + 1;
        let max = match header.tag() {
            COPY_DATA_TAG | DATA_ROW_TAG => self.message_bytes_max,
            _ => self.message_bytes_max.min(CONTROL_BYTES_MAX),
        };
        if total_bytes > max {
            let tag = char::from(header.tag());
            return Err(Lost::Malformed(format!(
                "a message '{}' of {total_bytes} bytes, more than {max}",
                tag.escape_default()
            )));
        }
        let framed = Framed { tag: header.tag(), total_bytes };
        Ok((bytes.len() >= total_bytes).then_some(framed))
    }
}

/// Gives back what an idle session's buffer does not need.
pub(super) fn shrink(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > IDLE_BYTES_MAX {
        *buffer = BytesMut::new();
    }
}

/// A whole message in the buffer.
struct Framed {
    tag: u8,
    /// With the header.
    total_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 4).unwrap();
        [[tag].as_slice(), &length.to_be_bytes(), payload].concat()
    }

    fn frames(bytes: &[u8], message_bytes_max: usize) -> Frames {
        Frames { bytes: bytes.into(), message_bytes_max }
    }

    #[test]
    fn copy_data_is_moved_together() {
        let rows: [&[u8]; 5] = [b"one", b"", b"three and more", b"4", b""];
        let mut bytes: Vec<u8> = rows.iter().flat_map(|row| message(b'd', row)).collect();
        bytes.extend(message(b'c', b""));
        bytes.extend(message(b'd', b"later"));
        bytes.extend(&message(b'd', b"half")[..7]);
        let mut frames = frames(&bytes, 100);
        let Some(Incoming::CopyData(data)) = frames.take_next().unwrap() else { panic!("no data") };
        assert_eq!(data, rows.concat());
        let done = frames.take_next().unwrap();
        assert!(matches!(done, Some(Incoming::Message(Message::CopyDone))));
        let Some(Incoming::CopyData(data)) = frames.take_next().unwrap() else { panic!("no data") };
        assert_eq!(data, "later");
        assert!(frames.take_next().unwrap().is_none());
        frames.bytes.extend_from_slice(b"lf");
        let Some(Incoming::CopyData(data)) = frames.take_next().unwrap() else { panic!("no data") };
        assert_eq!(data, "half");
    }

    #[test]
    fn lengths_are_bounded() {
        let error = |bytes: &[u8]| match frames(bytes, 100).take_next() {
            Err(Lost::Malformed(what)) => what,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("passed: {bytes:?}"),
        };
        assert!(error(b"d\x00\x00\x00\x64").contains("of 101 bytes, more than 100"));
        assert!(error(b"Z\x7f\xff\xff\xff").contains("more than 100"));
        assert!(error(b"Z\xff\xff\xff\xff").contains("length"));
        assert!(error(b"Z\x00\x00\x00\x03").contains("length"));
        assert!(frames(b"d\x00\x00\x00\x63", 100).take_next().unwrap().is_none());
    }
}
