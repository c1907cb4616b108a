//! How a cluster serves clients: the gate that they come through, and what their sessions show of
//! it.

use std::{path::Path, sync::Arc, time::Duration};

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
        ("authentication_timeout", span(options.authentication_timeout)),
        ("max_connections", options.max_connections.to_string()),
        ("ssl", ssl.into()),
        ("superuser_reserved_connections", options.reserved_connections.to_string()),
    ]
}

/// In the largest unit that leaves no rest, as PostgreSQL shows times.
fn span(span: Duration) -> String {
    let ms = span.as_millis();
    match ms {
        _ if ms.is_multiple_of(60_000) => format!("{}min", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_postgresql_shows_them() {
        for (ms, text) in [(60_000, "1min"), (90_000, "90s"), (1500, "1500ms"), (120_000, "2min")] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
    }
}
