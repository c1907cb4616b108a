//! The datanodes in other processes: who belongs to the cluster, where they are, whether they live.
//!
//! 1. [`registration`](RegistrationService) lets a datanode in: it names itself, and is told who it
//!    is. The catalog remembers its address.
//! 2. `monitor` asks each how it is, twice a second, and lets `failure_detector` judge.
//! 3. A [`Member`] is a datanode that queries call: calls to one that is down fail at once, and
//!    those that wait for it when it goes down are woken. Orders that it has not heard wait in
//!    `unheard` until it is back.

mod failure_detector;
mod member;
mod monitor;
mod registration;
mod unheard;

use std::time::Duration;

pub use failure_detector::Light;
pub use member::{Member, MemberState};
pub use monitor::{Welcome, monitor};
pub use registration::{RegistrationService, serve_registration};

/// How datanodes are watched. With the defaults a silent one is down within three seconds.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// For the answer to one.
    pub heartbeat_timeout: Duration,
    /// Without an answer for so long a datanode is down.
    pub datanode_timeout: Duration,
    /// How long a read-only query that has lost a datanode waits for it before it fails.
    pub retry_wait: Duration,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(500),
            heartbeat_timeout: Duration::from_millis(1000),
            datanode_timeout: Duration::from_millis(2500),
            retry_wait: Duration::from_millis(1500),
        }
    }
}
