//! The ports that a process listens on.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio::net::{TcpListener, TcpSocket};

use super::{ClusterOptions, DatanodePlacement};

/// The ports of a coordinator.
pub(super) struct CoordinatorListeners {
    pub(super) clients: TcpListener,
    /// Where datanodes register; `None`: they are in the coordinator's process.
    pub(super) rpc: Option<TcpListener>,
    pub(super) metrics: Option<TcpListener>,
}

impl CoordinatorListeners {
    /// Takes them all.
    ///
    /// # Errors
    /// 58000.
    pub(super) async fn open(options: &ClusterOptions) -> Result<Self> {
        let rpc = options.network.rpc_listen;
        // `up` and `demo` take free ports for the others when clients do not have the usual one.
        let beside = "--listen or --metrics-listen";
        let (rpc, rpc_flag, metrics_flag) = match options.placement {
            DatanodePlacement::OneProcess => (None, "--listen", beside),
            DatanodePlacement::Processes { .. } => (Some(rpc), "--listen", beside),
            DatanodePlacement::Elsewhere => (Some(rpc), "--rpc-listen", "--metrics-listen"),
        };
        Ok(Self {
            clients: listen(options.listen, "--listen").await?,
            rpc: listen_optionally(rpc, rpc_flag).await?,
            metrics: listen_optionally(options.metrics_listen, metrics_flag).await?,
        })
    }
}

/// Takes the port; `flag` is what chooses another one.
///
/// # Errors
/// 58000.
pub(super) async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    bind(address).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => {
                format!("Another process has the port: stop it, or choose another with {flag}.")
            }
            _ => format!("Choose another address with {flag}."),
        };
        let message = format!("cannot listen on {address}: {error}");
        ErrorReport::new(SqlState::SYSTEM_ERROR, message).hint(hint)
    })
}

/// As `TcpListener::bind`, and whoever is accepted has TCP's keep-alive, as in PostgreSQL: a client
/// whose machine has gone does not keep its locks for ever.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 1024;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

pub(super) async fn listen_optionally(
    address: Option<SocketAddr>,
    flag: &str,
) -> Result<Option<TcpListener>> {
    match address {
        Some(address) => listen(address, flag).await.map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_cannot_be_had_has_a_hint() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = listen(any, "--listen").await.unwrap();
        let busy = first.local_addr().unwrap();
        // Documentation's addresses (RFC 5737) are no machine's.
        let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
        for (address, hint) in [
            (busy, "Another process has the port: stop it, or choose another with --rpc-listen."),
            (foreign, "Choose another address with --rpc-listen."),
        ] {
            let error = listen(address, "--rpc-listen").await.unwrap_err();
            assert_eq!(error.sqlstate, SqlState::SYSTEM_ERROR);
            assert_eq!(error.hint.as_deref(), Some(hint), "{address}: {error}");
        }
    }
}
