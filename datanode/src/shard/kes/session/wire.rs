//! The bytes of a connection: messages in, messages out.
//!
//! Both buffers outlive every future that waits on them, so that a future can be dropped at any
//! point. A message's length is believed only as far as its bytes have come.

use std::{
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::{
    backend::{COPY_DATA_TAG, DATA_ROW_TAG, Header, Message},
    frontend,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::report::Lost;

/// What is read from the network at a time.
const READ_BYTES: usize = 64 << 10;
/// An idle session's buffers are no larger.
const IDLE_BYTES_MAX: usize = 256 << 10;
/// Of a message that carries no row: an error, a description.
const CONTROL_BYTES_MAX: usize = 16 << 20;
/// The tag and the length.
const HEADER_BYTES: usize = 5;

/// A connection in any of its forms.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// A connection, and what was read from it and is to be written to it.
pub(super) struct Wire {
    transport: Box<dyn Transport>,
    incoming: BytesMut,
    outgoing: BytesMut,
    message_bytes_max: usize,
}

/// What a server sends.
pub(super) enum Incoming {
    /// The payloads of some `CopyData` messages, one after the other.
    CopyData(Bytes),
    /// Any other message.
    Message(Message),
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>, message_bytes_max: usize) -> Self {
        let (incoming, outgoing) = (BytesMut::new(), BytesMut::new());
        Self { transport, incoming, outgoing, message_bytes_max }
    }

    /// What will be written next, for `frontend`'s functions to write to.
    pub(super) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Adds a piece of COPY data to what will be written.
    pub(super) fn queue_copy_data(&mut self, payload: Bytes) -> Result<(), Lost> {
        frontend::CopyData::new(payload)?.write(&mut self.outgoing);
        Ok(())
    }

    /// Writes until there is nothing to be written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        while self.outgoing.has_remaining() {
            let written = ready!(pin!(self.transport.write_buf(&mut self.outgoing)).poll(cx))?;
            if written == 0 {
                return Poll::Ready(Err(Lost::Closed));
            }
        }
        pin!(self.transport.flush()).poll(cx).map_err(Lost::from)
    }

    /// Reads one message, or the COPY data that has come.
    pub(super) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Lost>> {
        loop {
            if let Some(incoming) = self.buffered()? {
                return Poll::Ready(Ok(incoming));
            }
            // Grows as bytes come: a length alone reserves nothing.
            self.incoming.reserve(READ_BYTES);
            let read = ready!(pin!(self.transport.read_buf(&mut self.incoming)).poll(cx))?;
            if read == 0 {
                return Poll::Ready(Err(Lost::Closed));
            }
        }
    }

    /// Gives back what a large message has made the buffers grow to.
    pub(super) fn shrink(&mut self) {
        for buffer in [&mut self.incoming, &mut self.outgoing] {
            if buffer.is_empty() && buffer.capacity() > IDLE_BYTES_MAX {
                *buffer = BytesMut::new();
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Incoming>, Lost> {
        let Some(header) = self.complete(0)? else { return Ok(None) };
        if header.tag == COPY_DATA_TAG {
            return self.buffered_copy_data().map(|data| Some(Incoming::CopyData(data)));
        }
        let message = Message::parse(&mut self.incoming).map_err(Lost::malformed)?;
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
                self.incoming.copy_within(taken + HEADER_BYTES..end, kept);
            }
            kept += header.total_bytes - HEADER_BYTES;
            taken = end;
        }
        let mut data = self.incoming.split_to(taken);
        data.truncate(kept);
        data.advance(HEADER_BYTES);
        Ok(data.freeze())
    }

    /// The message that begins at `at`, if all of it is there.
    fn complete(&self, at: usize) -> Result<Option<Framed>, Lost> {
        let bytes = self.incoming.get(at..).unwrap_or_default();
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

    fn wire(bytes: &[u8], message_bytes_max: usize) -> Wire {
        let mut wire = Wire::new(Box::new(tokio::io::empty()), message_bytes_max);
        wire.incoming.extend_from_slice(bytes);
        wire
    }

    #[test]
    fn copy_data_is_moved_together() {
        let rows: [&[u8]; 5] = [b"one", b"", b"three and more", b"4", b""];
        let mut bytes: Vec<u8> = rows.iter().flat_map(|row| message(b'd', row)).collect();
        bytes.extend(message(b'c', b""));
        bytes.extend(message(b'd', b"later"));
        bytes.extend(&message(b'd', b"half")[..7]);
        let mut wire = wire(&bytes, 100);
        let Some(Incoming::CopyData(data)) = wire.buffered().unwrap() else { panic!("no data") };
        assert_eq!(data, rows.concat());
        let done = wire.buffered().unwrap();
        assert!(matches!(done, Some(Incoming::Message(Message::CopyDone))));
        let Some(Incoming::CopyData(data)) = wire.buffered().unwrap() else { panic!("no data") };
        assert_eq!(data, "later");
        assert!(wire.buffered().unwrap().is_none());
        wire.incoming.extend_from_slice(b"lf");
        let Some(Incoming::CopyData(data)) = wire.buffered().unwrap() else { panic!("no data") };
        assert_eq!(data, "half");
    }

    #[test]
    fn lengths_are_bounded() {
        let error = |bytes: &[u8]| match wire(bytes, 100).buffered() {
            Err(Lost::Malformed(what)) => what,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("passed: {bytes:?}"),
        };
        assert!(error(b"d\x00\x00\x00\x64").contains("of 101 bytes, more than 100"));
        assert!(error(b"Z\x7f\xff\xff\xff").contains("more than 100"));
        assert!(error(b"Z\xff\xff\xff\xff").contains("length"));
        assert!(error(b"Z\x00\x00\x00\x03").contains("length"));
        assert!(wire(b"d\x00\x00\x00\x63", 100).buffered().unwrap().is_none());
    }
}
