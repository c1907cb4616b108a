//! What a coordinator shows, and the datanodes of its process with it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use kestrel_coordinator::{cluster::MemberState, engine::Engine};
use kestrel_datanode::LocalDatanode;
use kestrel_proto::{DatanodeId, metrics::text};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    http::{Health, Page},
    process_metrics,
};

/// A catalog that takes longer does not answer.
const CATALOG_WAIT_MAX: Duration = Duration::from_secs(2);

/// Metrics and health of a coordinator.
pub struct CoordinatorPage {
    engine: Arc<Engine>,
    /// The datanodes of this process.
    here: Vec<Arc<LocalDatanode>>,
    started_at: SystemTime,
}

impl CoordinatorPage {
    /// Of this engine and the datanodes of its process, which starts now.
    pub fn new(engine: Arc<Engine>, here: Vec<Arc<LocalDatanode>>) -> Self {
        Self { engine, here, started_at: SystemTime::now() }
    }

    /// The catalog's version, or why it does not answer.
    async fn catalog_version(&self) -> Result<u64, String> {
        let version = self.engine.catalog.snapshot().version;
        match timeout(CATALOG_WAIT_MAX, self.engine.catalog.changes_since(version)).await {
            Ok(Ok(_)) => Ok(version),
            Ok(Err(error)) => Err(error.message),
            Err(_) => Err("the catalog does not answer".into()),
        }
    }
}

#[async_trait]
impl Page for CoordinatorPage {
    async fn metrics(&self) -> String {
        let mut families = self.engine.metric_families();
        families.extend(self.here.iter().flat_map(|datanode| datanode.metric_families()));
        families.extend(process_metrics::families(self.started_at));
        text(families)
    }

    async fn health(&self) -> Health {
        health(self.catalog_version().await, &self.engine.cluster.datanode_states())
    }
}

/// Without its catalog a coordinator can do nothing, without a datanode only some of its work.
fn health(catalog_version: Result<u64, String>, datanodes: &[(DatanodeId, MemberState)]) -> Health {
    let catalog_version = match catalog_version {
        Ok(version) => version,
        Err(error) => {
            return Health { healthy: false, body: json!({ "status": "down", "error": error }) };
        }
    };
    let all_usable = datanodes.iter().all(|(_, state)| state.is_usable());
    let status = if all_usable { "ok" } else { "degraded" };
    let datanodes = datanodes.iter().map(|(id, state)| {
        let (name, state) = (id.name(), state.as_str());
        json!({ "name": name, "state": state })
    });
    let datanodes: Vec<_> = datanodes.collect();
    let body = json!({
        "status": status,
        "catalog_version": catalog_version,
        "datanodes": datanodes,
    });
    Health { healthy: true, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_decides_and_datanodes_degrade() {
        use MemberState::{Down, Suspect, Up};
        let states = |states: &[MemberState]| -> Vec<_> {
            states.iter().enumerate().map(|(id, state)| (DatanodeId(id as u32), *state)).collect()
        };
        for (catalog_version, datanodes, healthy, status) in [
            (Ok(7), vec![Up, Up], true, "ok"),
            (Ok(7), vec![Up, Suspect], true, "ok"),
            (Ok(7), vec![Down, Up], true, "degraded"),
            (Err("disk".to_string()), vec![Up, Up], false, "down"),
        ] {
            let health = health(catalog_version, &states(&datanodes));
            assert_eq!(health.healthy, healthy, "{health:?}");
            assert_eq!(health.body["status"], status, "{health:?}");
        }
        let body = health(Ok(7), &states(&[Down])).body;
        let expected = json!({
            "status": "degraded",
            "catalog_version": 7,
            "datanodes": [{ "name": "dn1", "state": "down" }],
        });
        assert_eq!(body, expected);
    }
}
