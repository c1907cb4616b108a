//! What a process shows over HTTP: `/metrics` for Prometheus, `/health` for whoever watches it.
//!
//! Everybody who can connect may ask, so everything has a bound: a client has one connection among
//! [`CONNECTIONS_MAX`], for one answer, for [`CONNECTION_TIME_MAX`]. More clients wait.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use kestrel_proto::metrics::TEXT_FORMAT;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

/// Connections that are served at the same time.
pub const CONNECTIONS_MAX: usize = 32;
/// From the connection of a client to the end of its answer.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the end of the process waits for answers that are under way.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a process shows.
#[async_trait]
pub trait Page: Send + Sync + 'static {
    /// The metrics in Prometheus's text format.
    async fn metrics(&self) -> String;

    /// How the process is.
    async fn health(&self) -> Health;
}

/// How a process is.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// It can do its work: 200, else 503.
    pub healthy: bool,
    /// An object with a `status`: `ok`; `degraded`, when the work may fail; `down`.
    pub body: serde_json::Value,
}

/// Shows the page until `shutdown`.
pub async fn serve(listener: TcpListener, page: Arc<dyn Page>, shutdown: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics and health are shown");
    }
    serve_bounded(Bounded::new(listener, CONNECTIONS_MAX, CONNECTION_TIME_MAX), page, shutdown)
        .await;
}

async fn serve_bounded(listener: Bounded, page: Arc<dyn Page>, shutdown: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .with_state(page);
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let farewell = async {
        shutdown.cancelled().await;
        sleep(FAREWELL).await;
    };
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::error!(%error, "metrics and health are no longer shown");
        },
        // Connections that are left end in their own time.
        () = farewell => {}
    }
}

async fn metrics(State(page): State<Arc<dyn Page>>) -> Response {
    answer(StatusCode::OK, TEXT_FORMAT, page.metrics().await)
}

async fn health(State(page): State<Arc<dyn Page>>) -> Response {
    let Health { healthy, body } = page.health().await;
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, "application/json", body.to_string())
}

async fn nothing() -> Response {
    answer(StatusCode::NOT_FOUND, "text/plain", "/metrics and /health are here\n".into())
}

/// The one answer of a connection.
fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CONNECTION, "close")];
    (status, headers, body).into_response()
}

/// Accepts only as many connections as there are places.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    time_max: Duration,
}

/// A connection that fails when its time is over.
struct BoundedStream {
    socket: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Bounded {
    fn new(listener: TcpListener, connections_max: usize, time_max: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections_max)), time_max }
    }
}

impl Listener for Bounded {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // Never closed, so there always is a place at last.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (socket, peer) = Listener::accept(&mut self.listener).await;
        let deadline = Box::pin(sleep(self.time_max));
        (BoundedStream { socket, deadline, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl BoundedStream {
    /// Wakes the reader or writer when its time is over.
    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_time(context)?;
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_time(context)?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_time(context)?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::*;

    struct Fake {
        healthy: bool,
    }

    #[async_trait]
    impl Page for Fake {
        async fn metrics(&self) -> String {
            "# TYPE a gauge\na 1\n".into()
        }

        async fn health(&self) -> Health {
            Health { healthy: self.healthy, body: json!({ "status": "ok" }) }
        }
    }

    /// Serves a page with these bounds; where, and what stops it.
    async fn serving(
        healthy: bool,
        connections_max: usize,
        time_max: Duration,
    ) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, page) = (CancellationToken::new(), Arc::new(Fake { healthy }));
        let bounded = Bounded::new(listener, connections_max, time_max);
        tokio::spawn(serve_bounded(bounded, page, shutdown.clone()));
        (address, shutdown)
    }

    /// All that the server sends, up to its close.
    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn request(method: &str, path: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n")
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn two_paths_are_served() {
        let (address, _shutdown) = serving(true, 4, LONG).await;
        let metrics = ask(address, &request("GET", "/metrics")).await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
        assert!(metrics.ends_with("\r\n\r\n# TYPE a gauge\na 1\n"), "{metrics}");
        let health = ask(address, &request("GET", "/health")).await;
        assert!(health.contains("content-type: application/json\r\n"), "{health}");
        assert!(health.ends_with("\r\n\r\n{\"status\":\"ok\"}"), "{health}");
        let (unwell, _shutdown) = serving(false, 4, LONG).await;
        let health = ask(unwell, &request("GET", "/health")).await;
        assert!(health.starts_with("HTTP/1.1 503 "), "{health}");
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let (address, _shutdown) = serving(true, 4, LONG).await;
        for (method, path, status) in [
            ("GET", "/", "404"),
            ("GET", "/metrics/", "404"),
            ("GET", "/../etc/passwd", "404"),
            ("POST", "/metrics", "404"),
            ("DELETE", "/health", "404"),
        ] {
            let answer = ask(address, &request(method, path)).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{method} {path}: {answer}"
            );
        }
        assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test]
    async fn a_silent_client_loses_its_place_to_the_next() {
        let (address, shutdown) = serving(true, 1, Duration::from_millis(300)).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET /metrics HT").await.unwrap();
        let answer = timeout(LONG, ask(address, &request("GET", "/health"))).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        // Closed, whether or not with a word.
        let mut rest = Vec::new();
        let _ = timeout(LONG, silent.read_to_end(&mut rest)).await.unwrap();
        shutdown.cancel();
    }

    #[tokio::test]
    async fn it_ends_although_a_client_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let bounded = Bounded::new(listener, 2, LONG * 60);
        let served = serve_bounded(bounded, Arc::new(Fake { healthy: true }), shutdown.clone());
        let served = tokio::spawn(served);
        let _silent = TcpStream::connect(address).await.unwrap();
        ask(address, &request("GET", "/health")).await;
        shutdown.cancel();
        timeout(LONG, served).await.unwrap().unwrap();
    }
}
