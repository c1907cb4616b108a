//! Small random queries under random layouts must get PostgreSQL's answers.
//!
//! `KESTREL_TEST_SEED` sets the first seed and `KESTREL_TEST_QUERIES` the number of queries; a
//! difference prints what reproduces it. With a seed and a number of queries, everything is the
//! same again: tables, layouts, number of datanodes, queries.

pub(crate) mod compare;
mod dml;

use crate::{
    generate::{Features, Generator, Query, Rng, Schema},
    support::{Answer, Session, TestCluster, number_from_env, postgres},
};
use compare::difference;

/// As many queries as the default run has.
const QUERIES: u64 = 500;
/// Each seed makes a set of tables and so many queries over it.
const QUERIES_PER_SEED: u64 = 20;
/// Queries without rows prove little: a few others are tried first.
const ATTEMPTS: u64 = 4;
/// Differences printed whole; the others get one line.
const PRINTED: usize = 5;
/// Smaller queries tried for each difference that is printed whole.
const SMALLER_TRIED: usize = 400;

/// Settings under which PostgreSQL plans otherwise.
const OTHER_PLANS: &[&str] = &[
    "SET enable_hashjoin = off",
    "SET enable_hashagg = off",
    "SET enable_nestloop = off",
    "SET enable_memoize = off",
    "SET join_collapse_limit = 1",
];

/// A query with PostgreSQL's answer.
struct Case {
    query: Query,
    features: Features,
    expected: Answer,
}

/// One wrong answer.
struct Difference {
    seed: u64,
    index: u64,
    datanodes: u32,
    query: Query,
    what: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_get_postgresqls_answers() {
    let Some(postgres) = postgres() else { return };
    let oracle = Session::connect(&postgres.connection_string()).await;
    let mut differences = Vec::new();
    let mut features = Features::default();
    for (seed, queries) in seeds() {
        let schema = Schema::generate(&mut Rng::new(seed));
        let datanodes = *Rng::new(seed ^ 0xDA7A).pick(&[1, 2, 3, 3, 5]);
        load(&oracle, &schema, &format!("seed_{seed}")).await;
        let cluster = TestCluster::start(datanodes).await;
        let mut session = cluster.session().await;
        session.run_all(schema.statements(true)).await;
        for index in 0..queries {
            let case = case(&oracle, &schema, seed, index).await;
            if is_invalid(&case.expected) {
                continue;
            }
            features.add(&case.features);
            let got = session.run(&case.query.to_string()).await;
            if let Some(what) = compare_case(&case.query, &case.expected, &got) {
                let query = case.query;
                let found = Difference { seed, index, datanodes, query, what };
                if differences.len() < PRINTED {
                    found.print(&oracle, &session, &schema).await;
                }
                differences.push(found);
            }
            if session.client.is_closed() {
                session = cluster.session().await;
            }
        }
        drop(session);
        cluster.stop().await;
    }
    for found in differences.iter().skip(PRINTED) {
        println!("seed {} query {}: {}\n  {}", found.seed, found.index, found.what, found.query);
    }
    assert!(differences.is_empty(), "{} answers differ from PostgreSQL's", differences.len());
}

/// The generator's own test: what it makes is valid SQL, has one right answer whatever the plan and
/// the order of the rows, mostly has rows, and leaves no feature out.
#[tokio::test(flavor = "multi_thread")]
async fn random_queries_are_valid_and_varied() {
    let Some(postgres) = postgres() else { return };
    let oracle = Session::connect(&postgres.connection_string()).await;
    let other = Session::connect(&postgres.connection_string()).await;
    other.run_all(OTHER_PLANS).await;
    let mut ambiguous = Vec::new();
    let mut features = Features::default();
    let (mut total, mut invalid, mut empty, mut failed) = (0, Vec::new(), 0, 0);
    for seed in 1..=QUERIES / QUERIES_PER_SEED {
        let schema = Schema::generate(&mut Rng::new(seed));
        load(&oracle, &schema, &format!("seed_{seed}")).await;
        load(&other, &schema.reversed(), &format!("other_{seed}")).await;
        for index in 0..QUERIES_PER_SEED {
            let case = case(&oracle, &schema, seed, index).await;
            total += 1;
            features.add(&case.features);
            let again = other.run(&case.query.to_string()).await;
            if let Some(what) = compare_case(&case.query, &case.expected, &again) {
                ambiguous.push(format!("{what}\n{}", case.query));
            }
            match &case.expected {
                answer if is_invalid(answer) => invalid.push(format!("{answer}\n{}", case.query)),
                Answer::Error(_) => failed += 1,
                Answer::Rows { rows, .. } if rows.is_empty() => empty += 1,
                _ => {}
            }
        }
    }
    println!("{total} queries: {} invalid, {empty} empty, {failed} fail", invalid.len());
    for (feature, count) in &features.0 {
        println!("{count:6} {feature}");
    }
    assert!(ambiguous.is_empty(), "more than one right answer:\n{}", ambiguous.join("\n"));
    assert!(invalid.len() * 20 <= total, "too many are invalid:\n{}", invalid.join("\n"));
    assert!(empty * 4 <= total, "{empty} of {total} have no rows");
    assert!(failed >= 10, "only {failed} fail");
    assert_eq!(features.missing(), Vec::<&str>::new(), "features that did not occur");
}

/// The seeds of this run, and how many queries each makes.
fn seeds() -> Vec<(u64, u64)> {
    let first = number_from_env("KESTREL_TEST_SEED", 1);
    let queries = number_from_env("KESTREL_TEST_QUERIES", QUERIES);
    let mut seeds = Vec::new();
    let mut left = queries;
    while left > 0 {
        let some = left.min(QUERIES_PER_SEED);
        seeds.push((first + seeds.len() as u64, some));
        left -= some;
    }
    println!("{queries} queries from seed {first} on");
    seeds
}

/// Makes the tables in PostgreSQL, in a schema of their own.
async fn load(oracle: &Session, schema: &Schema, name: &str) {
    let statements = [
        format!("CREATE SCHEMA {name}"),
        format!("SET search_path = {name}"),
        "SET statement_timeout = '30s'".into(),
    ];
    oracle.run_all(statements).await;
    oracle.run_all(schema.statements(false)).await;
}

/// The query of this seed and index: the first attempt whose answer proves something.
async fn case(oracle: &Session, schema: &Schema, seed: u64, index: u64) -> Case {
    let mut attempt = 0;
    loop {
        let query_seed = (seed * QUERIES_PER_SEED + index) * ATTEMPTS + attempt;
        let (query, features) = Generator::new(schema, query_seed).query();
        let expected = oracle.run(&query.to_string()).await;
        attempt += 1;
        let proves = match &expected {
            answer if is_invalid(answer) => true,
            Answer::Rows { rows, .. } => {
                // NOT IN with a NULL rightly has no rows.
                !rows.is_empty() || features.0.contains_key("not in with a single null")
            }
            Answer::Error(_) | Answer::Done(_) => true,
        };
        if proves || attempt == ATTEMPTS {
            return Case { query, features, expected };
        }
    }
}

/// Not an answer to a query but a fault of the generator, or of its patience.
fn is_invalid(answer: &Answer) -> bool {
    let class = |state: &str| state.starts_with("42") || state == "0A000" || state == "57014";
    answer.sqlstate().is_some_and(class)
}

fn compare_case(query: &Query, expected: &Answer, got: &Answer) -> Option<String> {
    difference(expected, got, &query.kinds(), &query.sorted_by())
}

impl Difference {
    /// Everything that reproduces it, and a smaller query that shows it too.
    async fn print(&self, oracle: &Session, session: &Session, schema: &Schema) {
        let mut query = self.query.clone();
        let (mut expected, mut got) = answers(oracle, session, &query).await;
        let state = got.sqlstate().map(str::to_string);
        let mut tried = 0;
        'smaller: loop {
            for candidate in query.smaller() {
                tried += 1;
                if tried > SMALLER_TRIED {
                    break 'smaller;
                }
                let (e, g) = answers(oracle, session, &candidate).await;
                let same_kind = g.sqlstate().map(str::to_string) == state && !is_invalid(&e);
                if same_kind && compare_case(&candidate, &e, &g).is_some() {
                    (query, expected, got) = (candidate, e, g);
                    continue 'smaller;
                }
            }
            break;
        }
        println!("---- seed {} query {}: {}", self.seed, self.index, self.what);
        println!("again: KESTREL_TEST_SEED={} KESTREL_TEST_QUERIES={}", self.seed, self.index + 1);
        println!("on {} datanodes:", self.datanodes);
        for statement in schema.statements(true) {
            println!("{statement};");
        }
        println!("query:\n{};", self.query);
        println!("smaller:\n{query};");
        println!("PostgreSQL: {expected}");
        println!("Kestrel: {got}\n");
    }
}

async fn answers(oracle: &Session, session: &Session, query: &Query) -> (Answer, Answer) {
    let sql = query.to_string();
    (oracle.run(&sql).await, session.run(&sql).await)
}
