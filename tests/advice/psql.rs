//! As an administrator works: psql shows a warning, the statement of its HINT is pasted, and there is no
//! warning any more.

use std::process::Command;

use kestrel::postgres::Programs;

use super::databases_hold_rows;
use crate::support::TestCluster;

const QUERY: &str = "SELECT count(*) FROM sales WHERE region = 7";

#[tokio::test(flavor = "multi_thread")]
async fn the_hint_of_a_warning_mends_what_it_warns_of() {
    let Some(programs) = Programs::for_tests().unwrap_or_else(|e| panic!("{e}")) else { return };
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let psql = async |statements: &[&str]| {
        let mut psql = Command::new(programs.psql());
        psql.arg(cluster.url()).args(["--no-psqlrc", "--set=ON_ERROR_STOP=1"]);
        statements.iter().for_each(|statement| {
            psql.args(["-c", statement]);
        });
        let output = tokio::task::spawn_blocking(move || psql.output()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statements:?}: {text}");
        text
    };
    psql(&[
        "CREATE TABLE sales (order_id int, region int, amount numeric(10,2)) DISTRIBUTED BY (region)",
        "INSERT INTO sales SELECT i, CASE WHEN i % 10 < 7 THEN 7 ELSE i % 1000 END, i % 100 \
         FROM generate_series(1, 150000) AS i",
        "ANALYZE sales",
    ])
    .await;
    let text = psql(&[QUERY]).await;
    let line = |start: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no {start} in {text}")).trim()
    };
    let (warning, detail) = (line("WARNING:"), line("DETAIL:"));
    assert!(warning.starts_with("table \"sales\" is skewed: dn"), "{text}");
    assert!(detail.contains("Cause: \"region\" is 7 in 7"), "{text}");
    let hint = line("HINT:");
    assert_eq!(hint, "ALTER TABLE public.sales SET DISTRIBUTED BY (order_id);");
    let text = psql(&[hint]).await;
    assert!(text.contains("ALTER TABLE"), "{text}");
    let text = psql(&[QUERY]).await;
    assert!(!text.contains("WARNING") && !text.contains("NOTICE"), "{text}");
    let rows = "SELECT count(*) FROM kestrel.advice WHERE object_name = 'sales'";
    assert_eq!(psql(&["\\t", rows]).await.lines().nth(1).map(str::trim), Some("0"));
    cluster.stop().await;
}
