//! The 22 answers at scale 0.01, on 1, 2, 3 and 5 datanodes under every layout.

use kestrel::{
    client::Client,
    output::Console,
    tpch::{Expected, Layout, QUERIES, STORED_SCALE, load, run},
};
use kestrel_datanode::exchange::ExchangeSettings;

use crate::support::TestCluster;

const DATANODES: &[u32] = &[1, 2, 3, 5];

async fn check(layout: Layout) {
    check_on(layout, DATANODES, &ExchangeSettings::default()).await;
}

async fn check_on(layout: Layout, datanodes: &[u32], exchange: &ExchangeSettings) {
    let console = Console::silent();
    let expected = Expected::at_scale(STORED_SCALE, &console).await.unwrap();
    let mut wrong = Vec::new();
    for datanodes in datanodes {
        let cluster = TestCluster::start_with(*datanodes, exchange.clone()).await;
        let url = cluster.url();
        let loaded = load(&url, STORED_SCALE, layout, &console).await;
        loaded.unwrap_or_else(|e| panic!("{layout:?} on {datanodes} datanodes: {e}"));
        let mut client = Client::connect(&url).await.unwrap();
        let report = run(&mut client, STORED_SCALE, Some(&expected), |_| {}).await.unwrap();
        assert_eq!(report.queries.len(), QUERIES.len());
        for (query, problem) in report.bad() {
            wrong.push(format!("query {query} on {datanodes} datanodes: {problem}"));
        }
        drop(client);
        cluster.stop().await;
    }
    assert!(wrong.is_empty(), "{layout:?}:\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_right_with_the_usual_keys() {
    check(Layout::Usual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_right_with_random_placement() {
    check(Layout::Random).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_right_with_wrong_keys() {
    check(Layout::WrongKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_right_with_replicated_tables() {
    check(Layout::Replicated).await;
}

/// One batch a stream, and no memory for more: what would deadlock spills, and the rest waits.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_right_with_a_budget_of_one_batch() {
    let exchange = ExchangeSettings {
        stream_credit_bytes: 1,
        query_budget_bytes: 1,
        remote_credit_bytes: 1,
        ..Default::default()
    };
    for layout in [Layout::Usual, Layout::Random, Layout::WrongKey] {
        check_on(layout, &[3], &exchange).await;
    }
}
