//! The settings of a local database server: enough for one shard, durable, and for this machine
//! only.

use std::path::Path;

/// More sessions than a datanode has: for recovery, for probes, and for whoever looks.
const MORE_CONNECTIONS: usize = 10;

const MB: usize = 1 << 20;

/// What a server is for.
pub(crate) struct ServerSize {
    /// Its part of the machine's memory.
    pub(crate) memory_bytes: usize,
    /// Sessions of its datanode.
    pub(crate) sessions_max: usize,
}

/// As `-c name=value` of the server's command line, which wins over its files.
pub(crate) fn server_settings(
    size: &ServerSize,
    port: u16,
    sockets: &Path,
) -> Vec<(&'static str, String)> {
    let mb =
        |bytes: usize, least: usize, most: usize| format!("{}MB", (bytes / MB).clamp(least, most));
    let connections = (size.sessions_max + MORE_CONNECTIONS).to_string();
    let (on, off) = (|| "on".to_string(), || "off".to_string());
    vec![
        // Who reaches the socket is this machine's; nobody else comes.
        ("listen_addresses", String::new()),
        ("port", port.to_string()),
        // A list, in which a name with a comma or a space stands in quotes.
        ("unix_socket_directories", quoted(&sockets.display().to_string())),
        ("unix_socket_permissions", "0700".into()),
        ("max_connections", connections.clone()),
        // Every session may prepare its transaction.
        ("max_prepared_transactions", connections),
        // What was committed stays so, also after a power failure.
        ("fsync", on()),
        ("full_page_writes", on()),
        ("synchronous_commit", on()),
        ("autovacuum", on()),
        ("shared_buffers", mb(size.memory_bytes / 2, 16, 8192)),
        ("maintenance_work_mem", mb(size.memory_bytes / 4, 16, 1024)),
        ("work_mem", mb(size.memory_bytes / 4 / size.sessions_max.max(1), 4, 64)),
        // Scans are simple, and often short.
        ("jit", off()),
        ("timezone", "UTC".into()),
        ("log_timezone", "UTC".into()),
        // Into the server's standard error, which is a file. Statements have people's data.
        ("logging_collector", off()),
        ("log_destination", "stderr".into()),
        ("log_min_error_statement", "panic".into()),
        ("log_checkpoints", off()),
    ]
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_places_follow_the_limits() {
        let check = |memory_bytes, sessions_max, expected: &[(&str, &str)]| {
            let size = ServerSize { memory_bytes, sessions_max };
            let settings = server_settings(&size, 5432, Path::new("/d, e/socket"));
            for (name, value) in expected {
                let found = settings.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
                assert_eq!(found, Some(*value), "{name} with {memory_bytes} bytes");
            }
        };
        check(
            1 << 30,
            32,
            &[
                ("shared_buffers", "512MB"),
                ("maintenance_work_mem", "256MB"),
                ("work_mem", "8MB"),
                ("max_connections", "42"),
                ("max_prepared_transactions", "42"),
                ("listen_addresses", ""),
                ("unix_socket_directories", "\"/d, e/socket\""),
                ("fsync", "on"),
            ],
        );
        check(1 << 20, 1, &[("shared_buffers", "16MB"), ("work_mem", "4MB")]);
        check(1 << 40, 1, &[("shared_buffers", "8192MB"), ("work_mem", "64MB")]);
    }
}
