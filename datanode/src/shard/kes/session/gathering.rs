//! A thread that reads the answers to a COPY TO STDOUT, and lets data gather between its reads.
//!
//! PostgreSQL sends 8 kB at a time. A reader that waits for them is faster than the server and sleeps
//! when the next ones come: so each costs the server a wakeup, on virtual machines half as much again
//! as making the rows. Whom nobody waits for need not be woken. A task cannot read like that: its
//! runtime waits for all its sockets all the time.
//!
//! ```text
//!   read ── less than GATHERED_BYTES: pause ──> read ──> read, nothing there: wait for it ──> …
//!     └─> messages, by a channel of MESSAGES_AHEAD ──> the task, to which the socket goes back after
//!         ReadyForQuery
//! ```

use std::{
    io::{self, Read},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    sync::mpsc::{SyncSender, sync_channel},
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use postgres_protocol::message::backend::Message;
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    frames::{Frames, Incoming},
    report::Lost,
    wire::Connection,
};

/// What is read at a time: more than a socket holds.
const READ_BYTES: usize = 256 << 10;
/// After a read of so much there is no pause: a socket that is full stops the server. One of a unix
/// address holds some 200 kB (net.core.wmem_default).
const GATHERED_BYTES: usize = 96 << 10;
/// How long data gather: a server that sends 400 MB a second sends 80 kB meanwhile.
const PAUSE: Duration = Duration::from_micros(200);
/// So many messages, or pieces of COPY data, wait for the task; a piece has as much as was read at a
/// time, or one row.
const MESSAGES_AHEAD: usize = 8;

/// A connection that threads can read from.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What the thread has read.
pub(super) enum Gathered {
    Incoming(Incoming),
    /// The query has ended; with `message`, its ReadyForQuery, all goes back.
    Ready {
        socket: Socket,
        incoming: Frames,
        message: Message,
    },
}

/// A thread that waits for what it is to read: made before anything is given to it, so that nothing is
/// lost where none can be made.
pub(super) struct Idle(SyncSender<Reader>);

impl Idle {
    /// A new thread. Not a runtime's: those may be what its task waits for.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn spawn() -> io::Result<Self> {
        let (sender, reader) = sync_channel::<Reader>(1);
        let run = move || reader.recv().into_iter().for_each(Reader::run);
        thread::Builder::new().name("kestrel-gather".into()).spawn(run)?;
        Ok(Self(sender))
    }
}

/// The task's side. The thread ends with it, and the connection, unless it was given back.
pub(super) struct Gathering {
    gathered: mpsc::Receiver<Result<Gathered, Lost>>,
    /// The thread's socket; `None`: it is not the thread's any more.
    socket: Option<Socket>,
    runtime: Handle,
}

impl Gathering {
    /// Begins to read, after what has come already: `incoming`. The connection is to come back to
    /// `runtime`.
    ///
    /// # Errors
    /// The connection is lost, or the process has no more file descriptors.
    pub(super) fn start(
        thread: Idle,
        socket: Socket,
        incoming: Frames,
        runtime: Handle,
    ) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        let kept = socket.try_clone()?;
        let (sender, gathered) = mpsc::channel(MESSAGES_AHEAD);
        // If it has died, its receiver says so.
        let _ = thread.0.send(Reader { socket, incoming, sender, pauses: false });
        Ok(Self { gathered, socket: Some(kept), runtime })
    }

    /// The next message, or piece of COPY data.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Gathered, Lost>> {
        let next = ready!(self.gathered.poll_recv(cx));
        // It has died.
        Poll::Ready(next.unwrap_or(Err(Lost::Closed)))
    }

    /// The connection, for tasks.
    ///
    /// # Errors
    /// Its runtime is ending.
    pub(super) fn give_back(&mut self, socket: Socket) -> io::Result<Connection> {
        self.socket = None;
        socket.set_nonblocking(true)?;
        let _in_runtime = self.runtime.enter();
        Ok(match socket {
            Socket::Tcp(stream) => Connection::Tcp(stream.try_into()?),
            Socket::Unix(stream) => Connection::Unix(stream.try_into()?),
        })
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // Ends a read that waits.
            let _ = socket.shutdown();
        }
    }
}

/// The thread's side.
struct Reader {
    socket: Socket,
    incoming: Frames,
    sender: mpsc::Sender<Result<Gathered, Lost>>,
    /// Before the next read.
    pauses: bool,
}

impl Reader {
    fn run(mut self) {
        let mut buffer = vec![0; READ_BYTES];
        let lost = loop {
            match self.incoming.take_next() {
                Ok(Some(Incoming::Message(message @ Message::ReadyForQuery(_)))) => {
                    let Self { socket, incoming, sender, .. } = self;
                    let _ = sender.blocking_send(Ok(Gathered::Ready { socket, incoming, message }));
                    return;
                }
                Ok(Some(incoming)) => {
                    // Nobody waits for it any more.
                    if self.sender.blocking_send(Ok(Gathered::Incoming(incoming))).is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    if let Err(lost) = self.read(&mut buffer) {
                        break lost;
                    }
                }
                Err(lost) => break lost,
            }
        };
        let _ = self.sender.blocking_send(Err(lost));
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Lost> {
        if self.pauses {
            thread::sleep(PAUSE);
        }
        let read = loop {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if read == 0 {
            return Err(Lost::Closed);
        }
        self.pauses = read < GATHERED_BYTES;
        self.incoming.bytes().extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(())
    }
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(is_nonblocking),
            Self::Unix(stream) => stream.set_nonblocking(is_nonblocking),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        }
    }
}
