//! The loop that watches one datanode: the only place where judgements meet the network.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kestrel_proto::{Datanode, DropSegments};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{ClusterSettings, Light, Member, MemberState, failure_detector::FailureDetector};

/// What a datanode is told before it is used for the first time in this epoch: which of its files
/// the catalog knows. The others were left by a crash.
pub type Welcome = Arc<dyn Fn(&Member) -> DropSegments + Send + Sync>;

/// Watches a datanode until `shutdown`, and then ends at once.
pub async fn monitor(
    member: Arc<Member>,
    settings: ClusterSettings,
    welcome: Welcome,
    shutdown: CancellationToken,
) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = watch(&member, &settings, &welcome) => {}
    }
}

/// Asks, judges and orders, for ever.
async fn watch(member: &Arc<Member>, settings: &ClusterSettings, welcome: &Welcome) {
    let interval = settings.heartbeat_interval;
    let mut detector = FailureDetector::new(interval, settings.datanode_timeout);
    let mut welcomed = false;
    // One at a time, and beside the heartbeats, which must not wait for it. Each ends with whether
    // the datanode is welcomed.
    let mut orders: JoinSet<bool> = JoinSet::new();
    loop {
        if member.state() != MemberState::Unregistered {
            if answers(member, settings.heartbeat_timeout).await {
                detector.answered(Instant::now());
            }
            while let Some(done) = orders.try_join_next() {
                welcomed = done.unwrap_or(welcomed);
            }
            let light = detector.light(Instant::now());
            if welcomed {
                member.judge(light);
            }
            if light == Light::Green && orders.is_empty() {
                let (member, welcome) = (Arc::clone(member), Arc::clone(welcome));
                if welcomed {
                    orders.spawn(async move {
                        member.repeat_orders().await;
                        true
                    });
                } else {
                    orders.spawn(async move { greet(&member, &welcome).await });
                }
            }
        }
        sleep(interval).await;
    }
}

async fn answers(member: &Member, within: Duration) -> bool {
    match timeout(within, member.health()).await {
        Ok(Ok(_)) => return true,
        Ok(Err(error)) => tracing::debug!(datanode = %member.id(), %error, "no heartbeat"),
        Err(_) => tracing::debug!(datanode = %member.id(), "no heartbeat in time"),
    }
    false
}

/// Tells the first order. A datanode that has followed it may be used from then on.
async fn greet(member: &Member, welcome: &Welcome) -> bool {
    match member.order_before_use(welcome(member)).await {
        Ok(()) => {
            member.judge(Light::Green);
            true
        }
        Err(error) => {
            tracing::warn!(datanode = %member.id(), %error, "cannot clean up; not used yet");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_datanode_that_does_not_answer_holds_up_no_shutdown() {
        // Connections wait there, and nobody takes them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let member = Arc::new(Member::unregistered(0));
        member.set_address(&listener.local_addr().unwrap().to_string()).unwrap();
        let settings = ClusterSettings {
            heartbeat_timeout: Duration::from_secs(60),
            ..ClusterSettings::default()
        };
        let welcome: Welcome = Arc::new(|_: &Member| DropSegments::AllBut(Vec::new()));
        let shutdown = CancellationToken::new();
        let monitored = tokio::spawn(monitor(member, settings, welcome, shutdown.clone()));
        sleep(Duration::from_millis(50)).await;
        assert!(!monitored.is_finished());
        shutdown.cancel();
        timeout(Duration::from_secs(10), monitored).await.unwrap().unwrap();
    }
}
