//! `kestrel tpch load | run | queries`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::schema::Layout;
use super::{Expected, QUERIES, Query, is_loaded, load, make_answers, report, run};
use crate::client::{Client, DEFAULT_URL};
use crate::output::Console;
use crate::{CommandError, Result};

/// Below it, tpchgen gives some parts the same supplier twice.
const SCALE_MIN: f64 = 0.01;
const SCALE_MAX: f64 = 10_000.0;

/// What to do with TPC-H.
#[derive(Debug, Subcommand)]
pub(crate) enum TpchCommand {
    /// Create the tables and load them
    Load(LoadArguments),
    /// Run the 22 queries and check the answers
    Run(RunArguments),
    /// Print the queries
    Queries(QueriesArguments),
    /// Compute the answers that are stored in bench-data with PostgreSQL 15
    #[command(hide = true)]
    Answers(AnswersArguments),
}

/// Which server, and how much data.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The scale: 1 is about 1 GB of data
    #[arg(long, allow_negative_numbers = true, value_parser = parse_scale)]
    scale: f64,
    /// The server
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Target {
    fn console(&self) -> Console {
        if self.json { Console::silent() } else { Console::new() }
    }
}

/// Flags of `tpch load`.
#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    target: Target,
    /// How the tables are spread over the datanodes
    #[arg(long, value_enum, default_value_t = Layout::Usual)]
    layout: Layout,
}

/// Flags of `tpch run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    target: Target,
    /// Do not check the answers: other than at scale 0.01 that takes about 1.5 GB of memory for
    /// each unit of scale
    #[arg(long)]
    no_check: bool,
}

/// Flags of `tpch queries`.
#[derive(Debug, Args)]
pub(crate) struct QueriesArguments {
    /// Only these
    #[arg(value_parser = clap::value_parser!(u8).range(1..=22))]
    numbers: Vec<u8>,
    /// Accepted as elsewhere: the queries are the same at every scale
    #[arg(long, allow_negative_numbers = true, value_parser = parse_scale)]
    scale: Option<f64>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Flags of `tpch answers`.
#[derive(Debug, Args)]
pub(crate) struct AnswersArguments {
    /// Where the files go
    #[arg(long)]
    directory: PathBuf,
    /// Where PostgreSQL's programs are, if not in PATH or /usr/lib/postgresql
    #[arg(long)]
    postgres_bin: Option<PathBuf>,
}

/// Does it.
pub(crate) async fn run_command(command: TpchCommand) -> Result<()> {
    match command {
        TpchCommand::Load(arguments) => load_command(arguments).await,
        TpchCommand::Run(arguments) => run_queries(arguments).await,
        TpchCommand::Queries(arguments) => print_queries(&arguments),
        TpchCommand::Answers(arguments) => {
            let bin = arguments.postgres_bin.as_deref();
            make_answers::make_answers(&arguments.directory, bin, &Console::new()).await
        }
    }
}

async fn load_command(arguments: LoadArguments) -> Result<()> {
    let Target { scale, url, json } = &arguments.target;
    let console = arguments.target.console();
    let loaded = load(url, *scale, arguments.layout, &console).await?;
    let (rows, seconds) = (loaded.rows, loaded.seconds);
    console.result(&if *json {
        serde_json::json!({ "scale": scale, "rows": rows, "seconds": seconds }).to_string()
    } else {
        format!("loaded {rows} rows in {seconds:.1} s")
    });
    Ok(())
}

async fn run_queries(arguments: RunArguments) -> Result<()> {
    let Target { scale, url, json } = &arguments.target;
    let console = arguments.target.console();
    let mut client = Client::connect(url).await?;
    if !is_loaded(&mut client, *scale).await? {
        let text = format!("no TPC-H tables there; first: kestrel tpch load --scale {scale}");
        return Err(CommandError::failure(text));
    }
    let expected = match arguments.no_check {
        true => None,
        false => Some(Expected::at_scale(*scale, &console).await?),
    };
    let run_report = if *json {
        let run_report = run(&mut client, *scale, expected.as_ref(), |_| ()).await?;
        report::json(&run_report, &console)?;
        run_report
    } else {
        let table = report::Table::begin(&console);
        let run_report = run(&mut client, *scale, expected.as_ref(), |q| table.line(q)).await?;
        table.end(&run_report);
        run_report
    };
    report::verdict(&run_report, &console)
}

fn print_queries(arguments: &QueriesArguments) -> Result<()> {
    let console = Console::silent();
    let wanted = |query: &&Query| {
        arguments.numbers.is_empty() || arguments.numbers.contains(&(query.number as u8))
    };
    let queries: Vec<_> = QUERIES.iter().filter(wanted).collect();
    if arguments.json {
        let list = queries.iter().map(|q| serde_json::json!({ "query": q.number, "sql": q.sql }));
        console.result(&serde_json::Value::from_iter(list).to_string());
    } else {
        let texts: Vec<_> = queries.iter().map(|q| q.sql).collect();
        console.result(texts.join("\n").trim_end());
    }
    Ok(())
}

/// A scale that tpchgen and the queries are made for.
pub(crate) fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (SCALE_MIN..=SCALE_MAX).contains(&scale) => Ok(scale),
        _ => Err(format!("a scale is a number from {SCALE_MIN} to {SCALE_MAX}")),
    }
}
