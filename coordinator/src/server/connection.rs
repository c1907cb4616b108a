//! One client's socket, and every wait of the task that serves it.
//!
//! Whatever that task waits for — a session, the next batch, room in the socket, the client's next
//! message — it attends to the same things meanwhile: a cancel, the end of the server, notices
//! (sent at once), output that has waited long enough, and whether the client is still there (by
//! reading ahead: end of file is noticed at once).

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kestrel_proto::{ErrorReport, Result};
use pgwire::messages::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::CANCEL_GRACE;
use super::clients::{Clients, Running};
use super::error_response::{error_response, fatal, notice_response, protocol_violation};
use super::failure::{Failure, Interrupt};
use super::frontend::{FirstPacket, Frame, MAX_MESSAGE_BYTES, MAX_SASL_BYTES};
use super::socket::{self, ReadSide, WriteSide};
use crate::access::{ChannelBinding, ClientTls};
use crate::session::NoticeSender;

/// Output is sent when there is this much of it …
pub(super) const FLUSH_BYTES: usize = 64 * 1024;
/// … or when it has waited this long.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// How far a client's messages are read while it is served.
const READ_AHEAD_BYTES: usize = 256 * 1024;
/// How often a client is looked for that has sent more than that.
const LOOK_AFTER_CLIENT: Duration = Duration::from_secs(1);
/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// At least so much room is offered to the socket for what the client sends …
const ROOM_BYTES: usize = 16 * 1024;
/// … and so much while it has not shown yet who it is: its packets are short, and what it sends
/// ahead may fill all the room there is.
const STRANGER_ROOM_BYTES: usize = 4 * 1024;
/// Memory that an unusual message or row leaves behind in a buffer is kept up to here.
const KEPT_BYTES: usize = 1024 * 1024;

/// One client's socket.
pub(super) struct Connection {
    reader: Reader,
    writer: Writer,
    clients: Arc<Clients>,
    notices: mpsc::UnboundedReceiver<ErrorReport>,
    notice_sender: NoticeSender,
    max_message_bytes: usize,
    encryption: Encryption,
}

/// How the connection is encrypted.
enum Encryption {
    None,
    /// With this binding, if the certificate has one.
    Tls(Option<ChannelBinding>),
}

struct Reader {
    socket: ReadSide,
    buffer: BytesMut,
}

struct Writer {
    socket: WriteSide,
    output: BytesMut,
    /// When the output is to be sent; `None`: when somebody says so.
    flush_at: Option<Instant>,
}

impl Connection {
    /// Over this socket; `clients` count the errors.
    pub(super) fn new(socket: TcpStream, clients: Arc<Clients>) -> Self {
        Self::over(socket::sides(socket), clients)
    }

    /// Over what is used as a socket.
    pub(super) fn over((read, write): (ReadSide, WriteSide), clients: Arc<Clients>) -> Self {
        let (notice_sender, notices) = mpsc::unbounded_channel();
        let notice_sender = NoticeSender::new(notice_sender);
        Self {
            reader: Reader { socket: read, buffer: BytesMut::new() },
            writer: Writer { socket: write, output: BytesMut::new(), flush_at: None },
            clients,
            notices,
            notice_sender,
            max_message_bytes: MAX_MESSAGE_BYTES,
            encryption: Encryption::None,
        }
    }

    /// The same, taking messages of at most so many bytes.
    pub(super) fn with_max_message_bytes(self, max_message_bytes: usize) -> Self {
        Self { max_message_bytes, ..self }
    }

    /// Agrees to encrypt, and takes the client's handshake.
    pub(super) async fn encrypt(&mut self, tls: &ClientTls) -> Result<(), Failure> {
        if !self.reader.buffer.is_empty() {
            // It would be taken for something that came encrypted.
            let error = protocol_violation("received unencrypted data after SSL request").detail(
                "This could be either a client-software bug or evidence of an attempted \
                 man-in-the-middle attack.",
            );
            return Err(fatal(error).into());
        }
        self.answer(b'S').await?;
        let (reader, writer) = (&mut self.reader.socket, &mut self.writer.socket);
        socket::encrypt(reader, writer, &tls.acceptor).await.map_err(Failure::Gone)?;
        self.encryption = Encryption::Tls(tls.binding.clone());
        Ok(())
    }

    /// Whether nobody between here and the client can read along.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.encryption, Encryption::Tls(_))
    }

    /// What binds a password's proof to this encrypted connection.
    pub(super) fn channel_binding(&self) -> Option<&ChannelBinding> {
        match &self.encryption {
            Encryption::None => None,
            Encryption::Tls(binding) => binding.as_ref(),
        }
    }

    /// Memory that holds what the client has sent and what it has not taken yet.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.reader.buffer.capacity() + self.writer.output.capacity()
    }

    /// Where notices for this client go.
    pub(super) fn notice_sender(&self) -> NoticeSender {
        self.notice_sender.clone()
    }

    /// Appends a message to the output.
    pub(super) fn put(&mut self, message: &impl Message) {
        self.writer.put(message);
    }

    /// Appends an error; it is sent at once. Every error that a client sees passes here, once.
    pub(super) fn put_error(&mut self, report: &ErrorReport) {
        self.clients.note_sent_error(report.sqlstate);
        self.put_notices();
        self.writer.put(&error_response(report));
        self.writer.flush_at = Some(Instant::now());
    }

    /// Appends the notices that have come up to now.
    pub(super) fn put_notices(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            self.writer.put_notice(&notice);
        }
    }

    /// The output, to append whole messages to; they are sent soon.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        self.writer.flush_at.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
        &mut self.writer.output
    }

    /// Whether there is so much output that it must be sent before more is made.
    pub(super) fn is_full(&self) -> bool {
        self.writer.output.len() >= FLUSH_BYTES
    }

    /// Waits for `work`. It is dropped when the wait is interrupted; `running.cancel` is
    /// cancelled then.
    pub(super) async fn attend<T>(
        &mut self,
        running: &Running,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupt> {
        let mut work = pin!(work);
        loop {
            let notice = tokio::select! {
                biased;
                notice = interruption(running, &mut self.notices) => notice?,
                output = &mut work => return Ok(output),
                error = self.writer.flush_when_due() => return Err(gone(running, error)),
                error = self.reader.read_ahead() => return Err(gone(running, error)),
            };
            self.writer.put_notice(&notice);
        }
    }

    /// Waits for `work`, which is not to be dropped half-way: when the wait is interrupted, it is
    /// told so by `running.cancel`, and has [`CANCEL_GRACE`] to end by itself. Gives its output,
    /// and what interrupted it.
    pub(super) async fn attend_to_end<T>(
        &mut self,
        running: &Running,
        work: impl Future<Output = T>,
    ) -> Result<(T, Option<Interrupt>), Failure> {
        let mut work = pin!(work);
        let interrupt = match self.attend(running, &mut work).await {
            Ok(output) => return Ok((output, None)),
            Err(interrupt) => interrupt,
        };
        match timeout(CANCEL_GRACE, work).await {
            Ok(output) => Ok((output, Some(interrupt))),
            Err(_) => {
                tracing::error!("a statement did not stop when it was cancelled");
                Err(Failure::Report(fatal(ErrorReport::internal(format!(
                    "the statement did not stop within {} s of being cancelled",
                    CANCEL_GRACE.as_secs()
                )))))
            }
        }
    }

    /// Sends all output.
    pub(super) async fn flush(&mut self, running: &Running) -> Result<(), Interrupt> {
        loop {
            let notice = tokio::select! {
                biased;
                notice = interruption(running, &mut self.notices) => notice?,
                sent = self.writer.flush() => return sent.map_err(|error| gone(running, error)),
                error = self.reader.read_ahead() => return Err(gone(running, error)),
            };
            self.writer.put_notice(&notice);
        }
    }

    /// The client's next message. Output waits until it is due.
    pub(super) async fn read(&mut self, running: &Running) -> Result<Frame, Failure> {
        loop {
            if let Some(frame) = Frame::take(&mut self.reader.buffer, self.max_message_bytes)? {
                return Ok(frame);
            }
            let notice = tokio::select! {
                biased;
                notice = interruption(running, &mut self.notices) => notice?,
                error = self.writer.flush_when_due() => Err(gone(running, error))?,
                read = self.reader.read(ROOM_BYTES) => {
                    read.map_err(|error| gone(running, error))?;
                    continue;
                }
            };
            self.writer.put_notice(&notice);
        }
    }

    /// The packet that a client begins with.
    pub(super) async fn read_first(&mut self) -> Result<FirstPacket, Failure> {
        loop {
            if let Some(packet) = FirstPacket::take(&mut self.reader.buffer)? {
                return Ok(packet);
            }
            self.reader.read(STRANGER_ROOM_BYTES).await.map_err(Failure::Gone)?;
        }
    }

    /// Sends what there is to send, and reads the answer of a client that is being asked who it
    /// is.
    pub(super) async fn read_sasl(&mut self) -> Result<Frame, Failure> {
        self.writer.flush().await.map_err(Failure::Gone)?;
        loop {
            match Frame::take(&mut self.reader.buffer, MAX_SASL_BYTES)? {
                Some(frame) if frame.kind == b'p' => return Ok(frame),
                Some(frame) => {
                    let message =
                        format!("expected SASL response, got message type {}", frame.kind);
                    return Err(fatal(protocol_violation(message)).into());
                }
                None => {
                    self.reader.read(STRANGER_ROOM_BYTES).await.map_err(Failure::Gone)?;
                }
            }
        }
    }

    /// Sends one byte that is no message: the answer to a wish for encryption.
    pub(super) async fn answer(&mut self, byte: u8) -> Result<(), Failure> {
        self.writer.socket.write_all(&[byte]).await.map_err(Failure::Gone)
    }

    /// Sends what there is to send, and `last` if there is one, and closes. A client that does
    /// not take it is left alone after a while.
    pub(super) async fn close(mut self, last: Option<&ErrorReport>) {
        if let Some(report) = last {
            self.put_error(report);
        }
        let farewell = async {
            self.writer.flush().await?;
            self.writer.socket.shutdown().await
        };
        if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
            tracing::debug!("the client did not take the last words");
        }
    }
}

/// What may break into any wait; a notice only for as long as it takes to put it out.
async fn interruption(
    running: &Running,
    notices: &mut mpsc::UnboundedReceiver<ErrorReport>,
) -> Result<ErrorReport, Interrupt> {
    tokio::select! {
        biased;
        () = running.terminate.cancelled() => {
            running.cancel.cancel();
            Err(Interrupt::Terminated)
        }
        () = running.cancel.cancelled() => Err(Interrupt::Cancelled),
        // The connection holds a sender itself: there is always a next one.
        Some(notice) = notices.recv() => Ok(notice),
    }
}

fn gone(running: &Running, error: io::Error) -> Interrupt {
    running.cancel.cancel();
    Interrupt::Gone(error)
}

impl Reader {
    /// Reads at least one byte more. The buffer grows with what has come, never with what a message
    /// says it will be. May be dropped at any await.
    async fn read(&mut self, room_bytes: usize) -> io::Result<()> {
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(room_bytes);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads what the client sends meanwhile; returns only when it has gone. May be dropped at
    /// any await.
    async fn read_ahead(&mut self) -> io::Error {
        loop {
            if self.buffer.len() < READ_AHEAD_BYTES {
                match self.read(ROOM_BYTES).await {
                    Ok(()) => continue,
                    Err(error) => return error,
                }
            }
            sleep(LOOK_AFTER_CLIENT).await;
            match self.socket.has_closed().await {
                Ok(true) => return io::ErrorKind::ConnectionReset.into(),
                Ok(false) => {}
                Err(error) => return error,
            }
        }
    }
}

impl Writer {
    fn put(&mut self, message: &impl Message) {
        let before = self.output.len();
        if let Err(error) = message.encode(&mut self.output) {
            self.output.truncate(before);
            tracing::error!(%error, "a message could not be encoded");
        }
    }

    fn put_notice(&mut self, notice: &ErrorReport) {
        self.put(&notice_response(notice));
        self.flush_at = Some(Instant::now());
    }

    /// Sends all output. May be dropped at any await: what is not sent stays.
    async fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            if self.socket.write_buf(&mut self.output).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.socket.flush().await?;
        self.flush_at = None;
        if self.output.capacity() > KEPT_BYTES {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Sends the output when it is due; returns only when that fails. May be dropped at any
    /// await.
    async fn flush_when_due(&mut self) -> io::Error {
        if let Some(at) = self.flush_at {
            // A timer would wait for its next tick.
            if at > Instant::now() {
                sleep_until(at).await;
            }
            if let Err(error) = self.flush().await {
                return error;
            }
        }
        std::future::pending().await
    }
}
