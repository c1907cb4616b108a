//! A proxy before a PostgreSQL server that reads the statements that pass. At one of them it can
//! stop: before the server gets it, or when the server has answered and the client does not know
//! yet.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, UnixStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

/// Codes of the packets that may come before a session starts (PostgreSQL's `pqcomm.h`).
const CANCEL_REQUEST: u32 = 80_877_102;
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];
/// `ReadyForQuery`, but for the transaction's status: the end of an answer.
const READY: &[u8] = b"Z\0\0\0\x05";
const CHUNK_BYTES: usize = 16 << 10;

/// Where a statement is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The server does not have it.
    Before,
    /// The server has done it and answered; the client does not have the answer.
    After,
}

/// A statement, or its answer, that is held. Dropping it breaks the connection: it never arrives.
pub(crate) struct Held(oneshot::Sender<()>);

impl Held {
    /// It arrives, if there is still somebody.
    pub(crate) fn pass_on(self) {
        let _ = self.0.send(());
    }
}

struct Trap {
    /// `COMMIT`, or what a statement begins with, such as `COMMIT PREPARED`.
    statement: &'static str,
    moment: Moment,
    reached: oneshot::Sender<Held>,
}

impl Trap {
    fn catches(&self, sql: &str) -> bool {
        let rest = sql.strip_prefix(self.statement);
        rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with(' ') && rest.contains("kst_")))
            && (self.statement != "COMMIT" || sql == "COMMIT")
    }
}

type Traps = Arc<Mutex<Option<Trap>>>;
/// Of an answer that is to be held.
type AnswerTrap = Arc<Mutex<Option<oneshot::Sender<Held>>>>;

/// Stands before one server.
pub(crate) struct StatementProxy {
    address: SocketAddr,
    trap: Traps,
    task: JoinHandle<()>,
}

impl StatementProxy {
    /// Before the server with this socket, which need not run.
    pub(crate) async fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trap, socket) = (Traps::default(), socket.to_path_buf());
        let traps = Arc::clone(&trap);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                connections.spawn(connection(client, socket.clone(), Arc::clone(&traps)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, trap, task }
    }

    /// Where clients come.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds the next such statement; only one.
    pub(crate) fn hold(&self, statement: &'static str, moment: Moment) -> oneshot::Receiver<Held> {
        let (reached, held) = oneshot::channel();
        *self.trap.lock().unwrap() = Some(Trap { statement, moment, reached });
        held
    }

    /// What has not been held is not going to be.
    pub(crate) fn let_pass(&self) {
        *self.trap.lock().unwrap() = None;
    }
}

impl Drop for StatementProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(client: TcpStream, socket: PathBuf, trap: Traps) {
    // Without a server the client's connection ends.
    let Ok(server) = UnixStream::connect(&socket).await else { return };
    let _ = client.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answer = AnswerTrap::default();
    tokio::select! {
        _ = requests(BufReader::new(from_client), to_server, &trap, &answer) => {}
        _ = answers(from_server, to_client, &answer) => {}
    }
}

/// Waits until what is held may go on.
async fn held(reached: oneshot::Sender<Held>) -> io::Result<()> {
    let (pass_on, passes) = oneshot::channel();
    let _ = reached.send(Held(pass_on));
    passes.await.map_err(io::Error::other)
}

async fn requests(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    trap: &Traps,
    answer: &AnswerTrap,
) -> io::Result<()> {
    loop {
        let packet = packet(&mut from, None).await?;
        let code = packet.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
        to.write_all(&packet).await?;
        match code {
            Some(code) if ENCRYPTION_REQUESTS.contains(&code) => {}
            Some(CANCEL_REQUEST) => return Ok(()),
            _ => break,
        }
    }
    loop {
        let kind = from.read_u8().await?;
        let message = packet(&mut from, Some(kind)).await?;
        let caught = if kind == b'Q' { caught(trap, &message) } else { None };
        match caught {
            None => {}
            Some(Trap { moment: Moment::Before, reached, .. }) => held(reached).await?,
            Some(Trap { moment: Moment::After, reached, .. }) => {
                *answer.lock().unwrap() = Some(reached);
            }
        }
        to.write_all(&message).await?;
    }
}

/// A message with its head: the kind, if it has one, and the length, which counts itself.
async fn packet(from: &mut (impl AsyncRead + Unpin), kind: Option<u8>) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut packet: Vec<u8> = kind.into_iter().chain(length.to_be_bytes()).collect();
    let head = packet.len();
    packet.resize(head + (length as usize).saturating_sub(4), 0);
    from.read_exact(&mut packet[head..]).await?;
    Ok(packet)
}

/// The trap, if this simple query is what it is for.
fn caught(trap: &Traps, message: &[u8]) -> Option<Trap> {
    let sql = std::str::from_utf8(message.get(5..)?).ok()?.trim_end_matches('\0');
    let mut trap = trap.lock().unwrap();
    trap.take_if(|trap| trap.catches(sql))
}

async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    answer: &AnswerTrap,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let mut read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        // In the simple protocol the next that comes is the answer to it.
        let reached = answer.lock().unwrap().take();
        let mut whole = chunk[..read].to_vec();
        if let Some(reached) = reached {
            while !is_whole(&whole) && read > 0 {
                read = from.read(&mut chunk).await?;
                whole.extend_from_slice(&chunk[..read]);
            }
            held(reached).await?;
        }
        to.write_all(&whole).await?;
    }
}

fn is_whole(answer: &[u8]) -> bool {
    answer.len() > READY.len() && answer[..answer.len() - 1].ends_with(READY)
}
