//! The accept loop: lets clients in, up to a limit, and out again when the server ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kestrel_proto::{ErrorReport, SqlState};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::backend::Backend;
use super::clients::Registered;
use super::connection::Connection;
use super::conversation::{Conversation, guarded};
use super::error_response::fatal;
use super::failure::Failure;
use super::startup;
use super::{CANCEL_GRACE, ServeOptions};

/// How long to wait when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until `shutdown` is cancelled. Then no more are let in, clients without a
/// running statement are told 57P01 at once, the others when their statement has ended, at the
/// latest after [`ServeOptions::drain`]. Returns when the last one has left.
pub async fn serve<B: Backend>(
    listener: TcpListener,
    backend: Arc<B>,
    options: ServeOptions,
    shutdown: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    let strangers =
        Arc::new(Semaphore::new(options.max_unauthenticated.min(Semaphore::MAX_PERMITS)));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            // Only to forget tasks that have ended.
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => match Arc::clone(&strangers).try_acquire_owned() {
                Ok(place) => {
                    let span = tracing::info_span!("client", %peer);
                    let (backend, options) = (Arc::clone(&backend), options.clone());
                    let stranger = Stranger { socket, peer, place };
                    let client = serve_client(stranger, backend, options, shutdown.clone());
                    tasks.spawn(client.instrument(span));
                }
                Err(_) => tracing::warn!(%peer, "too many clients log in at once, one was dropped"),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(&mut tasks, &options).await;
}

/// A client that has not shown yet who it is.
struct Stranger {
    socket: TcpStream,
    peer: SocketAddr,
    /// Among those.
    place: OwnedSemaphorePermit,
}

async fn drain(tasks: &mut JoinSet<()>, options: &ServeOptions) {
    if timeout(options.drain, all(tasks)).await.is_ok() {
        return;
    }
    options.clients.terminate_all();
    // Cancelling, closing the session and the last words have a bound each.
    if timeout(CANCEL_GRACE * 3, all(tasks)).await.is_err() {
        tracing::error!(clients = tasks.len(), "clients did not leave");
        tasks.shutdown().await;
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

async fn serve_client<B: Backend>(
    stranger: Stranger,
    backend: Arc<B>,
    options: ServeOptions,
    shutdown: CancellationToken,
) {
    let Stranger { socket, peer, place } = stranger;
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let connection = Connection::new(socket, Arc::clone(&options.clients))
        .with_max_message_bytes(options.max_message_bytes);
    attend((connection, peer), place, &*backend, &options, shutdown).await;
}

/// Serves a client over its connection, from its first packet to its last.
pub(super) async fn attend<B: Backend>(
    (mut connection, peer): (Connection, SocketAddr),
    place: OwnedSemaphorePermit,
    backend: &B,
    options: &ServeOptions,
    shutdown: CancellationToken,
) {
    let begin = guarded(begin(&mut connection, peer, backend, options));
    let begun = tokio::select! {
        biased;
        () = shutdown.cancelled() => Err(Failure::Report(fatal(ErrorReport::new(
            SqlState::CANNOT_CONNECT_NOW,
            "the database system is shutting down",
        )))),
        begun = timeout(options.authentication_timeout, begin) => {
            begun.unwrap_or(Err(Failure::Gone(io::ErrorKind::TimedOut.into())))
        }
    };
    match begun {
        Ok(None) => connection.close(None).await,
        Err(Failure::Gone(error)) => tracing::debug!(%error, "no session came of a connection"),
        Err(Failure::Report(report)) => {
            tracing::info!(error = %report, "a client was turned away");
            connection.close(Some(&report)).await;
        }
        Ok(Some((client, session, user))) => {
            drop(place);
            let span = tracing::info_span!("session", process_id = client.process_id(), %user);
            let conversation = Conversation::new(connection, client, session, user, shutdown);
            conversation.hold().instrument(span).await;
        }
    }
}

/// Everything up to the session; `None`: the connection wanted none.
async fn begin<B: Backend>(
    connection: &mut Connection,
    peer: SocketAddr,
    backend: &B,
    options: &ServeOptions,
) -> Result<Option<(Registered, B::Session, String)>, Failure> {
    let Some(startup) = startup::negotiate(connection, options).await? else {
        return Ok(None);
    };
    startup::put_negotiation(connection, &startup);
    let (client, session, info) =
        startup::connect(connection, startup, peer, backend, options).await?;
    startup::put_welcome(connection, &client);
    Ok(Some((client, session, info.user)))
}
