//! A datanode that is killed, stopped, cut off, slow, or whose bytes change on the way.

use std::{
    iter::repeat_n,
    time::{Duration, Instant},
};

use super::{LONG, check_clean, check_lost, fill};
use crate::support::{Answer, Fault, Network};

/// Takes about a second, and gives one row at its end.
const SECONDS: &str = "SELECT count(*), min(a.x || b.x) FROM t a JOIN t b ON a.k % 10 = b.k % 10 \
                       JOIN u c ON c.id = b.id WHERE a.x < b.x";

/// What happens to dn2, and how it is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Killed,
    Stopped,
    CutOff,
    RequestsLost,
    AnswersLost,
    Slow,
    Broken,
    Corrupted,
}

const CASES: &[Case] = &[
    Case::Killed,
    Case::Stopped,
    Case::CutOff,
    Case::RequestsLost,
    Case::AnswersLost,
    Case::Slow,
    Case::Broken,
    Case::Corrupted,
];

impl Case {
    async fn inflict(self, network: &mut Network) {
        let datanode = &mut network.datanodes[1];
        match self {
            Self::Killed => datanode.kill().await,
            Self::Stopped => datanode.signal("STOP").await,
            Self::CutOff => datanode.proxy.set(Fault::Hold, Fault::Hold),
            Self::RequestsLost => datanode.proxy.set(Fault::Hold, Fault::None),
            Self::AnswersLost => datanode.proxy.set(Fault::None, Fault::Hold),
            Self::Slow => {
                let delay = Fault::Delay(Duration::from_secs(4));
                datanode.proxy.set(delay, delay);
            }
            Self::Broken => datanode.proxy.break_connections(),
            Self::Corrupted => datanode.proxy.set(Fault::Corrupt, Fault::Corrupt),
        }
    }

    async fn mend(self, network: &mut Network) {
        let datanode = &mut network.datanodes[1];
        match self {
            Self::Killed => datanode.start_again().await,
            Self::Stopped => datanode.signal("CONT").await,
            Self::CutOff | Self::RequestsLost | Self::AnswersLost | Self::Slow => {
                datanode.proxy.set(Fault::None, Fault::None);
            }
            Self::Broken => {}
            Self::Corrupted => datanode.proxy.set(Fault::None, Fault::None),
        }
    }

    /// Whether the datanode can be called while the fault lasts.
    fn is_passing(self) -> bool {
        matches!(self, Self::Broken | Self::Corrupted)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_told_in_time_and_nothing_stays_behind() {
    let mut network = Network::start(3).await;
    fill(&network.session().await).await;
    let right = network.session().await.rows(SECONDS).await;
    let mut table = String::from("fault | running query, ms | new query, ms | back after, ms\n");
    for case in CASES {
        let name = format!("{case:?}");
        let running = network.session().await;
        let other = network.session().await;
        // A query that loses a connection only runs again: that must have an end.
        let sql = if case.is_passing() { SECONDS } else { LONG };
        let running = tokio::spawn(async move {
            let answer = running.run(sql).await;
            (answer, Instant::now())
        });
        tokio::time::sleep(Duration::from_millis(if case.is_passing() { 100 } else { 600 })).await;
        assert!(!running.is_finished(), "{name}: the query is too short");
        let inflicted = Instant::now();
        case.inflict(&mut network).await;
        let (answer, ended) = running.await.unwrap();
        let during = ended - inflicted;
        match answer {
            Answer::Error(failure) => check_lost(&name, &failure, "dn2", during),
            // Connections that break at once leave time to run again.
            Answer::Rows { rows, .. } => assert!(case.is_passing() && rows == right, "{name}"),
            answer => panic!("{name}: {answer}"),
        }
        let mut after = Duration::ZERO;
        if !case.is_passing() {
            let started = Instant::now();
            let failure = other.failure("SELECT count(*) FROM t").await;
            after = started.elapsed();
            check_lost(&name, &failure, "dn2", after);
        }
        // What needs no datanode goes on.
        assert_eq!(other.value("SELECT 1 + 1").await, "2", "{name}");
        let mended = Instant::now();
        case.mend(&mut network).await;
        network.all_up().await;
        let back = mended.elapsed();
        assert_eq!(other.value("SELECT count(*) FROM t WHERE id >= 0").await, "20000");
        check_clean(&network.cluster, &name).await;
        table += &format!(
            "{name} | {} | {} | {}\n",
            during.as_millis(),
            after.as_millis(),
            back.as_millis()
        );
    }
    println!("{table}");
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_loses_a_datanode_leaves_nothing() {
    let mut network = Network::start(3).await;
    fill(&network.session().await).await;
    for case in [Case::Killed, Case::Stopped, Case::CutOff] {
        let name = format!("a load: {case:?}");
        let session = network.session().await;
        let load = tokio::spawn(async move {
            // So many that it takes longer than the loss; what comes after an error is only skipped.
            let thousand: String = (0..1000).map(|i| format!("{i}\t1\tx\n")).collect();
            let blocks = repeat_n(thousand.into_bytes(), 20_000);
            let result = session.copy_in_blocks("COPY t FROM STDIN", blocks).await;
            (result, Instant::now())
        });
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert!(!load.is_finished(), "{name}: it has failed at once");
        let inflicted = Instant::now();
        case.inflict(&mut network).await;
        let (result, ended) = load.await.unwrap();
        check_lost(&name, &result.unwrap_err(), "dn2", ended - inflicted);
        case.mend(&mut network).await;
        network.all_up().await;
        let session = network.session().await;
        assert_eq!(session.value("SELECT count(*) FROM t").await, "20000", "{name}");
        check_clean(&network.cluster, &name).await;
        session.run_all(["BEGIN", "INSERT INTO u SELECT id, k FROM t", "ROLLBACK"]).await;
        assert_eq!(session.value("SELECT count(*) FROM u").await, "20000", "{name}");
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_has_shown_nothing_runs_again_when_the_datanode_is_back() {
    let mut network = Network::start(3).await;
    fill(&network.session().await).await;
    let session = network.session().await;
    let right = session.rows(SECONDS).await;
    let mut again = 0;
    for round in 0..5 {
        let session = network.session().await;
        let query = tokio::spawn(async move { session.run(SECONDS).await });
        tokio::time::sleep(Duration::from_millis(100 + 40 * round)).await;
        if query.is_finished() {
            continue;
        }
        network.datanodes[2].kill().await;
        network.datanodes[2].start_again().await;
        match query.await.unwrap() {
            Answer::Rows { rows, .. } => {
                assert_eq!(rows, right, "round {round}");
                again += 1;
            }
            answer => panic!("round {round}: {answer}"),
        }
        network.all_up().await;
    }
    assert!(again > 0, "no query was running when its datanode was killed");
    check_clean(&network.cluster, "after running again").await;
    network.stop().await;
}
