//! How long 100 queries of 4 to 17 relations take from their text to their slices, over the schema and
//! the sizes of the Join Order Benchmark (V. Leis et al., "How Good Are Query Optimizers, Really?",
//! VLDB 2015); its queries are not used. In the written order, and with some budgets of the search.
//!
//! `cargo bench --bench join_planning -- --budgets 1000,10000 --rounds 5`

mod queries;
mod schema;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;
use chrono::DateTime;
use clap::Parser;
use kestrel_planner::{
    bind::{BindContext, NoSessionFunctions, Source, SystemRelations, bind_query},
    catalog::SequenceDef,
    functions::{FunctionRegistry, SessionFormats},
    join_order::JoinOrderSettings,
    parse::{StatementKind, parse},
    plan::{PlanContext, Planner},
};
use kestrel_proto::{ErrorReport, Result};

use self::{
    queries::{QUERIES, queries, relations_of},
    schema::catalog,
};

#[derive(Parser)]
struct Flags {
    /// How often each query is planned, besides once before
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Of the search: how many pairs of sides it may try [default: some, and the default one]
    #[arg(long, value_delimiter = ',')]
    budgets: Vec<usize>,
    /// Print the queries, and plan nothing
    #[arg(long)]
    show: bool,
    /// What cargo gives to every benchmark
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

struct NoSystemRelations;

impl SystemRelations for NoSystemRelations {
    fn relation(&self, _: &str, _: &str) -> Option<Result<RecordBatch>> {
        None
    }

    fn sequence(&self, _: &SequenceDef) -> Result<RecordBatch> {
        Err(ErrorReport::internal("there is no sequence"))
    }
}

/// From the text to the slices.
async fn plan(
    sql: &str,
    context: &BindContext,
    planner: &Planner,
    join_order: JoinOrderSettings,
) -> Result<Duration> {
    let started = Instant::now();
    let statement = parse(sql)?.remove(0);
    let StatementKind::Query(query) = &statement.kind else {
        return Err(ErrorReport::internal("no query"));
    };
    let bound = bind_query(query, context, &[])?;
    let plan_context = PlanContext {
        catalog: Arc::clone(&context.catalog),
        now: DateTime::UNIX_EPOCH,
        formats: SessionFormats::default(),
        rules: Default::default(),
        join_order,
    };
    std::hint::black_box(planner.plan(&bound.plan, &plan_context).await?);
    Ok(started.elapsed())
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn print(flags: &Flags) -> Result<()> {
    let queries = queries();
    if flags.show {
        queries.iter().for_each(|sql| println!("{sql};"));
        return Ok(());
    }
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let context = BindContext {
        source: Source::default(),
        catalog: Arc::new(catalog()?),
        search_path: vec!["public".into()],
        functions: Arc::clone(&functions),
        session_functions: Arc::new(NoSessionFunctions),
        system_relations: Arc::new(NoSystemRelations),
        changed: None,
        given: Vec::new(),
        sample: None,
    };
    let usual = JoinOrderSettings::default();
    let mut budgets = flags.budgets.clone();
    if budgets.is_empty() {
        budgets.extend([0, 500, 1_000, 2_500, 5_000, 10_000, usual.budget]);
        budgets.sort_unstable();
        budgets.dedup();
    }
    let written = ("written".to_string(), JoinOrderSettings { is_enabled: false, ..usual });
    let ordered = budgets.into_iter().map(|budget| {
        let mark = if budget == usual.budget { " (default)" } else { "" };
        (format!("budget {budget}{mark}"), JoinOrderSettings { budget, ..usual })
    });
    println!("{QUERIES} queries, {} rounds, milliseconds", flags.rounds);
    println!("{:24} {:>8} {:>8} {:>8}  relations of that", "order of joins", "p50", "p99", "max");
    for (name, settings) in std::iter::once(written).chain(ordered) {
        let mut times = Vec::new();
        for round in 0..=flags.rounds {
            for (at, sql) in queries.iter().enumerate() {
                let time = plan(sql, &context, &planner, settings).await?;
                if round > 0 {
                    times.push((time.as_secs_f64() * 1e3, relations_of(at)));
                }
            }
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).max(1) - 1);
        let of = |percent| at(percent).map_or(0.0, |(time, _)| *time);
        let largest = at(100).map_or(0, |(_, relations)| *relations);
        println!("{name:24} {:8.1} {:8.1} {:8.1}  {largest}", of(50), of(99), of(100));
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::parse();
    tokio::runtime::Runtime::new()?.block_on(print(&flags))?;
    Ok(())
}
