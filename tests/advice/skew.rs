//! Skew of generated tables: what is told against where the rows are, and what is predicted against where
//! they are after the statement of the HINT.

use tokio_postgres::error::DbError;

use super::{
    Rates, STORAGE_SKEW, cluster,
    data::{Table, idle_fraction},
    databases_hold_rows, part, told,
};
use crate::support::{TestCluster, number_from_env};

/// Tables, unless `KESTREL_TEST_ADVICE_TABLES` says how many.
const TABLES: u64 = 8;
const DATANODES: [u32; 4] = [2, 3, 4, 8];
/// From this idle fraction on a table is skewed.
const SKEWED: f64 = 0.10;
/// So near predictions are to be, in so many cases.
const NEAR: f64 = 0.05;
const NEAR_CASES: f64 = 0.95;

/// What became of one table.
struct Case {
    table: Table,
    datanodes: u32,
    measured: f64,
    is_told: bool,
    hint: Option<String>,
    predicted: Option<f64>,
    after: Option<After>,
}

/// Of a table that lies as the HINT has it.
struct After {
    measured: f64,
    is_told: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn skewed_tables_are_told_with_what_mends_them() {
    if databases_hold_rows() {
        return;
    }
    let seed = number_from_env("KESTREL_TEST_SEED", 1);
    let tables = number_from_env("KESTREL_TEST_ADVICE_TABLES", TABLES);
    let mut cases = Vec::new();
    for datanodes in DATANODES {
        let is_here = |number: &u64| datanodes_of(*number) == datanodes;
        let numbers: Vec<_> = (0..tables).filter(is_here).collect();
        if numbers.is_empty() {
            continue;
        }
        let cluster = cluster(datanodes).await;
        for number in numbers {
            cases.push(tried(&cluster, datanodes, Table::generate(seed, number)).await);
        }
        cluster.stop().await;
    }
    print(seed, &cases);
    check(&cases);
}

/// They take turns, and every eight tables begin with the next: all kinds of keys meet all of them.
fn datanodes_of(number: u64) -> u32 {
    DATANODES[(number + number / 8) as usize % DATANODES.len()]
}

async fn tried(cluster: &TestCluster, datanodes: u32, table: Table) -> Case {
    let session = cluster.session().await;
    let name = &table.name;
    session.run_all([table.create()]).await;
    let copied = session.copy_in(&format!("COPY {name} FROM STDIN"), table.data()).await;
    assert_eq!(copied, Ok(table.rows as u64), "{name}");
    session.run_all([format!("ANALYZE {name}")]).await;
    let counts = table.counts(&table.key(), datanodes);
    assert_eq!(lying(cluster, name, datanodes).await, counts, "{name}");

    let query = format!("SELECT count(c) FROM {name} WHERE c > 0");
    let found = told(cluster, &query, STORAGE_SKEW).await;
    let hint = found.as_ref().and_then(DbError::hint).map(str::to_string);
    let mut after = None;
    if let Some(hint) = &hint {
        session.run_all([hint]).await;
        let counts = lying(cluster, name, datanodes).await;
        let key = hint.split_once("DISTRIBUTED BY (").and_then(|(_, rest)| rest.split_once(')'));
        if let Some((key, _)) = key {
            let key: Vec<_> = key.split(", ").collect();
            assert_eq!(counts, table.counts(&key, datanodes), "{name}: {hint}");
        }
        let is_told = told(cluster, &query, STORAGE_SKEW).await.is_some();
        after = Some(After { measured: idle_fraction(&counts), is_told });
    }
    session.run_all([format!("DROP TABLE {name}")]).await;
    Case {
        measured: idle_fraction(&counts),
        is_told: found.is_some(),
        predicted: found.as_ref().and_then(DbError::detail).and_then(predicted),
        table,
        datanodes,
        hint,
        after,
    }
}

/// How many rows each datanode has of a table, by the catalog: whoever knows the key compares that.
async fn lying(cluster: &TestCluster, table: &str, datanodes: u32) -> Vec<u64> {
    let session = cluster.session().await;
    let sql = format!(
        "SELECT datanode, rows FROM kestrel.table_placement WHERE table_name = '{table}' AND rows > 0"
    );
    let mut counts = vec![0; datanodes as usize];
    for row in session.rows(&sql).await {
        let number = |at: usize, before: &str| {
            let text = row[at].as_deref().unwrap().trim_start_matches(before);
            text.parse::<u64>().unwrap()
        };
        counts[number(0, "dn") as usize - 1] = number(1, "");
    }
    counts
}

/// `… the idle fraction would be 0.12.`
fn predicted(detail: &str) -> Option<f64> {
    let (_, rest) = detail.split_once("the idle fraction would be ")?;
    rest.get(..4)?.parse().ok()
}

fn print(seed: u64, cases: &[Case]) {
    println!("seed {seed}");
    println!("table | key           | datanodes |   rows | idle | told | predicted | after | hint");
    let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.3}"));
    for case in cases {
        println!(
            "{:5} | {:13} | {:9} | {:6} | {:.3} | {:4} | {:>9} | {:>5} | {}",
            case.table.name,
            case.table.kind,
            case.datanodes,
            case.table.rows,
            case.measured,
            if case.is_told { "yes" } else { "no" },
            number(case.predicted),
            number(case.after.as_ref().map(|after| after.measured)),
            case.hint.as_deref().unwrap_or_default()
        );
    }
}

fn check(cases: &[Case]) {
    let (mut rates, mut rates_after) = (Rates::default(), Rates::default());
    let (mut near, mut predictions, mut farthest) = (0, 0, 0.0_f64);
    for case in cases {
        rates.note(case.measured >= SKEWED, case.is_told);
        let Some(after) = &case.after else { continue };
        rates_after.note(after.measured >= SKEWED, after.is_told);
        let Some(predicted) = case.predicted else { continue };
        let off = (predicted - after.measured).abs();
        predictions += 1;
        near += usize::from(off <= NEAR);
        farthest = farthest.max(off);
    }
    let near = part(near, predictions).unwrap_or(1.0);
    println!(
        "predictions: {near:.3} of {predictions} within {NEAR}, the farthest {farthest:.3} off"
    );
    rates.check("skew");
    rates_after.check("skew after the HINT");
    assert!(near >= NEAR_CASES, "predictions");
}
