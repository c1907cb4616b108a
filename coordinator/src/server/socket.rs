//! The two directions of a client's socket, encrypted or not.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What comes from the client. All waits may be dropped: nothing is lost.
pub(super) enum ReadSide {
    Plain(OwnedReadHalf),
    Encrypted(Box<ReadHalf<TlsStream<TcpStream>>>),
    /// No socket: memory that a test writes to.
    #[cfg(test)]
    Memory(ReadHalf<tokio::io::DuplexStream>),
    /// A handshake has failed.
    Closed,
}

/// What goes to the client.
pub(super) enum WriteSide {
    Plain(OwnedWriteHalf),
    Encrypted(Box<WriteHalf<TlsStream<TcpStream>>>),
    /// No socket: memory that a test reads from.
    #[cfg(test)]
    Memory(WriteHalf<tokio::io::DuplexStream>),
    /// A handshake has failed.
    Closed,
}

/// Both sides of a socket.
pub(super) fn sides(socket: TcpStream) -> (ReadSide, WriteSide) {
    let (read, write) = socket.into_split();
    (ReadSide::Plain(read), WriteSide::Plain(write))
}

/// Both sides of what is no socket.
#[cfg(test)]
pub(super) fn sides_in_memory(stream: tokio::io::DuplexStream) -> (ReadSide, WriteSide) {
    let (read, write) = split(stream);
    (ReadSide::Memory(read), WriteSide::Memory(write))
}

/// Takes the client's handshake.
pub(super) async fn encrypt(
    read: &mut ReadSide,
    write: &mut WriteSide,
    acceptor: &TlsAcceptor,
) -> io::Result<()> {
    let sides =
        (std::mem::replace(read, ReadSide::Closed), std::mem::replace(write, WriteSide::Closed));
    let (ReadSide::Plain(plain_read), WriteSide::Plain(plain_write)) = sides else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    let socket = plain_read.reunite(plain_write).map_err(io::Error::other)?;
    let (encrypted_read, encrypted_write) = split(acceptor.accept(socket).await?);
    *read = ReadSide::Encrypted(Box::new(encrypted_read));
    *write = WriteSide::Encrypted(Box::new(encrypted_write));
    Ok(())
}

impl ReadSide {
    /// Appends what has come; 0: the client has closed.
    pub(super) async fn read_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read_buf(buffer).await,
            Self::Encrypted(socket) => socket.read_buf(buffer).await,
            #[cfg(test)]
            Self::Memory(socket) => socket.read_buf(buffer).await,
            Self::Closed => Ok(0),
        }
    }

    /// Whether the client has closed, without reading.
    pub(super) async fn has_closed(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(socket) => Ok(socket.ready(Interest::READABLE).await?.is_read_closed()),
            // The socket is under the encryption; whoever writes to it will notice.
            Self::Encrypted(_) => Ok(false),
            #[cfg(test)]
            Self::Memory(_) => Ok(false),
            Self::Closed => Ok(true),
        }
    }
}

impl WriteSide {
    /// Sends some of it, and takes that from its front.
    pub(super) async fn write_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_buf(buffer).await,
            Self::Encrypted(socket) => socket.write_buf(buffer).await,
            #[cfg(test)]
            Self::Memory(socket) => socket.write_buf(buffer).await,
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends what was written: encryption keeps something back.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush().await,
            Self::Encrypted(socket) => socket.flush().await,
            #[cfg(test)]
            Self::Memory(socket) => socket.flush().await,
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends all of it.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes).await?,
            Self::Encrypted(socket) => socket.write_all(bytes).await?,
            #[cfg(test)]
            Self::Memory(socket) => socket.write_all(bytes).await?,
            Self::Closed => return Err(io::ErrorKind::NotConnected.into()),
        }
        self.flush().await
    }

    /// There will be nothing more.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown().await,
            Self::Encrypted(socket) => socket.shutdown().await,
            #[cfg(test)]
            Self::Memory(socket) => socket.shutdown().await,
            Self::Closed => Ok(()),
        }
    }
}
