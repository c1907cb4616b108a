//! Opens connections to a shard's database: over TCP, encrypted or not, or a unix socket.

use std::io;

use bytes::BytesMut;
use kestrel_proto::{DatanodeId, ErrorReport, Result};
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    report,
    settings::{Address, KesSettings, name},
    tls,
    wire::{Connection, Wire},
};

/// Knows where a shard's database is and how to get there.
pub struct Connector {
    settings: KesSettings,
    datanode: DatanodeId,
    tls: Option<TlsConnector>,
}

/// A connection on which nothing was said yet.
pub(super) struct Opened {
    pub(super) wire: Wire,
    /// Nobody between the two ends can read it.
    pub(super) is_private: bool,
}

impl Connector {
    /// For the shard of `datanode`. Reads the root certificates; connects to nothing.
    ///
    /// # Errors
    /// F0000: the root certificates cannot be read.
    pub fn new(settings: KesSettings, datanode: DatanodeId) -> Result<Self> {
        let tls = tls::connector(&settings)?;
        Ok(Self { settings, datanode, tls })
    }

    /// How it connects.
    pub fn settings(&self) -> &KesSettings {
        &self.settings
    }

    /// Whose shard it is.
    pub fn datanode(&self) -> DatanodeId {
        self.datanode
    }

    /// Opens a connection. The caller bounds the time.
    pub(super) async fn open(&self) -> Result<Opened> {
        let address = &self.settings.address;
        let failed = |error: io::Error| self.unreachable(&error);
        let (connection, is_private) = match address {
            Address::Unix(directory, port) => {
                let path = directory.join(format!(".s.PGSQL.{port}"));
                (Connection::Unix(UnixStream::connect(path).await.map_err(failed)?), true)
            }
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
                self.keep_alive(&stream).map_err(failed)?;
                match &self.tls {
                    None => (Connection::Tcp(stream), false),
                    Some(tls) => (self.encrypt(stream, host, tls).await?, true),
                }
            }
        };
        let wire = Wire::new(connection, self.settings.message_bytes_max);
        Ok(Opened { wire, is_private })
    }

    /// A host that has vanished is found, whether we wait for its bytes or for it to take ours.
    fn keep_alive(&self, stream: &TcpStream) -> io::Result<()> {
        let settings = &self.settings;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        let keep_alive = TcpKeepalive::new().with_time(settings.keep_alive_idle);
        let keep_alive = keep_alive
            .with_interval(settings.keep_alive_interval)
            .with_retries(settings.keep_alive_probes);
        socket.set_tcp_keepalive(&keep_alive)?;
        #[cfg(target_os = "linux")]
        {
            let probes = settings.keep_alive_interval * settings.keep_alive_probes;
            socket.set_tcp_user_timeout(Some(settings.keep_alive_idle + probes))?;
        }
        Ok(())
    }

    /// Asks for TLS. The answer is read as one byte and no more, so that nothing that was sent
    /// unencrypted is taken for encrypted (CVE-2021-23222).
    async fn encrypt(
        &self,
        mut stream: TcpStream,
        host: &str,
        tls: &TlsConnector,
    ) -> Result<Connection> {
        let failed = |error: io::Error| self.unreachable(&error);
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        stream.write_all(&request).await.map_err(failed)?;
        match stream.read_u8().await.map_err(failed)? {
            b'S' => {}
            b'N' => {
                let detail = format!("The server at {} does not encrypt.", self.settings.address);
                return Err(report::refused(self.datanode, detail)
                    .hint(format!("Set {} = disable, or ssl = on there.", name::SSL_MODE)));
            }
            other => {
                let what = format!("the answer {other} to an SSLRequest");
                return Err(report::not_understood(self.datanode, &what));
            }
        }
        let server = ServerName::try_from(host.to_string())
            .map_err(|error| report::refused(self.datanode, format!("\"{host}\": {error}.")))?;
        let stream = tls.connect(server, stream).await.map_err(|error| match error.kind() {
            // What rustls says: a certificate, for example.
            io::ErrorKind::InvalidData => {
                let detail = format!("TLS with {}: {error}.", self.settings.address);
                report::refused(self.datanode, detail)
            }
            _ => self.unreachable(&error),
        })?;
        Ok(Connection::Other(Box::new(stream)))
    }

    fn unreachable(&self, error: &io::Error) -> ErrorReport {
        let detail = format!("Connecting to {}: {error}.", self.settings.address);
        report::unreachable(self.datanode, detail)
    }

    /// While nobody tries.
    pub(super) fn not_asked_again(&self) -> ErrorReport {
        let detail = format!("{} did not take a session a moment ago.", self.settings.address);
        report::unreachable(self.datanode, detail)
    }

    /// For a step of connecting that takes too long.
    pub(super) fn timed_out(&self) -> ErrorReport {
        let (address, bound) = (&self.settings.address, self.settings.connect_timeout);
        let detail = format!("Connecting to {address} took longer than {bound:?}.");
        report::unreachable(self.datanode, detail)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { settings, datanode, tls: _ } = self;
        f.debug_struct("Connector")
            .field("settings", settings)
            .field("datanode", datanode)
            .finish_non_exhaustive()
    }
}
