//! The loop that watches one datanode: the only place where judgements meet the network.

use std::{sync::Arc, time::Instant};

use kestrel_proto::{Datanode, DropSegments, Result};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{ClusterSettings, Light, Member, MemberState, failure_detector::FailureDetector};

/// What a datanode is told before it is used for the first time in this epoch: which of its files
/// the catalog knows. The others were left by a crash.
pub type Welcome = Arc<dyn Fn(&Member) -> DropSegments + Send + Sync>;

/// Watches a datanode until `shutdown`.
pub async fn monitor(
    member: Arc<Member>,
    settings: ClusterSettings,
    welcome: Welcome,
    shutdown: CancellationToken,
) {
    let ClusterSettings { heartbeat_interval, datanode_timeout, .. } = settings;
    let mut detector = FailureDetector::new(heartbeat_interval, datanode_timeout);
    let mut welcomed = false;
    // Beside the heartbeats, which must not wait for them.
    let mut orders = JoinSet::new();
    loop {
        if member.state() != MemberState::Unregistered {
            match timeout(settings.heartbeat_timeout, member.health()).await {
                Ok(Ok(_)) => {
                    if !welcomed {
                        welcomed = greet(&member, &welcome).await.is_ok();
                    }
                    detector.answered(Instant::now());
                }
                Ok(Err(error)) => {
                    tracing::debug!(datanode = %member.id(), %error, "no heartbeat");
                }
                Err(_) => tracing::debug!(datanode = %member.id(), "no heartbeat in time"),
            }
            let light = detector.light(Instant::now());
            if welcomed {
                member.judge(light);
                while orders.try_join_next().is_some() {}
                if light == Light::Green && orders.is_empty() {
                    let member = Arc::clone(&member);
                    orders.spawn(async move { member.repeat_orders().await });
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(heartbeat_interval) => {}
        }
    }
}

async fn greet(member: &Member, welcome: &Welcome) -> Result<()> {
    let order = welcome(member);
    member.order_before_use(order).await.inspect_err(|error| {
        tracing::warn!(datanode = %member.id(), %error, "cannot clean up; not used yet");
    })
}
