//! The bytes of a connection: messages in, messages out.
//!
//! Both buffers outlive every future that waits on them, so that a future can be dropped at any
//! point.

use std::{
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::frontend;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    runtime::Handle,
};

use super::{
    frames::{Frames, Incoming, shrink},
    gathering::{Gathered, Gathering, Idle, Socket},
    report::Lost,
};

/// What is read from the network at a time.
const READ_BYTES: usize = 64 << 10;

/// A connection in any of its forms.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// How a server is connected.
pub(super) enum Connection {
    /// Not encrypted.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// What only tasks can read from: what comes encrypted.
    Other(Box<dyn Transport>),
    /// A thread has it, until a COPY has ended.
    Gathering(Gathering),
}

/// A connection, and what was read from it and is to be written to it.
pub(super) struct Wire {
    connection: Connection,
    incoming: Frames,
    outgoing: BytesMut,
}

impl Connection {
    /// No connection.
    pub(super) fn nowhere() -> Self {
        Self::Other(Box::new(tokio::io::empty()))
    }

    /// `None`: a thread has it.
    fn transport(&mut self) -> Option<&mut dyn Transport> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(stream) => Some(stream),
            Self::Other(transport) => Some(transport.as_mut()),
            Self::Gathering(_) => None,
        }
    }
}

impl Wire {
    pub(super) fn new(connection: Connection, message_bytes_max: usize) -> Self {
        Self { connection, incoming: Frames::new(message_bytes_max), outgoing: BytesMut::new() }
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
        let Some(mut transport) = self.connection.transport() else {
            return Poll::Ready(match self.outgoing.is_empty() {
                true => Ok(()),
                false => Err(Lost::malformed("something to be answered amid COPY data")),
            });
        };
        while self.outgoing.has_remaining() {
            let written = ready!(
                pin!(AsyncWriteExt::write_buf(&mut transport, &mut self.outgoing)).poll(cx)
            )?;
            if written == 0 {
                return Poll::Ready(Err(Lost::Closed));
            }
        }
        pin!(AsyncWriteExt::flush(&mut transport)).poll(cx).map_err(Lost::from)
    }

    /// Reads one message, or the COPY data that has come.
    pub(super) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Lost>> {
        loop {
            if let Connection::Gathering(gathering) = &mut self.connection {
                let (socket, incoming, message) = match ready!(gathering.poll_next(cx))? {
                    Gathered::Incoming(incoming) => return Poll::Ready(Ok(incoming)),
                    Gathered::Ready { socket, incoming, message } => (socket, incoming, message),
                };
                self.connection = gathering.give_back(socket)?;
                self.incoming = incoming;
                return Poll::Ready(Ok(Incoming::Message(message)));
            }
            if let Some(incoming) = self.incoming.take_next()? {
                return Poll::Ready(Ok(incoming));
            }
            let Some(mut transport) = self.connection.transport() else { continue };
            // Grows as bytes come: a length alone reserves nothing.
            let bytes = self.incoming.bytes();
            bytes.reserve(READ_BYTES);
            let read = ready!(pin!(AsyncReadExt::read_buf(&mut transport, bytes)).poll(cx))?;
            if read == 0 {
                return Poll::Ready(Err(Lost::Closed));
            }
        }
    }

    /// Has a thread read the answers to one query, which sends much and takes nothing. Changes
    /// nothing where only tasks can read, there is no runtime, or the system gives no thread.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn gather(&mut self) -> Result<(), Lost> {
        if let Connection::Other(_) | Connection::Gathering(_) = self.connection {
            return Ok(());
        }
        let (Ok(runtime), Ok(thread)) = (Handle::try_current(), Idle::spawn()) else {
            return Ok(());
        };
        let socket = match std::mem::replace(&mut self.connection, Connection::nowhere()) {
            Connection::Tcp(stream) => Socket::Tcp(stream.into_std()?),
            Connection::Unix(stream) => Socket::Unix(stream.into_std()?),
            other @ (Connection::Other(_) | Connection::Gathering(_)) => {
                self.connection = other;
                return Ok(());
            }
        };
        let incoming = std::mem::take(&mut self.incoming);
        self.connection =
            Connection::Gathering(Gathering::start(thread, socket, incoming, runtime)?);
        Ok(())
    }

    /// Gives back what a large message has made the buffers grow to.
    pub(super) fn shrink(&mut self) {
        self.incoming.shrink();
        shrink(&mut self.outgoing);
    }
}
