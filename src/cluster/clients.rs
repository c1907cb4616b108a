//! How a cluster serves clients: the gate that they come through, and what their sessions show of
//! it.

use std::{path::Path, sync::Arc};

use kestrel_coordinator::{
    access::{ClientTls, Gate},
    catalog::CatalogHandle,
    server::ServeOptions,
};
use kestrel_proto::Result;

use super::ClientOptions;

/// Reads rules, certificate and key.
pub(super) fn serve_options(
    options: &ClientOptions,
    data: &Path,
    catalog: &CatalogHandle,
) -> Result<ServeOptions> {
    let tls = options.tls.as_ref().map(ClientTls::read).transpose()?;
    let gate = Gate::new(options.rules(data), tls, catalog.mock_nonce().clone())?;
    Ok(ServeOptions {
        max_connections: options.max_connections,
        reserved_connections: options.reserved_connections,
        max_unauthenticated: options.max_unauthenticated,
        authentication_timeout: options.authentication_timeout,
        max_message_bytes: options.max_message_bytes,
        gate: Arc::new(gate),
        ..ServeOptions::default()
    })
}

/// What SHOW says of it.
pub(super) fn fixed_settings(options: &ServeOptions) -> Vec<(&'static str, String)> {
    let ssl = if options.gate.tls.is_some() { "on" } else { "off" };
    vec![
        ("authentication_timeout", options.authentication_timeout.as_secs().to_string()),
        ("max_connections", options.max_connections.to_string()),
        ("ssl", ssl.into()),
        ("superuser_reserved_connections", options.reserved_connections.to_string()),
    ]
}
