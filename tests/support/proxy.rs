//! A TCP proxy that does to connections what networks do: it holds, delays, breaks and changes
//! them, each direction by itself.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// They wait: the peer is silent, and the connection stays.
    Hold,
    /// Each piece comes later by so much.
    Delay(Duration),
    /// One byte of the next large piece is changed; then nothing.
    Corrupt,
}

/// The faults of a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Towards the service.
    pub(crate) requests: Fault,
    /// Back from it.
    pub(crate) answers: Fault,
    /// Grows when all connections are to be broken.
    breaks: u32,
}

/// Where a service listens.
#[derive(Clone, Debug)]
enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Stands before one service.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    upstream: watch::Sender<Option<Upstream>>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// A proxy that lets connections wait until it knows its service.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (faults, upstream) = (watch::Sender::default(), watch::Sender::new(None));
        let (of_faults, of_upstream) = (faults.clone(), upstream.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                connections.spawn(connection(client, of_faults.clone(), of_upstream.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, faults, upstream, task }
    }

    /// Where callers come.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where they are led.
    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        self.upstream.send_replace(Some(Upstream::Tcp(upstream)));
    }

    /// The same, to a Unix socket.
    pub(crate) fn lead_to_socket(&self, socket: &Path) {
        self.upstream.send_replace(Some(Upstream::Unix(socket.to_path_buf())));
    }

    /// From now on.
    pub(crate) fn set(&self, requests: Fault, answers: Fault) {
        self.faults.send_modify(|faults| {
            faults.requests = requests;
            faults.answers = answers;
        });
    }

    /// Breaks all connections; new ones are let through.
    pub(crate) fn break_connections(&self) {
        self.faults.send_modify(|faults| faults.breaks += 1);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(
    client: TcpStream,
    faults: watch::Sender<Faults>,
    upstream: watch::Sender<Option<Upstream>>,
) {
    let mut known = upstream.subscribe();
    let Ok(upstream) = known.wait_for(Option::is_some).await.map(|upstream| upstream.clone())
    else {
        return;
    };
    let Some(upstream) = upstream else { return };
    let Ok((from_server, to_server)) = upstream.connect().await else { return };
    let _ = client.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let faults = Arc::new(faults);
    let mut changes = faults.subscribe();
    let breaks = changes.borrow().breaks;
    tokio::select! {
        () = pump(from_client, to_server, &faults, |faults| &mut faults.requests) => {}
        () = pump(from_server, to_client, &faults, |faults| &mut faults.answers) => {}
        _ = changes.wait_for(|faults| faults.breaks != breaks) => {}
    }
}

impl Upstream {
    async fn connect(&self) -> io::Result<(Reader, Writer)> {
        Ok(match self {
            Self::Tcp(address) => {
                let server = TcpStream::connect(address).await?;
                server.set_nodelay(true)?;
                let (from, to) = server.into_split();
                (Box::new(from), Box::new(to))
            }
            Self::Unix(socket) => {
                let (from, to) = UnixStream::connect(socket).await?.into_split();
                (Box::new(from), Box::new(to))
            }
        })
    }
}

/// Moves bytes until one side ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    faults: &watch::Sender<Faults>,
    of: fn(&mut Faults) -> &mut Fault,
) {
    let mut changes = faults.subscribe();
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        loop {
            let mut now = *changes.borrow_and_update();
            match *of(&mut now) {
                Fault::None => break,
                Fault::Delay(delay) => {
                    tokio::time::sleep(delay).await;
                    break;
                }
                Fault::Corrupt => {
                    // Large enough to be rows, and far from its start: not a frame's head.
                    if read > 8 << 10 {
                        chunk[read / 2] ^= 0x20;
                        faults.send_modify(|faults| *of(faults) = Fault::None);
                    }
                    break;
                }
                Fault::Hold => {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
