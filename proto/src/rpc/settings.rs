//! The bounds of what goes over the network.

use std::time::Duration;

/// How processes speak to one another. The defaults find a process that is stopped or cut off in
/// 2.5 seconds at most.
#[derive(Clone, Debug)]
pub struct RpcSettings {
    /// Connections to one service at a time; more wait. A datanode has two from each other process.
    pub connections_max: usize,
    /// For a new connection to begin to speak, and for TLS.
    pub handshake_timeout: Duration,
    /// To open a connection.
    pub connect_timeout: Duration,
    /// A connection that is quiet for so long is asked whether it lives, idle or not.
    pub keep_alive_interval: Duration,
    /// And is given up when it does not answer.
    pub keep_alive_timeout: Duration,
    /// For a call that only asks or orders, and does no work.
    pub call_timeout: Duration,
    /// For an order that removes files.
    pub drop_timeout: Duration,
    /// For what a datanode asks of its database and that is not a statement's own work: a
    /// transaction's end, which waits for the database's disk and standbys, or a snapshot.
    pub shard_timeout: Duration,
    /// The largest message. Rows come in frames of 16 MiB, unless a single row is larger.
    pub message_bytes_max: usize,
    /// HTTP/2's window of one stream. More than an exchange's credit, so that a sender waits for
    /// credit and never for the window.
    pub stream_window_bytes: u32,
    /// HTTP/2's window of a connection: more than all credits together, so that a stream that is
    /// not read does not hold up the others. HTTP/2's maximum.
    pub connection_window_bytes: u32,
    /// Calls at a time on one connection.
    pub streams_max: u32,
}

impl Default for RpcSettings {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            handshake_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_millis(1500),
            keep_alive_interval: Duration::from_millis(1000),
            keep_alive_timeout: Duration::from_millis(1500),
            call_timeout: Duration::from_millis(1500),
            drop_timeout: Duration::from_secs(30),
            shard_timeout: Duration::from_secs(30),
            message_bytes_max: 256 << 20,
            stream_window_bytes: 16 << 20,
            connection_window_bytes: (1 << 31) - 1,
            streams_max: 100_000,
        }
    }
}
