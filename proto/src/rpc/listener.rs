//! A service on a port: only so many connections, and only such as speak soon.
//!
//! A connection that says nothing is below what keep-alive sees: HTTP/2 has not begun.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, Router, TcpConnectInfo};

use super::{RpcSettings, channel::NODELAY};
use crate::{ErrorReport, Result, SqlState};

/// What HTTP/2 begins with, and less than what TLS begins with.
const PREFACE_BYTES: usize = 24;
/// Before the next try, when there are no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers calls until `shutdown`, and then those that are under way.
///
/// # Errors
/// 58000.
pub async fn serve(
    service: Router,
    listener: TcpListener,
    settings: &RpcSettings,
    shutdown: CancellationToken,
) -> Result<()> {
    let connections = connections(listener, settings);
    service.serve_with_incoming_shutdown(connections, shutdown.cancelled_owned()).await.map_err(
        |error| {
            ErrorReport::new(SqlState::SYSTEM_ERROR, format!("the service has failed: {error}"))
        },
    )
}

fn connections(
    listener: TcpListener,
    settings: &RpcSettings,
) -> impl Stream<Item = io::Result<Connection>> + use<> {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let time = settings.handshake_timeout;
    stream::unfold((listener, places, time), async |(listener, places, time)| {
        // Never closed, so there always is a place at last.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        let socket = loop {
            match listener.accept().await {
                Ok((socket, _)) => break socket,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(PAUSE).await;
                }
            }
        };
        let silent = Some((0, Box::pin(sleep(time))));
        let connection =
            socket.set_nodelay(NODELAY).map(|()| Connection { socket, silent, _place: place });
        Some((connection, (listener, places, time)))
    })
}

/// One that fails when it has not said enough in time.
struct Connection {
    socket: TcpStream,
    /// What it has said, until that is enough, and for how long it may yet be.
    silent: Option<(usize, Pin<Box<Sleep>>)>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        let Some((said, deadline)) = &mut self.silent else { return read };
        *said += buffer.filled().len() - before;
        if *said >= PREFACE_BYTES {
            self.silent = None;
        } else if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn silent_connections_give_up_their_place() {
        let settings = RpcSettings {
            connections_max: 1,
            handshake_timeout: Duration::from_millis(100),
            ..RpcSettings::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepted = Box::pin(connections(listener, &settings));
        for said in [0, PREFACE_BYTES - 1] {
            let mut silent = TcpStream::connect(address).await.unwrap();
            silent.write_all(&vec![1; said]).await.unwrap();
            let mut connection = accepted.next().await.unwrap().unwrap();
            let mut heard = Vec::new();
            let error = connection.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!((error.kind(), heard.len()), (io::ErrorKind::TimedOut, said));
        }
        let mut speaking = TcpStream::connect(address).await.unwrap();
        speaking.write_all(&[1; PREFACE_BYTES]).await.unwrap();
        let mut connection = accepted.next().await.unwrap().unwrap();
        let mut heard = [0; PREFACE_BYTES];
        connection.read_exact(&mut heard).await.unwrap();
        let later = async {
            sleep(settings.handshake_timeout * 2).await;
            speaking.write_all(&[2]).await.unwrap();
        };
        let (next, ()) = tokio::join!(connection.read_u8(), later);
        assert_eq!(next.unwrap(), 2);
    }
}
