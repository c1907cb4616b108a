//! The server with a session that plays scripts, against clients over real sockets.

mod drivers;
mod fake;
mod fuzz;
mod interrupts;
mod login;
mod memory;
mod raw;
mod scripts;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::fake::{FakeBackend, Log};
use super::*;

/// A server with [`fake`] sessions; ends when dropped.
struct Server {
    address: SocketAddr,
    log: Arc<Log>,
    clients: Arc<Clients>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::with(ServeOptions::default()).await
    }

    async fn with(options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, shutdown) = (Arc::new(Log::default()), CancellationToken::new());
        let clients = Arc::clone(&options.clients);
        let backend = Arc::new(FakeBackend { log: Arc::clone(&log) });
        let task = tokio::spawn(serve(listener, backend, options, shutdown.clone()));
        Self { address, log, clients, shutdown, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.task.abort();
    }
}

/// Long enough for anything that happens at once, on a busy machine, too.
const SOON: Duration = Duration::from_secs(5);
