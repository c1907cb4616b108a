//! What a datanode in a process of its own shows.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use kestrel_datanode::LocalDatanode;
use kestrel_proto::{Datanode, metrics::text};
use serde_json::json;

use crate::{
    http::{Health, Page},
    process_metrics,
};

/// Metrics and health of a datanode: from the start of its process, so that one that waits for its
/// coordinator can be seen.
pub struct DatanodePage {
    datanode: OnceLock<Arc<LocalDatanode>>,
    coordinator_timeout: Duration,
    started_at: SystemTime,
}

impl DatanodePage {
    /// Of a process that starts now. A coordinator that has been silent for
    /// `coordinator_timeout` is gone.
    pub fn new(coordinator_timeout: Duration) -> Self {
        let started_at = SystemTime::now();
        Self { datanode: OnceLock::new(), coordinator_timeout, started_at }
    }

    /// The datanode has joined its cluster. Called once.
    pub fn joined(&self, datanode: Arc<LocalDatanode>) {
        let _ = self.datanode.set(datanode);
    }
}

#[async_trait]
impl Page for DatanodePage {
    async fn metrics(&self) -> String {
        let mut families = process_metrics::families(self.started_at);
        families.extend(self.datanode.get().map(|d| d.metric_families()).unwrap_or_default());
        text(families)
    }

    async fn health(&self) -> Health {
        let heard = self.datanode.get().map(|datanode| {
            let silence = Instant::now().saturating_duration_since(datanode.last_heartbeat());
            (datanode.id().name(), silence)
        });
        health(heard, self.coordinator_timeout)
    }
}

/// `heard`: the datanode, and for how long it has not heard from its coordinator.
fn health(heard: Option<(String, Duration)>, timeout: Duration) -> Health {
    let Some((datanode, silence)) = heard else {
        let body = json!({ "status": "down", "error": "waiting for the coordinator" });
        return Health { healthy: false, body };
    };
    let healthy = silence <= timeout;
    let status = if healthy { "ok" } else { "down" };
    let silence_ms = silence.as_millis() as u64;
    let body = json!({
        "status": status,
        "datanode": datanode,
        "coordinator_silence_ms": silence_ms,
    });
    Health { healthy, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_datanode_is_well_while_it_hears_from_its_coordinator() {
        let ms = Duration::from_millis;
        for (silence_ms, healthy, status) in
            [(0, true, "ok"), (4000, true, "ok"), (4001, false, "down")]
        {
            let health = health(Some(("dn2".into(), ms(silence_ms))), ms(4000));
            assert_eq!(health.healthy, healthy, "{silence_ms}");
            let expected = json!({
                "status": status,
                "datanode": "dn2",
                "coordinator_silence_ms": silence_ms,
            });
            assert_eq!(health.body, expected);
        }
        let page = DatanodePage::new(ms(4000));
        let health = page.health().await;
        assert!(!health.healthy, "{health:?}");
        assert_eq!(health.body["error"], "waiting for the coordinator");
        assert!(page.metrics().await.contains("kestrel_build_info{version="));
    }
}
