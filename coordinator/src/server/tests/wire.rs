//! A server that serves one client over memory, and runs only when it is told to: no task, no
//! socket and no clock is between what a client sends and what it gets.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::connection::Connection;
use super::super::listener::attend;
use super::super::socket::sides_in_memory;
use super::super::{Backend, ServeOptions};

/// Each way so much fits between client and server.
pub(super) const PIPE_BYTES: usize = 64 * 1024;
/// A server that is polled so often without waiting for anything is in a loop.
const MOST_POLLS: usize = 100_000;

/// A client's end, and the server.
pub(super) struct Wire {
    client: DuplexStream,
    /// `None`: it has ended.
    server: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What has the timers that a server sets. None of them fires: nothing runs it.
///
/// It must be entered, and not run: in a task, memory would be counted as input and output, and a
/// task that has had much of it has to wait for the others.
pub(super) fn timers() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

impl Wire {
    /// A client that has sent nothing yet. The thread must be in the context of [`timers`].
    pub(super) fn new<B: Backend>(backend: Arc<B>, options: ServeOptions) -> Self {
        let (client, server) = duplex(PIPE_BYTES);
        let server = async move {
            let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let connection =
                Connection::over(sides_in_memory(server), Arc::clone(&options.clients))
                    .with_max_message_bytes(options.max_message_bytes);
            let peer = ([127, 0, 0, 1], 1).into();
            attend((connection, peer), place, &*backend, &options, CancellationToken::new()).await;
        };
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Self { client, server: Some(Box::pin(server)), woken }
    }

    /// Has the server ended?
    pub(super) fn has_ended(&self) -> bool {
        self.server.is_none()
    }

    /// Sends bytes and gives what the server says to them before it waits for more.
    pub(super) fn exchange(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut received = Vec::new();
        loop {
            let sent = self.send(bytes);
            bytes = &bytes[sent..];
            self.run();
            let before = received.len();
            self.receive(&mut received);
            if received.len() == before && (bytes.is_empty() || sent == 0) {
                return received;
            }
        }
    }

    /// Sends as much as the server takes without being read from; how much that is.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            let sent = self.send(&bytes[taken..]);
            taken += sent;
            self.run();
            if sent == 0 {
                return taken;
            }
        }
    }

    /// The client has nothing more to send; what the server says to that.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let _ = self.client.shutdown().now_or_never();
        self.exchange(b"")
    }

    /// 0: there is no room, or nobody any more who reads.
    fn send(&mut self, bytes: &[u8]) -> usize {
        match self.client.write(bytes).now_or_never() {
            Some(Ok(sent)) => sent,
            Some(Err(_)) | None => 0,
        }
    }

    fn receive(&mut self, received: &mut Vec<u8>) {
        while let Some(Ok(1..)) = self.client.read_buf(received).now_or_never() {}
    }

    /// Lets the server do what it can.
    fn run(&mut self) {
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut context = Context::from_waker(&waker);
        for _ in 0..MOST_POLLS {
            if !self.woken.0.swap(false, Ordering::Relaxed) {
                return;
            }
            let Some(server) = &mut self.server else { return };
            if let Poll::Ready(()) = server.as_mut().poll(&mut context) {
                self.server = None;
            }
        }
        panic!("the server is in a loop");
    }
}
