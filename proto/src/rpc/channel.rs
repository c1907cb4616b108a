//! Connections, and the servers they lead to.

use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Server},
};

use super::{
    RpcSettings, Tls,
    security::{Credentials, Sign},
};
use crate::{
    ErrorReport, Result, SqlState,
    message::{coordinator_client::CoordinatorClient, datanode_client::DatanodeClient},
};

/// A connection whose calls are signed.
pub(super) type Signed = InterceptedService<Channel, Sign>;

/// Small packets are not held back: a cancel is one.
pub(super) const NODELAY: bool = true;

/// A connection to `address` (host:port), opened when it is first used, and again whenever it was
/// lost.
///
/// # Errors
/// 22023 when the address is none.
fn connect(address: &str, settings: &RpcSettings, tls: Option<&Tls>) -> Result<Channel> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let wrong = |error: tonic::transport::Error| {
        let message = format!("\"{address}\" is not an address such as db1:5440");
        ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message).detail(format!("{error}."))
    };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(wrong)?
        .connect_timeout(settings.connect_timeout)
        .http2_keep_alive_interval(settings.keep_alive_interval)
        .keep_alive_timeout(settings.keep_alive_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(settings.stream_window_bytes)
        .initial_connection_window_size(settings.connection_window_bytes)
        .tcp_nodelay(NODELAY);
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls.client()).map_err(wrong)?;
    }
    Ok(endpoint.connect_lazy())
}

/// A client of a datanode's service.
pub(super) fn datanode_client(
    address: &str,
    credentials: Credentials,
    settings: &RpcSettings,
    tls: Option<&Tls>,
) -> Result<DatanodeClient<Signed>> {
    let channel = connect(address, settings, tls)?;
    Ok(DatanodeClient::with_interceptor(channel, Sign(credentials))
        .max_decoding_message_size(settings.message_bytes_max)
        .max_encoding_message_size(settings.message_bytes_max))
}

/// A client of the coordinator's service.
pub(super) fn coordinator_client(
    address: &str,
    credentials: Credentials,
    settings: &RpcSettings,
    tls: Option<&Tls>,
) -> Result<CoordinatorClient<Signed>> {
    let channel = connect(address, settings, tls)?;
    Ok(CoordinatorClient::with_interceptor(channel, Sign(credentials))
        .max_decoding_message_size(settings.message_bytes_max)
        .max_encoding_message_size(settings.message_bytes_max))
}

/// A server with all bounds set; the caller adds its service.
///
/// # Errors
/// 22023 when the certificate's files hold none.
pub fn server(settings: &RpcSettings, tls: Option<&Tls>) -> Result<Server> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(settings.keep_alive_interval))
        .http2_keepalive_timeout(Some(settings.keep_alive_timeout))
        .initial_stream_window_size(settings.stream_window_bytes)
        .initial_connection_window_size(settings.connection_window_bytes)
        .max_concurrent_streams(settings.streams_max)
        // Cancelled queries reset their streams, many at a time.
        .http2_max_pending_accept_reset_streams(Some(settings.streams_max as usize))
        .http2_max_local_error_reset_streams(Some(settings.streams_max as usize));
    match tls {
        None => Ok(server),
        Some(tls) => {
            server.tls_config(tls.server().timeout(settings.handshake_timeout)).map_err(|error| {
                ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, "the TLS files cannot be used")
                    .detail(format!("{error}."))
            })
        }
    }
}
